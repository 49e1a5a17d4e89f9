"""When somebody last wrote to us, however many sessions they have had."""

from collections.abc import Sequence
from datetime import datetime

from bson import ObjectId

from gateway.core.times import MILLISECOND
from gateway.store.connection import collection
from gateway.store.documents import MessageDocument, SessionDocument

# Nobody is in two sessions at a time, so the newest few hold what was said last, unless all of these began lately. Of
# NEWEST nobody has as many in a day.
FEW, NEWEST = 20, 200


def last_inbound(keys: Sequence[str], communication_type: str, since: datetime) -> datetime | None:
    """Tell when somebody last wrote to us on a type of channel, looking back to a moment and at NEWEST sessions."""
    sessions = _lately(keys, since)
    if not sessions:
        return None
    found = collection(MessageDocument).find_one(
        {
            "session_id": {"$in": sessions},
            "createdAt": {"$gte": since},
            "direction": "inbound",
            "communication_type": communication_type,
        },
        {"createdAt": 1},
        sort=[("createdAt", -1)],
    )
    return found["createdAt"] if found else None


def _lately(keys: Sequence[str], since: datetime) -> list[ObjectId]:
    """Give the sessions of somebody that something was said in since a moment."""
    theirs, fields = {"keys": {"$in": list(keys)}}, {"first_message_at": 1, "last_message_at": 1}
    for most in (FEW, NEWEST):
        found = collection(SessionDocument).find(theirs, fields, limit=most, batch_size=most)
        newest = list(found.sort("first_message_at", -1))
        began = newest[-1].get("first_message_at") if len(newest) == most else None
        if began is None or began < since:
            break
    moments = {one["_id"]: one.get("last_message_at") for one in newest}
    return [one for one, at in moments.items() if at and at >= since - MILLISECOND]
