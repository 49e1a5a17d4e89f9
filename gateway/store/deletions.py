"""Sessions that somebody deleted: hidden at once, given back if wanted, and removed some days later.

A deleted session keeps its keys, so the finder sees one that is closed for good and carries on what holds of its
sender (that the bot is off, whose they are). But it takes nothing more, not even what was said before it was deleted:
it has no `closed_at`, and so it is final at every moment.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from bson import ObjectId

from gateway.core.sessions import IDLE
from gateway.store.connection import collection
from gateway.store.documents import NOT_DELETED, RegroupingDocument, SessionDocument
from gateway.store.isolation import Channels, only

DELETED, CLOSED_BY = "deleted", "operator"
BATCH = 200


def hide(session_id: str, by: str, now: datetime) -> bool:
    """Delete a session, closed for good, unless a call is on; False where it is not there, or one is.

    What it was is put aside, as an operator's closing would have left it.
    """
    # An ended call was let go of; one whose end was never told ends by itself.
    no_call = [{"live": {"$in": [None, []]}}, {"live_until": {"$lt": now}}]
    there = {"retired": {"$exists": False}, "merged_into": {"$exists": False}} | NOT_DELETED
    goes_on = {"$or": [{"$eq": ["$status", "active"]}, {"$eq": ["$closed_reason", IDLE]}]}
    aside = {
        "at": now,
        "by": {"$literal": by},
        "status": {"$cond": [{"$eq": ["$status", "archived"]}, "archived", "closed"]},
        "closed_reason": {"$cond": [goes_on, CLOSED_BY, {"$ifNull": ["$closed_reason", CLOSED_BY]}]},
        "closed_at": {"$cond": [goes_on, now, {"$ifNull": ["$closed_at", now]}]},
    }
    done = collection(SessionDocument).update_one(
        {"_id": ObjectId(session_id), "$or": no_call, **there},
        [
            {"$set": {"deleted": aside, "updatedAt": now}},
            {"$set": {"closed_reason": DELETED}},
            {"$unset": ["status", "closed_at", "open_keys", "needs_person"]},
        ],
    )
    return done.modified_count == 1


def give_back(session_id: str, now: datetime) -> bool:
    """Let a deleted session be seen again, closed; False where it is none, or is being removed."""
    was = {name: f"$deleted.{name}" for name in ("status", "closed_reason", "closed_at")}
    done = collection(SessionDocument).update_one(
        {"_id": ObjectId(session_id), "deleted": {"$exists": True}, "retired": {"$exists": False}},
        [{"$set": {**was, "updatedAt": now}}, {"$unset": "deleted"}],
    )
    return done.modified_count == 1


def is_deleted(session_id: str, channels: Channels) -> bool:
    """Tell whether a session on these channels was deleted and can still be given back."""
    if not ObjectId.is_valid(session_id):
        return False
    deleted = {"_id": ObjectId(session_id), "deleted": {"$exists": True}, "retired": {"$exists": False}}
    return collection(SessionDocument).find_one(deleted | only(channels), {"_id": 1}) is not None


def is_being_regrouped(session_id: str) -> bool:
    """Tell whether somebody is splitting or merging a session right now."""
    return collection(RegroupingDocument).find_one({"busy": ObjectId(session_id)}, {"_id": 1}) is not None


def deleted_before(moment: datetime) -> Iterator[list[ObjectId]]:
    """Page through the sessions that were deleted before a moment and are not on their way out yet."""
    wanted: dict[str, Any] = {"deleted": {"$exists": True}, "deleted.at": {"$lte": moment}}
    while page := list(
        collection(SessionDocument).find({**wanted, "retired": {"$exists": False}}, {"_id": 1}).limit(BATCH)
    ):
        yield [row["_id"] for row in page]
