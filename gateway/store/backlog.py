"""What waits in the outbox: how much, since when, and what nobody took."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from pymongo import ASCENDING

from gateway.store.connection import collection
from gateway.store.documents import OutboxDocument
from gateway.store.outbox import AT_HAND, AT_LEISURE, EVENT, STEPS, WAITING


def being_answered(ids: Sequence[str]) -> set[str]:
    """Tell which of these rows wait or are worked on."""
    found = collection(OutboxDocument).find({"_id": {"$in": list(ids)}, "state": WAITING}, {"_id": 1})
    return {row["_id"] for row in found}


def left_lying(now: datetime, *, overdue: timedelta, hint: timedelta, limit: int) -> list[str]:
    """List what nobody took although it is due, the oldest first, and note that a broker is told of it now.

    What was listed is not listed again while that hint lives: two sweepers, or a long queue, must not fill a broker.
    """
    rows = collection(OutboxDocument)
    wanted = {
        "state": WAITING,
        "step": {"$in": list(STEPS)},
        "due": {"$lte": now - overdue},
        "$or": [{"hinted_at": {"$exists": False}}, {"hinted_at": {"$lte": now - hint}}],
    }
    found = [row["_id"] for row in rows.find(wanted, {"_id": 1}).sort("due", ASCENDING).limit(limit)]
    if found:
        rows.update_many(wanted | {"_id": {"$in": found}}, {"$set": {"hinted_at": now}})
    return found


def depth() -> dict[str, int]:
    """Count the rows that wait, by step."""
    rows = collection(OutboxDocument)
    # Rows that are done are kept for a week and must not be read.
    counted = rows.aggregate([{"$match": AT_HAND}, {"$group": {"_id": "$step", "rows": {"$sum": 1}}}])
    # Of events only keys are read: there may be hundreds of thousands.
    events = rows.count_documents({"subscription": {"$gt": ""}, "state": WAITING}, hint="next_event")
    counts = {row["_id"]: row["rows"] for row in counted} | {EVENT: events}
    counts |= {step: rows.count_documents({"state": WAITING, "step": step}, hint="step_waiting") for step in AT_LEISURE}
    return {step: count for step, count in counts.items() if count}


def oldest() -> datetime | None:
    """Tell since when the row that waits longest has been waiting; events and CRMs may, for days, and are not meant."""
    found = collection(OutboxDocument).find_one(AT_HAND, {"queued_at": 1}, sort=[("queued_at", ASCENDING)])
    return found["queued_at"] if found else None
