"""Sessions for reading: the pages of the admin console, newest first, at the same cost at any depth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId

from gateway.core.times import MILLISECOND
from gateway.store.connection import collection
from gateway.store.documents import NOT_DELETED, MessageDocument, SessionDocument
from gateway.store.isolation import Channels, only

# A count is for the eye: beyond this it says "1,000+" instead of reading the whole index.
COUNT_LIMIT = 1000

TYPES = ("sms", "whatsapp", "voice", "chat")
STATUSES = ("active", "closed", "archived")

_EPOCH = datetime.fromtimestamp(0, UTC)
_NEWEST_FIRST = [("last_message_at", -1), ("_id", -1)]
_LISTED = {
    "title": 1,
    "channel_id": 1,
    "contact_id": 1,
    "communication_type": 1,
    "metadata": 1,
    "status": 1,
    "closed_reason": 1,
    "message_count": 1,
    "last_message_at": 1,
    "last_inbound_at": 1,
    "live": 1,
    "live_until": 1,
    "needs_person": 1,
    "assigned_to": 1,
    "seen_at": 1,
    "has_failed": 1,
    "tags": 1,
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which sessions are listed; what is left empty chooses nothing. `until` is the first moment after the range.

    `number_starts` are beginnings of the person's number, `among` the only sessions that come into question.
    """

    communication_type: str = ""
    status: str = ""
    channel_id: str = ""
    since: datetime | None = None
    until: datetime | None = None
    failed: bool = False
    needs_person: bool = False
    tag: str = ""
    assigned_to: str = ""
    unassigned: bool = False
    number_starts: tuple[str, ...] = ()
    contact_ids: tuple[str, ...] = ()
    among: Sequence[ObjectId] | None = None

    @property
    def is_narrow(self) -> bool:
        """Tell whether an index of its own holds what is wanted.

        The beginning of a number may be that of a few or of nearly all: MongoDB tries which way is shorter.
        """
        marked = self.failed or self.needs_person or self.tag or self.assigned_to
        return bool(marked or self.contact_ids or self.among is not None)


@dataclass(frozen=True, slots=True)
class Page:
    """Some sessions, and where the next page begins; None on the last."""

    sessions: list[dict[str, Any]]
    next_cursor: str | None


def page(
    wanted: Wanted,
    *,
    cursor: str | None,
    limit: int,
    channels: Channels,
    fields: Mapping[str, int] = _LISTED,
    oldest_first: bool = False,
) -> Page:
    """List sessions by last message, newest (or oldest) first. ValueError if the cursor is not ours."""
    query, beyond = matching(wanted, channels), "$gt" if oldest_first else "$lt"
    if cursor:
        at, session_id = _read_cursor(cursor)
        rest = [{"last_message_at": {beyond: at}}, {"last_message_at": at, "_id": {beyond: session_id}}]
        query = {"$and": [query, {"$or": rest}, {"last_message_at": {f"{beyond}e": at}}]}
    order = [(name, -direction if oldest_first else direction) for name, direction in _NEWEST_FIRST]
    rows = list(collection(SessionDocument).find(query, fields).sort(order).limit(limit + 1))
    more = len(rows) > limit
    return Page([_plain(row) for row in rows[:limit]], _cursor(rows[limit - 1]) if more else None)


def exists(wanted: Wanted, channels: Channels) -> bool:
    """Tell whether there is any such session."""
    return collection(SessionDocument).find_one(matching(wanted, channels), {"_id": 1}) is not None


def matching(wanted: Wanted, channels: Channels) -> dict[str, Any]:
    """Match what is wanted on these channels, so that one index gives it in order."""
    every = [only(channels), *_conditions(wanted)]
    if channels is None and not wanted.channel_id and not wanted.is_narrow:
        # With all values named, MongoDB merges the ends of an index instead of sorting what is in it.
        types = [wanted.communication_type] if wanted.communication_type else TYPES
        every.append({"communication_type": {"$in": types}})
    elif wanted.communication_type:
        every.append({"communication_type": wanted.communication_type})
    if wanted.is_narrow:
        # All others name types or statuses, of which what was merged or deleted has none.
        every.append({"merged_into": None} | NOT_DELETED)
    # What carries a mark is read from that mark's index alone. With the status named MongoDB would also think of
    # reading whole channels, and its plan for a silent channel would be taken for a busy one.
    if wanted.status or not wanted.is_narrow:
        every.append({"status": {"$in": [wanted.status] if wanted.status else STATUSES}})
    return {"$and": [condition for condition in every if condition]}


