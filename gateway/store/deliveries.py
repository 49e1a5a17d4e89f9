"""What a program was told, or is to be: the events of one subscription in the outbox, listed and queued again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.core.times import epoch_ms, from_epoch_ms
from gateway.store.connection import collection
from gateway.store.documents import NOT_PRIVATE, MessageDocument, OutboxDocument
from gateway.store.isolation import Channels, only
from gateway.store.outbox import CANCELED, DONE, EVER, FAILED, WAITING

STATES = [WAITING, DONE, FAILED, CANCELED]
# Counts go no further.
COUNTED = 10_000
_PREFIX = "event"
TOO_OLD = "too_old: nobody took it in time"


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to a program. `status` and `milliseconds` are of the last try; no status is no answer."""

    id: str
    event: Mapping[str, Any]
    state: str
    queued_at: datetime
    tries: int
    due: datetime
    error: str
    finished_at: datetime | None
    status: int | None
    milliseconds: int | None


def row_id(subscription_id: str, delivery_id: str) -> str:
    """Give the outbox's id of a delivery."""
    return f"{_PREFIX}:{subscription_id}:{delivery_id}"


def delivery_id(row: str) -> str:
    """Give a delivery's id: what the outbox's says behind the subscription."""
    return row.split(":", 2)[2]


def _delivery(row: Mapping[str, Any]) -> Delivery:
    response = row.get("response") or {}
    return Delivery(
        id=delivery_id(row["_id"]),
        event=row.get("event") or {},
        state=row["state"],
        queued_at=row["queued_at"],
        tries=row.get("tries") or 0,
        due=row["due"],
        error=row.get("error") or "",
        finished_at=row.get("finished_at"),
        status=response.get("status"),
        milliseconds=response.get("milliseconds"),
    )


def get(subscription_id: str, delivery_id: str) -> Delivery | None:
    """Look up a delivery."""
    found = collection(OutboxDocument).find_one({"_id": row_id(subscription_id, delivery_id)})
    return _delivery(found) if found else None


def page(subscription_id: str, *, state: str = "", cursor: str = "", limit: int) -> tuple[list[Delivery], str | None]:
    """List deliveries, the newest first, and where the next page begins. ValueError if the cursor is not ours."""
    wanted: dict[str, Any] = {"subscription": subscription_id, "state": {"$in": [state] if state else STATES}}
    if cursor:
        at, last = _read_cursor(cursor)
        wanted["queued_at"] = {"$lte": at}
        wanted["$or"] = [{"queued_at": {"$lt": at}}, {"_id": {"$lt": row_id(subscription_id, last)}}]
    found = collection(OutboxDocument).find(wanted).hint("events").sort([("queued_at", -1), ("_id", -1)])
    rows = [_delivery(row) for row in found.limit(limit + 1)]
    shown = rows[:limit]
    return shown, f"{epoch_ms(shown[-1].queued_at)}-{shown[-1].id}" if len(rows) > limit else None


def _read_cursor(cursor: str) -> tuple[datetime, str]:
    at, _, last = cursor.partition("-")
    if not (at.isascii() and at.isdecimal()) or len(at) > 14 or not last:
        raise ValueError(f"{cursor!r:.80} is no page of this list")
    return from_epoch_ms(int(at)), last


def message(message_id: str, channels: Channels) -> dict[str, Any] | None:
    """Read the message an event is about; None where it is gone, private, or not on these channels."""
    found = collection(MessageDocument).find_one({"_id": message_id, **NOT_PRIVATE, **only(channels)})
    return found and found | {"session_id": str(found["session_id"])}


@dataclass(frozen=True, slots=True)
class Counts:
    """How many deliveries of a program wait, and failed within the week; COUNTED is that many or more."""

    waiting: int
    failed: int


def counts(subscription_id: str) -> Counts:
    """Count the deliveries of a program that are not done."""
    rows = collection(OutboxDocument)
    found = (
        rows.count_documents({"subscription": subscription_id, "state": state}, hint="events", limit=COUNTED)
        for state in (WAITING, FAILED)
    )
    return Counts(*found)


def newest_failed(subscription_id: str, limit: int) -> list[str]:
    """Give the ids of the newest deliveries that failed."""
    return [one.id for one in page(subscription_id, state=FAILED, limit=limit)[0]]


def again(row: str, now: datetime, give_up_at: datetime) -> bool:
    """Let a delivery that ended, however it did, be made again; False where it waits or is gone."""
    done = collection(OutboxDocument).update_one(
        {"_id": row, "state": {"$ne": WAITING}},
        {
            "$set": {"state": WAITING, "due": now, "owner": "", "tries": 0, "give_up_at": give_up_at},
            "$unset": {"finished_at": "", "error": "", "response": ""},
        },
    )
    return done.modified_count == 1


def hurry(subscription_id: str, now: datetime) -> int:
    """Make due at once what was put off, since its program takes events again; gives how much that was."""
    put_off = {"subscription": subscription_id, "state": WAITING, "due": {"$gt": now}, "owner": ""}
    return collection(OutboxDocument).update_many(put_off, {"$set": {"due": now}}).modified_count


def cancel_all(subscription_id: str, now: datetime, reason: str) -> int:
    """Let nothing more wait for a program; gives how much did."""
    done = collection(OutboxDocument).update_many(
        {"subscription": subscription_id, "state": WAITING},
        {"$set": {"state": CANCELED, "finished_at": now, "error": reason}},
    )
    return done.modified_count


def give_up(now: datetime) -> int:
    """End what nobody took in time; gives how much that was."""
    done = collection(OutboxDocument).update_many(
        {"state": WAITING, "give_up_at": {"$gt": EVER, "$lte": now}},
        {"$set": {"state": FAILED, "finished_at": now, "error": TOO_OLD}},
    )
    return done.modified_count
