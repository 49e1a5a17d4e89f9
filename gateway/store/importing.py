"""What an import writes: whole sessions and messages, as they were, each once however often it is tried."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bson import ObjectId
from pymongo import UpdateOne
from pymongo.errors import DuplicateKeyError

from gateway.store import groups, repeated
from gateway.store.connection import collection, insert_new
from gateway.store.contacts import Contact
from gateway.store.documents import ChannelDocument, MessageDocument, SessionDocument

# Why a session is closed that would have been a second open one of its sender.
IMPORTED = "imported"

_IDS = {
    "sessions": ("_id", "contact_id", "previous_session_id", "merged_into", "import_id"),
    "messages": ("session_id", "contact_id", "import_id"),
}
# A message that comes at the very moment is looked at again.
_TRIES = 5
_AT_ONCE = 1000
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
    also = [ObjectId(one) for one in sorted(ids) if ObjectId.is_valid(one)]
    found = collection(MessageDocument).find({"_id": {"$in": [*sorted(ids), *also]}}, {"_id": 1})
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


def put_closed(documents: Sequence[Mapping[str, Any]]) -> None:
    """Store closed sessions without messages yet; one that is here already, from an attempt before, stays as it is."""
    if documents:
        insert_new(SessionDocument, [_session(document) for document in documents])


def put_open(document: Mapping[str, Any]) -> bool:
    """Store an open session without messages yet; False where it had to be closed, for its sender has an open one.

    One that is here already, from an attempt before, stays as it is, and the answer is the same.
    """
    stored, sessions = _session(document), collection(SessionDocument)
    try:
        sessions.insert_one(stored)
    except DuplicateKeyError:
        if here := sessions.find_one({"_id": stored["_id"]}, {"closed_reason": 1}):
            return here.get("closed_reason") != IMPORTED
        del stored["open_keys"]
        sessions.insert_one(
            stored | {"status": "closed", "closed_reason": IMPORTED, "closed_at": stored["last_message_at"]}
        )
        return False
    return True


def _session(document: Mapping[str, Any]) -> dict[str, Any]:
    return _with_ids(document, "sessions") | {"message_count": 0}


def put_messages(documents: Sequence[Mapping[str, Any]]) -> None:
    """Store messages; one that is here already, from an attempt before, stays as it is."""
    if documents:
        insert_new(MessageDocument, [_message(document) for document in documents])


def _message(document: Mapping[str, Any]) -> dict[str, Any]:
    stored = _with_ids(document, "messages")
    if decision := stored.get("decision"):
        ids = {name: ObjectId(one) for name, one in decision.items() if name.endswith("_session_id") and one}
        stored["decision"] = decision | ids
    if moved := stored.get("moved"):
        stored["moved"] = [move | ({"from": ObjectId(move["from"])} if move.get("from") else {}) for move in moved]
    return stored


def _with_ids(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    return dict(document) | {one: ObjectId(document[one]) for one in _IDS[name] if document.get(one)}


def recount(ids: Collection[str]) -> None:
    """Put the counts and times of these sessions right, without racing what arrives meanwhile."""
    left = {ObjectId(one) for one in ids}
    for _ in range(_TRIES):
        if not left:
            return
        left = _recount(sorted(left))


def _recount(ids: list[ObjectId]) -> set[ObjectId]:
    """Count; gives the sessions that got a message just then."""
    sessions, updates = collection(SessionDocument), []
    found = sessions.find({"_id": {"$in": ids}}, {"message_count": 1})
    counted = {row["_id"]: row.get("message_count") for row in found}
    for row in collection(MessageDocument).aggregate(_counting(ids)):
        if row["_id"] in counted and counted[row["_id"]] != row["messages"]:
            # Bound to the count that was seen: what comes now is counted by whoever brings it.
            which = {"_id": row["_id"], "message_count": counted[row["_id"]]}
            updates.append(UpdateOne(which, _counts(row)))
    if not updates or sessions.bulk_write(updates, ordered=False).matched_count == len(updates):
        return set()
    return {update._filter["_id"] for update in updates}


def _counting(ids: list[ObjectId]) -> list[dict[str, Any]]:
    # Private notes are counted, and are no activity (rule T5): their moments are left out.
    moment = {"$cond": [{"$eq": ["$metadata.private", True]}, None, "$createdAt"]}
    inbound = {"$cond": [{"$eq": ["$direction", "inbound"]}, "$createdAt", None]}
    times = {"first": {"$min": moment}, "last": {"$max": moment}, "inbound": {"$max": inbound}}
    return [
        {"$match": {"session_id": {"$in": ids}}},
        {"$group": {"_id": "$session_id", "messages": {"$sum": 1}, **times}},
    ]


def _counts(row: Mapping[str, Any]) -> dict[str, Any]:
    latest = {"last_message_at": row["last"], "last_inbound_at": row["inbound"]}
    earliest = {"first_message_at": row["first"]}
    change = {
        "$set": {"message_count": row["messages"]},
        "$max": {name: at for name, at in latest.items() if at},
        "$min": {name: at for name, at in earliest.items() if at},
    }
    return {operator: fields for operator, fields in change.items() if fields}


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


def contact_of(session_id: str) -> str | None:
    """Give whose session this is."""
    found = collection(SessionDocument).find_one({"_id": ObjectId(session_id)}, {"contact_id": 1})
    return str(found["contact_id"]) if found and found.get("contact_id") else None


def person(contact_id: str) -> Contact | None:
    """Give the person that a contact is, by its id; None where it is not here."""
    found = groups.find(contact_id)
    return Contact(found.id, tuple(found.opted_out)) if found else None