def _conditions(wanted: Wanted) -> list[dict[str, Any]]:
    within = {"$gte": wanted.since, "$lt": wanted.until}
    return [
        {"channel_id": wanted.channel_id} if wanted.channel_id else {},
        {"last_message_at": {how: at for how, at in within.items() if at}} if wanted.since or wanted.until else {},
        {"has_failed": True} if wanted.failed else {},
        {"needs_person": {"$exists": True}} if wanted.needs_person else {},
        {"tags": wanted.tag} if wanted.tag else {},
        {"assigned_to": wanted.assigned_to} if wanted.assigned_to else {},
        {"assigned_to": None} if wanted.unassigned else {},
        {"$or": [_beginning(start) for start in wanted.number_starts]} if wanted.number_starts else {},
        {"contact_id": {"$in": [ObjectId(one) for one in wanted.contact_ids]}} if wanted.contact_ids else {},
        {"_id": {"$in": list(wanted.among)}} if wanted.among is not None else {},
    ]


def _beginning(start: str) -> dict[str, Any]:
    """Match numbers by a range: the driver's regular expressions are Unicode ones, which read the whole index."""
    return {"metadata.fromNumber": {"$gte": start, "$lt": f"{start}\uffff"}}


def _cursor(row: Mapping[str, Any]) -> str:
    return f"{(row['last_message_at'] - _EPOCH) // MILLISECOND}-{row['_id']}"


def _read_cursor(cursor: str) -> tuple[datetime, ObjectId]:
    at, _, session_id = cursor.partition("-")
    if not at.isdecimal() or len(at) > 14 or not ObjectId.is_valid(session_id):
        raise ValueError(f"{cursor!r} is no page of this list")
    return _EPOCH + int(at) * MILLISECOND, ObjectId(session_id)


def counts(wanted: Mapping[str, tuple[Wanted, Channels]]) -> dict[str, int]:
    """Count sessions of several kinds, each up to COUNT_LIMIT, from an index alone and in one round trip."""
    kinds = [_count(name, one, channels) for name, (one, channels) in wanted.items()]
    union = [{"$unionWith": {"coll": SessionDocument._get_collection_name(), "pipeline": kind}} for kind in kinds[1:]]
    found = collection(SessionDocument).aggregate([*kinds[0], *union])
    return dict.fromkeys(wanted, 0) | {row["kind"]: row["sessions"] for row in found}


def _count(name: str, wanted: Wanted, channels: Channels) -> list[dict[str, Any]]:
    return [
        {"$match": matching(wanted, channels)},
        {"$limit": COUNT_LIMIT},
        {"$count": "sessions"},
        {"$set": {"kind": {"$literal": name}}},
    ]


# What a program is told of sessions in a list; what people and bots keep in one is read with that one alone.
TOLD = dict.fromkeys(
    (
        "title", "channel_id", "contact_id", "communication_type", "metadata", "status", "closed_reason", "closed_at",
        "message_count", "first_message_at", "last_message_at", "last_inbound_at", "previous_session_id", "bot_off",
        "needs_person", "assigned_to", "has_failed", "tags", "createdAt", "updatedAt",
    ),
    1,
)  # fmt: skip


def one(session_id: str, channels: Channels) -> dict[str, Any] | None:
    """Give a whole session for reading; None where there is none on these channels."""
    if not ObjectId.is_valid(session_id):
        return None
    found = collection(SessionDocument).find_one({"_id": ObjectId(session_id)} | NOT_DELETED | only(channels))
    return found and _plain(found)


def has_message(message_id: str, channels: Channels) -> bool:
    """Tell whether there is a message of that id on these channels."""
    found = collection(MessageDocument).find_one({"_id": message_id} | only(channels), {"session_id": 1})
    if found is None:
        return False
    there = {"_id": found.get("session_id")} | NOT_DELETED
    return collection(SessionDocument).find_one(there, {"_id": 1}) is not None


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix("_"): str(value) if isinstance(value, ObjectId) else value for name, value in row.items()}
