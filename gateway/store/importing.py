"""What an import writes: whole sessions and messages, as they were, each once however often it is tried."""

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from gateway.store import groups, repeated
from gateway.store.adopted import object_ids
from gateway.store.connection import collection, insert_new
from gateway.store.contacts import Contact
from gateway.store.documents import ChannelDocument, MessageDocument, SessionDocument

# Why a session is closed that would have been a second open one of its sender.
IMPORTED = "imported"

_IDS = {
    "sessions": ("_id", "contact_id", "previous_session_id", "merged_into", "import_id"),
    "messages": ("session_id", "contact_id", "import_id"),
}
_AT_ONCE = 1000
_CONNECTIONS = 2
# So often a session that was merged is followed: each time somebody merged what was merged before.
_DEEPEST = 20


@dataclass(frozen=True, slots=True)
class Here:
    """A session that is here, where messages of it belong: itself, or the one it was merged into."""

    id: str
    channel_id: str
    contact_id: str | None


def sessions_here(ids: Collection[str]) -> dict[str, Here]:
    """Tell which of these sessions are here, and where what is said in them belongs."""
    homes = {ObjectId(one): ObjectId(one) for one in sorted(ids)}
    found: dict[ObjectId, Mapping[str, Any]] = {}
    for _ in range(_DEEPEST):
        left = sorted(set(homes.values()) - found.keys())
        if not left:
            break
        fields = {"channel_id": 1, "contact_id": 1, "merged_into": 1}
        found |= {row["_id"]: row for row in collection(SessionDocument).find({"_id": {"$in": left}}, fields)}
        homes = {one: found.get(home, {}).get("merged_into") or home for one, home in homes.items() if home in found}
    return {str(one): _here(found[home]) for one, home in homes.items() if home in found}


def _here(row: Mapping[str, Any]) -> Here:
    contact_id = row.get("contact_id")
    return Here(str(row["_id"]), str(row.get("channel_id") or ""), contact_id and str(contact_id))


def known_sessions(ids: Collection[str]) -> set[str]:
    """Tell which of these sessions are here, merged ones included."""
    wanted = {"_id": {"$in": [ObjectId(one) for one in sorted(ids)]}}
    return {str(row["_id"]) for row in collection(SessionDocument).find(wanted, {"_id": 1})}


def known_messages(ids: Collection[str]) -> set[str]:
    """Tell which of these messages are here; rows that were adopted have ids of another type, written the same.

    What a consolidation took out counts as here: its twin is.
    """
    wanted = sorted(ids)
    found = collection(MessageDocument).find({"_id": {"$in": [*wanted, *object_ids(wanted)]}}, {"_id": 1})
    known = {str(row["_id"]) for row in found}
    return known | repeated.put_aside_of(sorted(set(ids) - known)).keys()


def homes_of(ids: Sequence[str]) -> dict[str, str]:
    """Tell which session each of these messages is in, of those that are here."""
    homes: dict[str, str] = {}
    for start in range(0, len(ids), _AT_ONCE):
        wanted = {"_id": {"$in": list(ids[start : start + _AT_ONCE])}}
        homes |= {
            row["_id"]: str(row["session_id"]) for row in collection(MessageDocument).find(wanted, {"session_id": 1})
        }
    return homes


@dataclass(frozen=True, slots=True)
class Put:
    """Which sessions were here already, and which had to be closed, for their sender has another open one."""

    here: set[str]
    closed: set[str]


def put_sessions(documents: Sequence[Mapping[str, Any]]) -> Put:
    """Store sessions without messages yet.

    One that is here already, from an attempt before, stays as it is, and the answer is the same.
    """
    rows, put = [_session(document) for document in documents], Put(set(), set())
    for place in insert_new(SessionDocument, rows) if rows else ():
        row = rows[place]
        if here := collection(SessionDocument).find_one({"_id": row["_id"]}, {"closed_reason": 1}):
            put.here.add(str(row["_id"]))
            is_closed = here.get("closed_reason") == IMPORTED and "open_keys" in row
        else:
            _put_closed(row)
            is_closed = True
        if is_closed:
            put.closed.add(str(row["_id"]))
    return put


