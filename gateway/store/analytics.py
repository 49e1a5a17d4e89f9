"""Counts by day and channel: read from messages and sessions by the worker, kept, and added up for the console."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from itertools import islice
from typing import Any

from bson import ObjectId
from pymongo import ReplaceOne

from gateway.core.daily import DAY, Begun, Happened, Tally, day_of
from gateway.store.connection import collection, deadline
from gateway.store.documents import NOT_PRIVATE, DailyCountDocument, JobDocument, MessageDocument, SessionDocument
from gateway.store.isolation import Channels, only

JOB = "daily_counts"
BATCH_SECONDS = 30
_AT_ONCE = 1000

# So much of a session is looked at to see what somebody waited for when a day began.
_BEFORE = 20

_COUNTED = {
    "session_id": 1,
    "channel_id": 1,
    "communication_type": 1,
    "direction": 1,
    "sender": 1,
    "createdAt": 1,
    "status": 1,
    "error_code": 1,
    "has_error": 1,
    "decision.kind": 1,
    "processing_time_ms": 1,
    "metadata.keyword": 1,
}


@dataclass(frozen=True, slots=True)
class Counted:
    """How far the counting is: up to when, and how many days wait to be counted."""

    until: datetime | None
    waiting: int


@dataclass(frozen=True, slots=True)
class DayTally:
    """What was counted on a day, on a channel."""

    day: datetime
    communication_type: str
    tally: Tally


def messages_of(day: datetime) -> Iterator[Happened]:
    """Give the messages of a day in the order in which they happened, a batch at a time."""
    wanted = {"createdAt": _within(day)} | NOT_PRIVATE
    found = collection(MessageDocument).find(wanted, _COUNTED, batch_size=_AT_ONCE)
    found = found.sort("createdAt", 1)
    try:
        while True:
            with deadline(BATCH_SECONDS):
                rows = list(islice(found, _AT_ONCE))
            if not rows:
                return
            yield from map(_happened, rows)
    finally:
        found.close()


def _within(day: datetime) -> dict[str, datetime]:
    return {"$gte": day, "$lt": day + DAY}


def _happened(row: Mapping[str, Any]) -> Happened:
    return Happened(
        session_id=str(row.get("session_id", "")),
        channel_id=row.get("channel_id") or "",
        communication_type=row.get("communication_type") or "",
        sender=row.get("sender") or "",
        at=row["createdAt"],
        is_inbound=row.get("direction") == "inbound",
        waits="keyword" not in (row.get("metadata") or {}),
        status=row.get("status"),
        error_code=row.get("error_code") and str(row["error_code"]),
        has_error=bool(row.get("has_error")),
        decision=(row.get("decision") or {}).get("kind"),
        processing_ms=row.get("processing_time_ms") or 0,
    )


def before(session_id: str, day: datetime) -> list[Happened]:
    """Give the last messages of a session before a day, oldest first."""
    if not ObjectId.is_valid(session_id):
        return []
    wanted = {"session_id": ObjectId(session_id), "createdAt": {"$lt": day}} | NOT_PRIVATE
    with deadline(BATCH_SECONDS):
        rows = list(collection(MessageDocument).find(wanted, _COUNTED).sort("createdAt", -1).limit(_BEFORE))
    return [_happened(row) for row in reversed(rows)]


def begun(session_ids: Sequence[str], day: datetime) -> Iterator[Begun]:
    """Give those of the sessions that began on a day."""
    wanted = {"channel_id": 1, "communication_type": 1, "first_message_at": 1, "metadata.firstMessageAt": 1}
    for start in range(0, len(session_ids), _AT_ONCE):
        ids = [ObjectId(one) for one in session_ids[start : start + _AT_ONCE] if ObjectId.is_valid(one)]
        with deadline(BATCH_SECONDS):
            rows = list(collection(SessionDocument).find({"_id": {"$in": ids}}, wanted))
        for row in rows:
            first = row.get("first_message_at") or (row.get("metadata") or {}).get("firstMessageAt")
            if isinstance(first, datetime) and day <= first < day + DAY:
                yield Begun(row.get("channel_id") or "", row.get("communication_type") or "")


def replace_day(day: datetime, tallies: Mapping[tuple[str, str], Tally], now: datetime) -> None:
    """Keep the counts of a day instead of those there are."""
    rows = [
        {
            "_id": f"{day:%Y-%m-%d}/{communication_type}/{channel_id}",
            "day": day,
            "channel_id": channel_id,
            "communication_type": communication_type,
            "counted_at": now,
            **_stored(tally),
        }
        for (channel_id, communication_type), tally in tallies.items()
    ]
    counts = collection(DailyCountDocument)
    with deadline(BATCH_SECONDS):
        if rows:
            counts.bulk_write([ReplaceOne({"_id": row["_id"]}, row, upsert=True) for row in rows], ordered=False)
        counts.delete_many({"day": day, "_id": {"$nin": [row["_id"] for row in rows]}})


def _stored(tally: Tally) -> dict[str, Any]:
    """Give counts as stored; what is counted by name as pairs, for a name may hold what a field's name may not."""
    values = {one.name: getattr(tally, one.name) for one in fields(tally)}
    return {
        name: [[key, count] for key, count in value.items()] if isinstance(value, Counter) else value
        for name, value in values.items()
    }


