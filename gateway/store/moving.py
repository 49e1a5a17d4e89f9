"""Messages moved from one session to another, with what waits for them and what they are counted in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId

from gateway.core.regrouping import Part
from gateway.core.replies import answer_id
from gateway.store.connection import collection
from gateway.store.documents import MessageDocument, OutboxDocument, SessionDocument
from gateway.store.isolation import Channels, only
from gateway.store.regroupings import Regrouping

_AT_ONCE = 1000
_PART = {
    "createdAt": 1,
    "storedAt": 1,
    "communication_type": 1,
    "direction": 1,
    "session_id": 1,
    "metadata.inReplyTo": 1,
    "metadata.CallSid": 1,
    "moved.id": 1,
}


@dataclass(frozen=True, slots=True)
class Spot:
    """A message at which a session may be split."""

    session_id: str
    inbound: bool
    at: datetime
    part: Part


def spot(message_id: str, channels: Channels) -> Spot | None:
    """Look a message up that may be seen."""
    # Messages that were adopted have ObjectIds, which pages and people write the same.
    ids = [message_id, *([ObjectId(message_id)] if ObjectId.is_valid(message_id) else [])]
    found = collection(MessageDocument).find_one({"_id": {"$in": ids}} | only(channels), _PART)
    if found is None:
        return None
    part = _part(found, "")
    return Spot(str(found["session_id"]), found.get("direction") == "inbound", part.at, part)


def has_earlier(session_id: str, moment: datetime) -> bool:
    """Tell whether a session has a message before a moment."""
    earlier = {"session_id": ObjectId(session_id), "createdAt": {"$lt": moment}}
    return collection(MessageDocument).find_one(earlier, {"_id": 1}) is not None


def _part(found: Mapping[str, Any], regrouping_id: str) -> Part:
    told = found.get("metadata") or {}
    return Part(
        id=found["_id"],
        at=found["createdAt"],
        stored_at=found.get("storedAt") or found["createdAt"],
        communication_type=found.get("communication_type") or "",
        answers=str(told.get("inReplyTo") or ""),
        call_sid=str(told.get("CallSid") or ""),
        is_marked=any(move.get("id") == regrouping_id for move in found.get("moved") or ()),
    )


def parts(regrouping: Regrouping) -> tuple[list[Part], set[str]]:
    """Give the messages of the earlier session that may move to the later one, and what some of them stay with."""
    messages, here = collection(MessageDocument), {"session_id": ObjectId(regrouping.earlier)}
    late = [{"createdAt": {"$gte": regrouping.boundary}}, {"moved.id": regrouping.id}]
    found = [_part(row, regrouping.id) for row in messages.find(here | {"$or": late}, _PART)]
    heads = {part.head for part in found} - {part.id for part in found}
    staying: set[str] = set()
    for some in _batches(sorted(heads)):
        staying |= {row["_id"] for row in messages.find(here | {"_id": {"$in": some}}, {"_id": 1})}
    return found, staying


def all_of(session_id: str) -> list[str]:
    """Give the ids of a session's messages."""
    return [row["_id"] for row in collection(MessageDocument).find({"session_id": ObjectId(session_id)}, {"_id": 1})]


def move(regrouping: Regrouping, ids: Sequence[str], now: datetime) -> int:
    """Move messages to the other session, with what waits for them in the outbox; gives how many.

    Each is moved by one update, whoever else moves it too, and counted by whoever moved it.
    """
    earlier, later = ObjectId(regrouping.earlier), ObjectId(regrouping.later)
    source, target = (earlier, later) if regrouping.parts else (later, earlier)
    mark = {"id": regrouping.id, "from": source, "by": regrouping.by, "at": regrouping.at}
    marking = {"$pull": {"moved": {"id": regrouping.id}}} if regrouping.is_undone else {"$push": {"moved": mark}}
    moved = 0
    for some in _batches(ids):
        change = {"$set": {"session_id": target}, **marking}
        done = collection(MessageDocument).update_many({"_id": {"$in": some}, "session_id": source}, change)
        _count(source, -done.modified_count, now)
        _count(target, done.modified_count, now)
        rows = [name for one in some for name in (one, answer_id(one), f"media:{one}", f"delete:{one}")]
        collection(OutboxDocument).update_many({"_id": {"$in": rows}}, {"$set": {"session_id": target}})
        moved += done.modified_count
    return moved


def _count(session_id: ObjectId, messages: int, now: datetime) -> None:
    if messages:
        which = {"_id": session_id, "merged_into": {"$exists": False}}
        change = {"$inc": {"message_count": messages}, "$max": {"updatedAt": now}}
        collection(SessionDocument).update_one(which, change)


def _batches(ids: Sequence[str]) -> list[list[str]]:
    return [list(ids[start : start + _AT_ONCE]) for start in range(0, len(ids), _AT_ONCE)]
