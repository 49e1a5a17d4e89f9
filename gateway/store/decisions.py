"""What was decided about messages that came in, newest first, however many there are.

No index knows decisions, so a page looks at a bounded part of one that knows the time, and says where it came to. A
page may therefore hold less than was asked for, or nothing, and still be followed by another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId

from gateway.core.times import epoch_ms, from_epoch_ms
from gateway.store import groups, transcripts
from gateway.store.connection import collection
from gateway.store.documents import NOT_DELETED, MessageDocument, SessionDocument
from gateway.store.isolation import Channels, only

# So many messages are looked at in one go: few at first, which is a page of them all, then as many again, which takes
# under 5 ms of MongoDB's time with all else, on a busy machine too.
WINDOWS = (500, 500)

# MongoDB merges the ranges of so many sessions instead of sorting what is in them.
_SESSIONS = 150

_END = datetime(9999, 1, 1, tzinfo=UTC)
_LISTED = {
    "session_id": 1,
    "channel_id": 1,
    "communication_type": 1,
    "contact_id": 1,
    "createdAt": 1,
    "storedAt": 1,
    "decision": 1,
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which decisions; what is left empty chooses nothing. `until` is the first moment after the range.

    `sessions` matches the sessions they are about, by fields with an index; None is all of them.
    """

    kind: str = ""
    rule: str = ""
    communication_type: str = ""
    channel_id: str = ""
    since: datetime | None = None
    until: datetime | None = None
    gap_at_least: float | None = None
    gap_at_most: float | None = None
    sessions: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some decisions, each with its message's place, and where the next page begins; None on the last."""

    rows: list[dict[str, Any]]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class _Place:
    """Everything before it was looked at: what is newer, and of the same moment what has this id or a greater one."""

    at: datetime
    message_id: str = ""

    @property
    def cursor(self) -> str:
        return f"{epoch_ms(self.at)}-{self.message_id}"


def of_session(session_id: str) -> dict[str, Any]:
    """Match one session."""
    return {"_id": ObjectId(session_id) if ObjectId.is_valid(session_id) else None}


def of_contact(contact_id: str) -> dict[str, Any]:
    """Match the sessions of a contact, and of those that were merged with it."""
    person = groups.find(contact_id)
    return {"contact_id": {"$in": list(person.ids) if person else []}}


def of_number(number: str) -> dict[str, Any]:
    """Match the sessions with a number."""
    return {"metadata.fromNumber": number}


def page(wanted: Wanted, *, cursor: str, limit: int, channels: Channels) -> Page:
    """List decisions by the moment of their message. ValueError if the cursor is not ours."""
    place = _read_cursor(cursor) if cursor else _Place(wanted.until or _END)
    found: list[dict[str, Any]] = []
    for size in WINDOWS:
        among, floor = _among(wanted, place, channels, size)
        rows = _window(wanted, place, floor, among, channels, limit=limit - len(found) + 1)
        if len(found) + len(rows) > limit:
            found += rows[: limit - len(found)]
            return Page(_shown(found, channels), _Place(found[-1]["createdAt"], str(found[-1]["_id"])).cursor)
        found += rows
        if floor is None:
            return Page(_shown(found, channels), None)
        place = _Place(floor)
    return Page(_shown(found, channels), place.cursor)


def _among(
    wanted: Wanted, place: _Place, channels: Channels, size: int
) -> tuple[list[ObjectId] | None, datetime | None]:
    """Choose where to look: in which sessions, None is all, and back to when, None is to the beginning."""
    if wanted.sessions is None:
        return None, _floor(wanted, place, {}, "happened", size)
    begun = {} if "_id" in wanted.sessions else {"first_message_at": {"$lte": place.at}}
    every = [dict(wanted.sessions), begun, NOT_DELETED, only(channels)]
    found = collection(SessionDocument).find({"$and": [one for one in every if one]}, {"last_message_at": 1})
    rows = list(found.sort("last_message_at", -1).limit(_SESSIONS + 1))
    ids = [row["_id"] for row in rows[:_SESSIONS]]
    floor = _floor(wanted, place, {"session_id": {"$in": ids}}, "transcript", size)
    # What lies before the newest moment of the next session may be that one's.
    next_one = rows[_SESSIONS]["last_message_at"] if len(rows) > _SESSIONS else None
    return ids, max((one for one in (floor, next_one) if one and one < place.at), default=floor)


