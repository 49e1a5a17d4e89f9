"""Counted pauses, kept beside the messages: a few thousand messages a chunk, in the order they were stored.

A chunk covers a span of `storedAt` and says how many messages it saw. Counting those again is a look at an index
that is there anyway, so whatever is deleted, restored or comes late is noticed by the number, whoever did it. The
chunks also say where to look for the messages of certain pauses, as no index does.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time
from typing import Any

from gateway.core.gaps import Tally
from gateway.core.times import MILLISECOND
from gateway.store.connection import collection
from gateway.store.documents import GapDocument, MessageDocument
from gateway.store.isolation import Channels

# A page of messages is found in a chunk within a few milliseconds; a million messages are two hundred chunks.
CHUNK = 5_000
# How many messages stored after the last chunk are counted while somebody waits.
LIVE = 20_000

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_END = datetime(9999, 1, 1, tzinfo=UTC)
_COUNTED = {
    "_id": 0, "channel_id": 1, "createdAt": 1, "metadata.private": 1,
    "decision.kind": 1, "decision.rule": 1, "decision.gap_seconds": 1, "decision.next_gap_seconds": 1,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Span:
    """When messages were stored; `until` is not included."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Part:
    """What was counted on one channel and day, as it is stored: `opened` of each length in `opened_gaps`, ascending."""

    channel_id: str
    day: datetime
    messages: int
    always: int
    held: int
    late: int
    opened_gaps: list[int]
    opened: list[int]
    joined_gaps: list[int]
    joined: list[int]

    def differs(self, threshold: float) -> bool:
        """Tell whether another threshold would file any of these messages otherwise."""
        if not threshold:
            return bool(self.held or self.joined)
        merges = bool(self.opened_gaps) and self.opened_gaps[0] <= threshold
        return merges or (bool(self.joined_gaps) and self.joined_gaps[-1] > threshold)


@dataclass(frozen=True, slots=True)
class Chunk:
    """What was counted in a span."""

    span: Span
    parts: list[Part]


@dataclass(frozen=True, slots=True)
class Counted:
    """Chunks, oldest first, and when they are true. `waiting` messages are not counted yet, LIVE or more."""

    chunks: list[Chunk]
    as_of: datetime | None
    waiting: bool = False


def read(channels: Channels, now: datetime, *, since: date | None = None, until: date | None = None) -> Counted:
    """Give what is counted of messages on these channels, of some days or all, up to now if it is not too much."""
    chunks = [_chunk(row) for row in collection(GapDocument).aggregate(_pipeline(channels, since, until))]
    end = _end()
    tail = _tally(Span(end, _END), limit=LIVE + 1)
    if tail.messages > LIVE:
        return Counted(chunks, end if end > _BEGINNING else None, waiting=True)
    recent = [
        part
        for part in tail.parts
        if (channels is None or part.channel_id in channels)
        and (since is None or part.day >= _midnight(since))
        and (until is None or part.day <= _midnight(until))
    ]
    return Counted([*chunks, Chunk(Span(end, _END), recent)], now)


def _pipeline(channels: Channels, since: date | None, until: date | None) -> list[dict[str, Any]]:
    conditions: list[dict[str, Any]] = []
    wanted: dict[str, Any] = {}
    if since is not None:
        wanted["last_day"] = {"$gte": _midnight(since)}
        conditions.append({"$gte": ["$$this.day", _midnight(since)]})
    if until is not None:
        conditions.append({"$lte": ["$$this.day", _midnight(until)]})
    if channels is not None:
        conditions.append({"$in": ["$$this.channel_id", sorted(channels)]})
    parts: Any = {"$filter": {"input": "$parts", "cond": {"$and": conditions}}} if conditions else 1
    return [{"$match": wanted}, {"$project": {"until": 1, "parts": parts}}, {"$sort": {"_id": 1}}]


def _end() -> datetime:
    last = collection(GapDocument).find_one({}, {"until": 1}, sort=[("_id", -1)])
    return last["until"] if last else _BEGINNING


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _chunk(row: Mapping[str, Any]) -> Chunk:
    return Chunk(Span(row["_id"], row["until"]), [Part(**part) for part in row["parts"]])


@dataclass(frozen=True, slots=True)
class _Tallied:
    messages: int
    parts: list[Part]


def _tally(span: Span, *, limit: int = 0) -> _Tallied:
    """Count the messages of a span."""
    tallies: dict[tuple[str, date], Tally] = {}
    messages = 0
    for row in collection(MessageDocument).find(_within(span), _COUNTED).hint("stored").limit(limit):
        messages += 1
        if (row.get("metadata") or {}).get("private"):
            continue
        key = (row.get("channel_id") or "", row["createdAt"].date())
        tallies.setdefault(key, Tally()).add(row.get("decision"))
    return _Tallied(messages, [_part(channel, day, tally) for (channel, day), tally in tallies.items()])