def _put_closed(row: Mapping[str, Any]) -> None:
    closed = {name: value for name, value in row.items() if name != "open_keys"}
    closed |= {"status": "closed", "closed_reason": IMPORTED, "closed_at": row["last_message_at"]}
    collection(SessionDocument).insert_one(closed)


def _session(document: Mapping[str, Any]) -> dict[str, Any]:
    return _with_ids(document, "sessions") | {"message_count": 0}


def put_messages(documents: Sequence[Mapping[str, Any]], meanwhile: Callable[[], object] = lambda: None) -> set[str]:
    """Store messages; one that is here already stays as it is. Gives the sessions that did not get all of theirs.

    Some at a time go over each of some connections: MongoDB stores those of one on one processor. `meanwhile` is
    called while it does.
    """
    pieces = [documents[start : start + _AT_ONCE] for start in range(0, len(documents), _AT_ONCE)]
    with ThreadPoolExecutor(_CONNECTIONS, "import") as pool:
        # The deadline is the context's.
        put = [pool.submit(copy_context().run, _put_messages, piece) for piece in pieces]
        meanwhile()
        return set().union(*(one.result() for one in put))


def _put_messages(documents: Sequence[Mapping[str, Any]]) -> set[str]:
    here = insert_new(MessageDocument, [_message(document) for document in documents])
    return {documents[place]["session_id"] for place in here}


def _message(document: Mapping[str, Any]) -> dict[str, Any]:
    stored = _with_ids(document, "messages")
    if decision := stored.get("decision"):
        ids = {name: ObjectId(one) for name, one in decision.items() if name.endswith("_session_id") and one}
        stored["decision"] = decision | ids
    if moved := stored.get("moved"):
        stored["moved"] = [move | ({"from": ObjectId(move["from"])} if move.get("from") else {}) for move in moved]
    return stored


def _with_ids(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    stored = dict(document)
    for one in _IDS[name]:
        if value := stored.get(one):
            stored[one] = _object_id(value)
    return stored


# Most messages of a batch name the same sessions, people and import.
_object_id = lru_cache(maxsize=4096)(ObjectId)


def add_channel(channel_id: str, communication_type: str, number: str, name: str, import_id: str) -> None:
    """Store the channel that imported sessions were on, as far as they tell; what is there stays as it is."""
    document: dict[str, Any] = {
        "name": name,
        "phone_number": number,
        "communication_type": communication_type,
        "settings": {},
    }
    document |= {"import_id": ObjectId(import_id)}
    try:
        collection(ChannelDocument).update_one({"_id": channel_id}, {"$setOnInsert": document}, upsert=True)
    except DuplicateKeyError:
        return  # somebody texted that number at this very moment


def contacts_of(session_ids: Collection[str]) -> dict[str, str]:
    """Give whose sessions these are; those that are not here, or nobody's, are left out."""
    wanted = {"_id": {"$in": [ObjectId(one) for one in session_ids]}}
    found = collection(SessionDocument).find(wanted, {"contact_id": 1}) if session_ids else ()
    return {str(row["_id"]): str(row["contact_id"]) for row in found if row.get("contact_id")}


def people(contact_ids: Collection[str]) -> dict[str, Contact]:
    """Give the people that contacts are, by the contacts' ids; who is not here is left out."""
    found = groups.heads(contact_ids) if contact_ids else {}
    return {one: Contact(group.id, tuple(group.opted_out)) for one, group in found.items()}


def person(contact_id: str) -> Contact | None:
    """Give the person that a contact is, by its id; None where it is not here."""
    found = groups.find(contact_id)
    return Contact(found.id, tuple(found.opted_out)) if found else None