def _before(wanted: Wanted, place: _Place) -> dict[str, Any]:
    return {"$lte" if place.message_id else "$lt": place.at} | ({"$gte": wanted.since} if wanted.since else {})


def _floor(wanted: Wanted, place: _Place, where: Mapping[str, Any], index: str, size: int) -> datetime | None:
    """Find how far back a window reaches; None where it is the last. What is of one moment is never torn apart."""
    entries = {**where, "createdAt": _before(wanted, place)}
    found = collection(MessageDocument).find(entries, {"_id": 0, "createdAt": 1}).hint(index)
    beyond = next(found.sort("createdAt", -1).skip(size).limit(1), None)
    return beyond["createdAt"] if beyond else None


def _window(
    wanted: Wanted,
    place: _Place,
    floor: datetime | None,
    among: Sequence[ObjectId] | None,
    channels: Channels,
    *,
    limit: int,
) -> list[dict[str, Any]]:
    moment = _before(wanted, place) | ({"$gte": floor} if floor else {})
    every = [{"createdAt": moment}, only(channels), *_conditions(wanted)]
    if place.message_id:
        same = {"createdAt": place.at, "_id": {"$lt": place.message_id}}
        every.append({"$or": [{"createdAt": {"$lt": place.at}}, same]})
    if among is not None:
        every.append({"session_id": {"$in": list(among)}})
    hint = "happened" if among is None else "transcript"
    rows = _newest(every, hint, [("createdAt", -1)], limit)
    if len(rows) < limit:
        return sorted(rows, key=_order, reverse=True)
    edge = rows[-1]["createdAt"]
    newer = sorted((row for row in rows if row["createdAt"] > edge), key=_order, reverse=True)
    # No index has the order within a moment, so that of the last one is asked for by itself.
    return newer + _newest([*every, {"createdAt": edge}], hint, [("_id", -1)], limit - len(newer))


def _newest(
    every: Sequence[Mapping[str, Any]], hint: str, order: list[tuple[str, int]], limit: int
) -> list[dict[str, Any]]:
    found = collection(MessageDocument).find({"$and": [one for one in every if one]}, _LISTED)
    return list(found.hint(hint).sort(order).limit(limit))


def _order(row: Mapping[str, Any]) -> tuple[datetime, bool, str]:
    # As MongoDB has it: what was adopted may have ObjectIds, which come after all texts.
    return row["createdAt"], isinstance(row["_id"], ObjectId), str(row["_id"])


def _conditions(wanted: Wanted) -> list[dict[str, Any]]:
    gap = {"$gte": wanted.gap_at_least, "$lte": wanted.gap_at_most}
    gap = {how: seconds for how, seconds in gap.items() if seconds is not None}
    return [
        {"decision.kind": wanted.kind or {"$exists": True}},
        {"decision.rule": wanted.rule} if wanted.rule else {},
        {"communication_type": wanted.communication_type} if wanted.communication_type else {},
        {"channel_id": wanted.channel_id} if wanted.channel_id else {},
        {"decision.gap_seconds": gap} if gap else {},
    ]


def _shown(rows: list[dict[str, Any]], channels: Channels) -> list[dict[str, Any]]:
    """Give decisions as plain values, without those of deleted sessions and the ids of sessions on other channels."""
    if not rows:
        return []
    there = transcripts.visible({str(row["session_id"]) for row in rows}, None)
    rows = [row for row in rows if str(row["session_id"]) in there]
    named = {str(one) for row in rows for name, one in row["decision"].items() if name.endswith("session_id") and one}
    seen = named | there if channels is None else transcripts.visible(named | there, channels)
    return [_told(row, seen) | {"decision": _told(row["decision"], seen)} for row in rows]


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, ObjectId) else value


def _told(stored: Mapping[str, Any], seen: set[str]) -> dict[str, Any]:
    return {
        name: _as_text(one) if not name.endswith("session_id") else str(one) if one and str(one) in seen else None
        for name, one in stored.items()
    }


def _read_cursor(cursor: str) -> _Place:
    at, dash, message_id = cursor.partition("-")
    if not (at.isascii() and at.isdecimal()) or len(at) > 14 or not dash:
        raise ValueError(f"{cursor!r:.80} is no page of this list")
    return _Place(from_epoch_ms(int(at)), message_id)
