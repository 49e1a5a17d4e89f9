"""Sessions for reading: the pages of the admin console, newest first, at the same cost at any depth."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bson import ObjectId

from gateway.store import walking
from gateway.store.connection import collection
from gateway.store.documents import NOT_DELETED, MessageDocument, SessionDocument
from gateway.store.isolation import Channels, only
from gateway.store.walking import Look

# Of numbers that begin alike fewer sessions than this are all read and sorted; of more the newest are soon come upon.
FEW = 2000

TYPES = ("sms", "whatsapp", "voice", "chat")
STATUSES = ("active", "closed", "archived")

_NUMBER, _NUMBERS = "metadata.fromNumber", "number"

# The index of each mark, which is in the order of the list, by what is wanted; the one of the fewest comes first.
_MARKS = {"needs_person": "needs_person", "failed": "failed", "tag": "tagged", "assigned_to": "assigned"}
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
        """Tell whether an index of its own holds what is wanted; many numbers may begin alike."""
        return bool(self.mark or self.contact_ids or self.among is not None)

    @property
    def mark(self) -> str:
        """Name a mark that is wanted; empty where none is."""
        return next((name for name in _MARKS if getattr(self, name)), "")


@dataclass(frozen=True, slots=True)
class Page:
    """Some sessions, and where the next page begins; None on the last, which a short one need not be."""

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
    """List sessions by last message, newest (or oldest) first. ValueError if the cursor is not ours.

    A page of a number's beginning is short, or empty, where its sessions are many but so far from here that looking for
    them takes long: the next one goes on where that ended.
    """
    place = walking.read_cursor(cursor) if cursor else None
    query, index = reading(wanted, channels)
    look, reached = Look(query, oldest_first, index), None
    if index in (None, _NUMBERS):
        rows = look.rows(place, limit + 1, fields)
    else:
        start = place[0] if place else _start(wanted, oldest_first=oldest_first)
        rows, reached = look.walk(place, limit + 1, fields, start=start)
    if len(rows) > limit:
        rows, reached = rows[:limit], walking.place_of(rows[limit - 1])
    return Page([_plain(row) for row in rows], walking.cursor(reached) if reached else None)


def reading(wanted: Wanted, channels: Channels) -> tuple[dict[str, Any], str | None]:
    """Give what to match and the index to match it in; None where MongoDB knows that one.

    For the beginning of a number it would try all of them until one has a page. Where the newest 50,000 of five million
    began otherwise, it fetched 200,000 of those that do begin so, from all over the disk, and was stopped after 5 s.
    """
    if not wanted.number_starts or wanted.contact_ids or wanted.among is not None:
        return matching(wanted, channels), None
    if _are_few(wanted):
        return matching(wanted, channels), _NUMBERS
    # With ranges MongoDB would look up each key that may come next, or read the sessions for two of them. An expression
    # it tries on keys as they come, in a quarter of the time.
    starts = "|".join(map(re.escape, wanted.number_starts))
    others = matching(replace(wanted, number_starts=()), channels)
    everywhere = channels is None and not wanted.channel_id
    index = _MARKS[wanted.mark] if wanted.mark else "by_type" if everywhere else "by_channel"
    return {"$and": [others, {_NUMBER: {"$regex": f"^(?:{starts})"}}]}, index


def _are_few(wanted: Wanted) -> bool:
    counting: list[dict[str, Any]] = [
        {"$match": _beginnings(wanted.number_starts)},
        {"$limit": FEW},
        {"$count": "sessions"},
    ]
    found = collection(SessionDocument).aggregate(counting, hint=_NUMBERS)
    return bool(next(found, {"sessions": 0})["sessions"] < FEW)


def _start(wanted: Wanted, *, oldest_first: bool) -> datetime:
    """Give the moment of the first session of that time, whatever it is."""
    look = Look(matching(Wanted(since=wanted.since, until=wanted.until), None), oldest_first, "by_type")
    return look.start()


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
        _beginnings(wanted.number_starts),
        {"contact_id": {"$in": [ObjectId(one) for one in wanted.contact_ids]}} if wanted.contact_ids else {},
        {"_id": {"$in": list(wanted.among)}} if wanted.among is not None else {},
    ]


def _beginnings(starts: Sequence[str]) -> dict[str, Any]:
    """Match numbers by ranges: the driver's regular expressions are Unicode ones, which read the whole index."""
    ranges = [{_NUMBER: {"$gte": start, "$lt": f"{start}\uffff"}} for start in starts]
    return {"$or": ranges} if ranges else {}


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
