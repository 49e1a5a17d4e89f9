"""Sessions for reading: the pages of the admin console, newest first, at the same cost at any depth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId

from gateway.core.times import MILLISECOND
from gateway.store.connection import collection
from gateway.store.documents import MessageDocument, SessionDocument
from gateway.store.isolation import Channels, only

# A count is for the eye: beyond this it says "1,000+" instead of reading the whole index.
COUNT_LIMIT = 1000

_EPOCH = datetime.fromtimestamp(0, UTC)
_LISTED = {
    "title": 1,
    "communication_type": 1,
    "metadata": 1,
    "status": 1,
    "closed_reason": 1,
    "message_count": 1,
    "last_message_at": 1,
    "live": 1,
    "live_until": 1,
    "needs_person": 1,
}


@dataclass(frozen=True, slots=True)
class Page:
    """Some sessions, and where the next page begins; None on the last."""

    sessions: list[dict[str, Any]]
    next_cursor: str | None


def matching(types: Sequence[str], channels: Channels) -> dict[str, Any]:
    """Give the query of the list: what is shown there is what is exported."""
    return {"communication_type": {"$in": list(types)}} | only(channels)


def page(types: Sequence[str], *, cursor: str | None, limit: int, channels: Channels) -> Page:
    """List sessions of these types by last message, newest first. ValueError if the cursor is not ours."""
    wanted = matching(types, channels)
    if cursor:
        at, session_id = _read_cursor(cursor)
        wanted["$or"] = [
            {"last_message_at": {"$lt": at}},
            {"last_message_at": at, "_id": {"$lt": session_id}},
        ]
        wanted["last_message_at"] = {"$lte": at}
    rows = list(
        collection(SessionDocument).find(wanted, _LISTED).sort([("last_message_at", -1), ("_id", -1)]).limit(limit + 1)
    )
    more = len(rows) > limit
    return Page([_plain(row) for row in rows[:limit]], _cursor(rows[limit - 1]) if more else None)


def _cursor(row: Mapping[str, Any]) -> str:
    return f"{(row['last_message_at'] - _EPOCH) // MILLISECOND}-{row['_id']}"


def _read_cursor(cursor: str) -> tuple[datetime, ObjectId]:
    at, _, session_id = cursor.partition("-")
    if not at.isdecimal() or len(at) > 14 or not ObjectId.is_valid(session_id):
        raise ValueError(f"{cursor!r} is no page of this list")
    return _EPOCH + int(at) * MILLISECOND, ObjectId(session_id)


def count(communication_type: str, channels: Channels) -> int:
    """Count the sessions of a type, up to COUNT_LIMIT."""
    return collection(SessionDocument).count_documents(
        {"communication_type": communication_type} | only(channels), limit=COUNT_LIMIT, hint="listing"
    )


def one(session_id: str, channels: Channels) -> dict[str, Any] | None:
    """Give a whole session for reading; None where there is none on these channels."""
    if not ObjectId.is_valid(session_id):
        return None
    found = collection(SessionDocument).find_one({"_id": ObjectId(session_id)} | only(channels))
    return found and _plain(found)


def has_message(message_id: str, channels: Channels) -> bool:
    """Tell whether there is a message of that id on these channels."""
    return collection(MessageDocument).find_one({"_id": message_id} | only(channels), {"_id": 1}) is not None


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix("_"): str(value) if isinstance(value, ObjectId) else value for name, value in row.items()}
