"""What a CRM was told of which session, and what is still to be told: each message in exactly one entry.

An entry is claimed by its number in its session, which only one can have, with the messages it holds; then these are
marked with it. A message that came late, or was moved to another session, has no mark or keeps the one it has.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo import DESCENDING
from pymongo.errors import DuplicateKeyError

from gateway.store.connection import collection
from gateway.store.documents import NOT_DELETED, NOT_PRIVATE, CrmEntryDocument, MessageDocument, SessionDocument
from gateway.store.messages import in_order

PENDING, DONE = "pending", "done"
AT_ONCE = 1000
_SAID = dict.fromkeys(("direction", "sender", "content", "media", "metadata.author", "createdAt", "storedAt"), 1)
_ABOUT = dict.fromkeys(("title", "communication_type", "channel_id", "contact_id"), 1)

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Claimed:
    """An entry as it was written down: its key at the CRM, and the messages it holds for ever."""

    id: str
    key: str
    session_id: ObjectId
    number: int
    communication_type: str
    messages: tuple[Any, ...]


def sessions_of(contact_ids: Sequence[ObjectId], among: Sequence[str] | None) -> Iterator[Document]:
    """Give the sessions of a person that may be told of: all, or those `among` some that are still theirs."""
    theirs: dict[str, Any] = {"contact_id": {"$in": list(contact_ids)}} | NOT_DELETED
    if among is not None:
        theirs["_id"] = {"$in": [ObjectId(one) for one in among]}
    yield from list(collection(SessionDocument).find(theirs, _ABOUT).sort("_id", 1))


def session(session_id: ObjectId) -> Document | None:
    """Read what an entry says of its session."""
    return collection(SessionDocument).find_one({"_id": session_id} | NOT_DELETED, _ABOUT)


def untold(session_id: ObjectId, provider: str) -> list[Document]:
    """Give the messages of a session that no entry holds, in their order; private notes are nobody else's."""
    wanted = {"session_id": session_id, f"crm.{provider}": {"$exists": False}, **NOT_PRIVATE}
    found = collection(MessageDocument).find(wanted, _SAID).sort("createdAt", 1).limit(AT_ONCE)
    return sorted(found, key=in_order)


def read(ids: Sequence[Any]) -> list[Document]:
    """Read the messages of an entry, in their order; those that were deleted since are not there."""
    return sorted(collection(MessageDocument).find({"_id": {"$in": list(ids)}}, _SAID), key=in_order)


def next_number(session_id: ObjectId, provider: str) -> int:
    """Give the number of a session's next entry; to be asked before `untold`.

    Whoever claimed the newest may have died, or be slow, before its messages were marked; that is made up for here.
    Somebody who claims one after this gets this very number, so that only one of the two does.
    """
    newest = collection(CrmEntryDocument).find_one({"session_id": session_id}, sort=[("number", DESCENDING)])
    if newest is None:
        return 1
    if newest["state"] == PENDING:
        mark(_claimed(newest), provider)
    return int(newest["number"]) + 1


def claim(
    about: Document, number: int, provider: str, contact_id: str, ids: Sequence[Any], now: datetime
) -> Claimed | None:
    """Write an entry down; None where somebody else claimed this number just now."""
    document = {
        "_id": f"{provider}:{about['_id']}:{number}",
        "provider": provider,
        "session_id": about["_id"],
        "contact_id": ObjectId(contact_id),
        "number": number,
        "key": f"{about['_id']}:{ids[0]}..{ids[-1]}",
        "communication_type": about.get("communication_type") or "",
        "messages": list(ids),
        "state": PENDING,
        "createdAt": now,
    }
    try:
        collection(CrmEntryDocument).insert_one(document)
    except DuplicateKeyError:
        return None
    return _claimed(document)


def pending(contact_ids: Sequence[ObjectId], provider: str) -> list[Claimed]:
    """List what was begun for a person and may not have come through, the oldest first."""
    begun = {"contact_id": {"$in": list(contact_ids)}, "state": PENDING, "provider": provider}
    return [_claimed(one) for one in collection(CrmEntryDocument).find(begun).sort([("createdAt", 1), ("number", 1)])]


def mark(entry: Claimed, provider: str) -> None:
    """Mark an entry's messages with it, so that no other one takes them."""
    marked = {"$set": {f"crm.{provider}": entry.id}}
    collection(MessageDocument).update_many({"_id": {"$in": list(entry.messages)}}, marked)


def done(entry: Claimed, remote_id: str) -> None:
    """Note that the CRM has an entry."""
    collection(CrmEntryDocument).update_one({"_id": entry.id}, {"$set": {"state": DONE, "remote_id": remote_id}})


def drop(entry: Claimed) -> None:
    """Forget an entry that holds nothing any more."""
    collection(CrmEntryDocument).delete_one({"_id": entry.id})


def of_sessions(session_ids: Sequence[ObjectId], provider: str) -> list[tuple[str, str, str]]:
    """List all that a CRM was told of sessions: the kind of conversation, its id there if it is known, and ours."""
    among = {"session_id": {"$in": list(session_ids)}, "provider": provider}
    found = collection(CrmEntryDocument).find(among).sort("_id", 1)
    return [(one["communication_type"], one.get("remote_id") or "", one["key"]) for one in found]


def forget(session_ids: Sequence[ObjectId]) -> None:
    """Delete what is known of sessions that go."""
    collection(CrmEntryDocument).delete_many({"session_id": {"$in": list(session_ids)}})


def _claimed(found: Document) -> Claimed:
    return Claimed(
        id=found["_id"],
        key=found["key"],
        session_id=found["session_id"],
        number=found["number"],
        communication_type=found["communication_type"],
        messages=tuple(found["messages"]),
    )
