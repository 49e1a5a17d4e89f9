"""The times of a session whose messages were moved: read from those it has, without racing what arrives meanwhile."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId

from gateway.core.messages import VOICE
from gateway.core.statuses import CALL_ENDS
from gateway.store import settling
from gateway.store.connection import collection
from gateway.store.documents import MessageDocument, SessionDocument

# Each attempt that fails means that a message was counted meanwhile.
ATTEMPTS = 16

# A second attempt of ours and a private note are no activity (T5).
_ACTIVITY = {"metadata.resendOf": {"$exists": False}, "metadata.private": {"$ne": True}}


def set_times(session_id: str, floor: Mapping[str, datetime]) -> None:
    """Set a session's times to those of its messages, but not before the floor; it may be done again at any time.

    What counts in between moves them itself, and is never overwritten.
    """
    sessions, which = collection(SessionDocument), {"_id": ObjectId(session_id), "merged_into": {"$exists": False}}
    for _ in range(ATTEMPTS):
        seen, times = sessions.find_one(which), _times(ObjectId(session_id))
        if seen is None or times is None:
            return
        changes = _changes(seen, times, floor)
        as_seen = {name: seen.get(name) for name in ("message_count", "last_message_at", "last_inbound_at")}
        if sessions.update_one(which | as_seen, {"$set": changes}).matched_count:
            return


def _changes(seen: Mapping[str, Any], times: Mapping[str, Any], floor: Mapping[str, datetime]) -> dict[str, Any]:
    """What was no activity when it came is none now: a session's last moment is never set beyond what it was."""
    first = min(filter(None, [times["first"], floor.get("first_message_at")]))
    inbound = max(filter(None, [times["inbound"], floor.get("last_inbound_at")]), default=None)
    last = max(filter(None, [min(times["last"], seen["last_message_at"]), inbound, floor.get("last_message_at")]))
    changes = {"first_message_at": first, "last_message_at": last, "metadata.firstMessageAt": first}
    return changes | ({"last_inbound_at": inbound} if inbound else {})


def _times(session_id: ObjectId) -> Mapping[str, Any] | None:
    """Read the times; the end of a call is activity of both sides, as it was when it was told (T6)."""
    inbound = {"$eq": ["$direction", "inbound"]}
    ended = {"$and": [inbound, {"$eq": ["$communication_type", VOICE]}, {"$in": ["$status", sorted(CALL_ENDS)]}]}
    moment = {"$cond": [ended, {"$max": ["$createdAt", {"$max": "$status_history.at"}]}, "$createdAt"]}
    rows = collection(MessageDocument).aggregate(
        [
            {"$match": {"session_id": session_id, **_ACTIVITY}},
            {
                "$group": {
                    "_id": None,
                    "first": {"$min": "$createdAt"},
                    "last": {"$max": moment},
                    "inbound": {"$max": {"$cond": [inbound, moment, None]}},
                }
            },
        ]
    )
    return next(iter(rows), None)


def is_quiet(session_ids: Sequence[str], since: datetime) -> bool:
    """Tell whether nothing was stored in these sessions since a moment: then all that was is counted."""
    fresh = {"session_id": {"$in": [ObjectId(one) for one in session_ids]}, "storedAt": {"$gte": since}}
    return collection(MessageDocument).find_one(fresh, {"_id": 1}) is None


def recount(session_ids: Sequence[str]) -> int:
    """Put the counts of quiet sessions right; gives how many were wrong."""
    return settling.recount([ObjectId(one) for one in session_ids])