def _read(row: Mapping[str, Any]) -> Tally:
    tally = Tally()
    for one in fields(tally):
        value = row.get(one.name)
        if value:
            setattr(tally, one.name, Counter(dict(value)) if one.default_factory is Counter else value)
    return tally


def tallies(
    first: datetime, last: datetime, channels: Channels, *, communication_type: str = "", channel_id: str = ""
) -> Iterator[DayTally]:
    """Give the counts of the days from `first` to `last`, both included, on these channels."""
    wanted: dict[str, Any] = {"day": {"$gte": first, "$lte": last}}
    if communication_type:
        wanted["communication_type"] = communication_type
    chosen = [only(channels), *([{"channel_id": channel_id}] if channel_id else [])]
    for row in collection(DailyCountDocument).find({**wanted, "$and": chosen}).sort("day", 1):
        yield DayTally(row["day"], row["communication_type"], _read(row))


def days_with_messages(until: datetime) -> list[datetime]:
    """List all days on which something happened, jumping from one to the next by the index."""
    days: list[datetime] = []
    after: dict[str, Any] = {"$exists": True}
    while found := collection(MessageDocument).find_one(
        {"createdAt": {**after, "$lt": until}}, {"createdAt": 1}, sort=[("createdAt", 1)]
    ):
        days.append(day_of(found["createdAt"]))
        after = {"$gte": days[-1] + DAY}
    return days


def days_stored(since: datetime, until: datetime) -> list[datetime]:
    """List the days of what was stored in this time, whenever it happened."""
    day = {"$dateTrunc": {"date": "$createdAt", "unit": "day"}}
    steps: list[dict[str, Any]] = [{"$match": {"storedAt": {"$gte": since, "$lt": until}}}, {"$group": {"_id": day}}]
    return [row["_id"] for row in collection(MessageDocument).aggregate(steps) if row["_id"]]


def last_counted(since: datetime) -> dict[datetime, datetime]:
    """Tell when each day since a moment was counted last."""
    times: dict[datetime, datetime] = {}
    for row in collection(DailyCountDocument).find({"day": {"$gte": since}}, {"day": 1, "counted_at": 1}):
        times[row["day"]] = min(row["counted_at"], times.get(row["day"], row["counted_at"]))
    return times


def with_counts(days: Collection[datetime]) -> set[datetime]:
    """Tell which of these days were counted, and had something."""
    wanted = {"day": {"$in": sorted(days)}}
    return set(collection(DailyCountDocument).distinct("day", wanted)) if days else set()


def queue(days: Iterable[datetime], until: datetime) -> None:
    """Let days be counted, and note that all that was stored up to a moment is thought of; both or neither."""
    collection(JobDocument).update_one(
        {"_id": JOB}, {"$addToSet": {"days": {"$each": sorted(set(days))}}, "$max": {"until": until}}, upsert=True
    )


def queue_again(days: Iterable[datetime]) -> None:
    """Let days be counted once more. Where nothing was counted yet, all days will be."""
    known = {"_id": JOB, "until": {"$exists": True}}
    collection(JobDocument).update_one(known, {"$addToSet": {"days": {"$each": sorted(set(days))}}})


def waiting() -> list[datetime]:
    """List the days that are to be counted, the newest first."""
    found = collection(JobDocument).find_one({"_id": JOB}, {"days": 1})
    return sorted((found or {}).get("days") or (), reverse=True)


def done(day: datetime) -> None:
    """Note that a day is counted."""
    collection(JobDocument).update_one({"_id": JOB}, {"$pull": {"days": day}})


def counted() -> Counted:
    """Tell how far the counting is."""
    found = collection(JobDocument).find_one({"_id": JOB}, {"until": 1, "days": 1}) or {}
    return Counted(found.get("until"), len(found.get("days") or ()))
