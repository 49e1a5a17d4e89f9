"""Order and pace of what is sent: whose turn it is among one person's messages, and among one number's."""

import re
from datetime import datetime, timedelta
from typing import Any

from pymongo import ASCENDING, ReturnDocument

from gateway.core.times import MILLISECOND
from gateway.store.connection import collection
from gateway.store.documents import OutboxDocument, PaceDocument
from gateway.store.outbox import WAITING, Row

MOST_PIECES = 999


def one_before(row: Row, soon: datetime) -> datetime | None:
    """Tell when an earlier message to the same person is due that must go first; None where there is none.

    People get messages in order, but do not wait for what goes out only after `soon`; the pieces of one text
    always wait for each other.
    """
    if not row.lane:
        return None
    first = _piece(row)
    in_front = [{"due": {"$lte": soon}}, {"owner": {"$nin": ["", None]}}, *([first] if first else [])]
    earlier = {"lane": row.lane, "state": WAITING, "queued_at": {"$lt": row.queued_at}, "$or": in_front}
    found = collection(OutboxDocument).find_one(earlier, {"due": 1}, sort=[("queued_at", ASCENDING)])
    return found["due"] if found else None


def _piece(row: Row) -> dict[str, Any] | None:
    """Say which rows hold earlier pieces of the same text: their ids end in :2, :3 ..., a millisecond apart."""
    first, _, number = row.id.rpartition(":")
    if not first or not number.isdecimal() or len(number) > len(str(MOST_PIECES)):
        return None
    since = row.queued_at - int(number) * MILLISECOND
    return {"_id": {"$regex": f"^{re.escape(first)}(:[0-9]+)?$"}, "queued_at": {"$gte": since}}


def let_next_go(lane: str, now: datetime) -> str | None:
    """Make the next message to a person due that only waited for the one before; gives its id."""
    if not lane:
        return None
    waiting = {"lane": lane, "state": WAITING, "behind": True, "owner": "", "due": {"$gt": now}}
    found = collection(OutboxDocument).find_one_and_update(
        waiting, {"$set": {"due": now}}, {"_id": 1}, sort=[("queued_at", ASCENDING)]
    )
    return found["_id"] if found else None


def reserve(sender: str, now: datetime, span: timedelta) -> datetime:
    """Reserve the sending number for a time; gives when its turn comes."""
    before = collection(PaceDocument).find_one_and_update(
        {"_id": sender},
        [{"$set": {"free_at": {"$add": [{"$max": ["$free_at", now]}, span // MILLISECOND]}}}],
        upsert=True,
        return_document=ReturnDocument.BEFORE,
    )
    return max(now, before["free_at"]) if before else now
