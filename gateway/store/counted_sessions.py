"""What is stored of some sessions, to compare it with what is expected: counts, states, and where messages are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bson import ObjectId

from gateway.store.connection import collection
from gateway.store.documents import MessageDocument, SessionDocument

BATCH = 1000


@dataclass(frozen=True, slots=True)
class Counted:
    """A session: what it counts itself, and the messages that are stored in it."""

    id: str
    status: str
    closed_reason: str
    message_count: int
    inbound: int = 0
    outbound: int = 0


@dataclass(frozen=True, slots=True)
class Filed:
    """Where an inbound message is: its session, its moment, and the threshold it was judged by (None: never)."""

    id: str
    session_id: str
    at: datetime
    threshold_seconds: float | None


def sessions(session_ids: Sequence[str]) -> dict[str, Counted]:
    """Count what is stored of these sessions."""
    found: dict[str, Counted] = {}
    for start in range(0, len(session_ids), BATCH):
        found |= _sessions(session_ids[start : start + BATCH])
    return found


def _sessions(session_ids: Sequence[str]) -> dict[str, Counted]:
    ids = [ObjectId(one) for one in session_ids]
    by_direction = collection(MessageDocument).aggregate(
        [
            {"$match": {"session_id": {"$in": ids}}},
            {"$group": {"_id": {"session": "$session_id", "direction": "$direction"}, "messages": {"$sum": 1}}},
        ]
    )
    stored = {(row["_id"]["session"], row["_id"].get("direction")): row["messages"] for row in by_direction}
    found = collection(SessionDocument).find(
        {"_id": {"$in": ids}}, {"status": 1, "closed_reason": 1, "message_count": 1}
    )
    return {
        str(row["_id"]): Counted(
            str(row["_id"]),
            row.get("status") or "",
            row.get("closed_reason") or "",
            row.get("message_count") or 0,
            stored.get((row["_id"], "inbound"), 0),
            stored.get((row["_id"], "outbound"), 0),
        )
        for row in found
    }


def filed(message_ids: Sequence[str]) -> dict[str, Filed]:
    """Look up where these messages are; those that are not stored are left out."""
    wanted = {"session_id": 1, "createdAt": 1, "decision.threshold_seconds": 1}
    found: dict[str, Filed] = {}
    for start in range(0, len(message_ids), BATCH):
        some = collection(MessageDocument).find({"_id": {"$in": list(message_ids[start : start + BATCH])}}, wanted)
        for row in some:
            threshold = (row.get("decision") or {}).get("threshold_seconds")
            found[row["_id"]] = Filed(row["_id"], str(row["session_id"]), row["createdAt"], threshold)
    return found