def _part(channel_id: str, day: date, tally: Tally) -> Part:
    opened, joined = sorted(tally.opened.items()), sorted(tally.joined.items())
    return Part(
        channel_id=channel_id,
        day=_midnight(day),
        messages=tally.messages,
        always=tally.always,
        held=tally.held,
        late=tally.late,
        opened_gaps=[gap for gap, _ in opened],
        opened=[count for _, count in opened],
        joined_gaps=[gap for gap, _ in joined],
        joined=[count for _, count in joined],
    )


def _within(span: Span) -> dict[str, Any]:
    return {"storedAt": {"$gte": span.since, "$lt": span.until}}


def count_on(quiet: datetime) -> bool:
    """Count the next chunk, up to a moment when nothing older is still on its way; False at the end."""
    last = collection(GapDocument).find_one({}, {"until": 1, "full": 1, "messages": 1}, sort=[("_id", -1)])
    since = _BEGINNING if last is None else last["until"] if last["full"] else last["_id"]
    if since >= quiet:
        return False
    full_at = _full_at(since, quiet)
    span = Span(since, full_at or quiet)
    if last is None or last["full"] or full_at or _count(span) != last["messages"]:
        _keep(span, _tally(span), full=full_at is not None)
    else:
        collection(GapDocument).update_one({"_id": since}, {"$set": {"until": quiet}})
    return full_at is not None


def _full_at(since: datetime, quiet: datetime) -> datetime | None:
    """Find where a chunk that begins then is full: messages of the same moment are never parted."""
    span = Span(since, quiet)
    stored = collection(MessageDocument).find(_within(span), {"_id": 0, "storedAt": 1}).hint("stored")
    beyond = next(stored.sort("storedAt", 1).skip(CHUNK).limit(1), None)
    if beyond is None:
        return None
    first = collection(MessageDocument).find_one(_within(span), {"_id": 0, "storedAt": 1}, sort=[("storedAt", 1)])
    full_at: datetime = beyond["storedAt"]
    all_at_once = first is not None and first["storedAt"] == full_at
    return min(full_at + MILLISECOND, quiet) if all_at_once else full_at


def _keep(span: Span, tallied: _Tallied, *, full: bool) -> None:
    chunk = {
        "until": span.until,
        "full": full,
        "messages": tallied.messages,
        "last_day": max((part.day for part in tallied.parts), default=_BEGINNING),
        "parts": [asdict(part) for part in tallied.parts],
        "checked_at": span.until,
    }
    collection(GapDocument).replace_one({"_id": span.since}, chunk, upsert=True)


def _count(span: Span) -> int:
    return collection(MessageDocument).count_documents(_within(span), hint="stored")


def check(chunks: int, now: datetime) -> int:
    """Look whether those full chunks that were not looked at for longest still hold; gives how many did not."""
    wrong = 0
    oldest = collection(GapDocument).find({"full": True}, {"until": 1, "messages": 1}).sort("checked_at", 1)
    for row in oldest.limit(chunks):
        span = Span(row["_id"], row["until"])
        if _count(span) != row["messages"]:
            _keep(span, _tally(span), full=True)
            wrong += 1
        collection(GapDocument).update_one({"_id": row["_id"]}, {"$set": {"checked_at": now}})
    return wrong


def count_anew() -> None:
    """Forget all counts; they are made again from the messages."""
    collection(GapDocument).delete_many({})


def count_again_from(stored: datetime) -> None:
    """Forget the counts of all that was stored since a moment; they are made again from the messages."""
    collection(GapDocument).delete_many({"until": {"$gt": stored}})


def spans(chunks: Sequence[Chunk], threshold: float, channels: Collection[str]) -> list[Span]:
    """Give where messages of these channels are stored that another threshold would file otherwise, newest first."""
    return [
        chunk.span
        for chunk in reversed(chunks)
        if any(part.channel_id in channels and part.differs(threshold) for part in chunk.parts)
    ]


def by_channel(chunks: Sequence[Chunk]) -> dict[str, Tally]:
    """Add up what was counted on each channel."""
    tallies: dict[str, Tally] = {}
    for chunk in chunks:
        for part in chunk.parts:
            _add(tallies.setdefault(part.channel_id, Tally()), part)
    return tallies


def _add(tally: Tally, part: Part) -> None:
    tally.messages += part.messages
    tally.always += part.always
    tally.held += part.held
    tally.late += part.late
    # A plain loop: a Counter for each part would take longer than the query.
    for sums, gaps, counts in (
        (tally.opened, part.opened_gaps, part.opened),
        (tally.joined, part.joined_gaps, part.joined),
    ):
        for gap, count in zip(gaps, counts, strict=True):
            sums[gap] += count
