"""What a backfill asks of the database: what is known of the provider's log, and rows that may be its entries."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId

from gateway.core.logged import Candidate
from gateway.store.connection import collection
from gateway.store.documents import NOT_PRIVATE, MessageDocument, OutboxDocument, SessionDocument
from gateway.store.outbox import WAITING


@dataclass(frozen=True, slots=True)
class Known:
    """A row that carries a provider's id already. A recording may only be announced, its file still to come."""

    id: str
    inbound: bool
    status: str | None
    contact_id: str | None = None
    is_announced: bool = False


def known(sids: Sequence[str]) -> dict[str, Known]:
    """Find what is stored under these provider ids: as its own id, or on a message of ours; calls by `<sid>:0`."""
    wanted = {"direction": 1, "status": 1, "provider_sid": 1, "contact_id": 1, "metadata.RecordingStatus": 1}
    messages, found = collection(MessageDocument), {}
    by_id = {"_id": {"$in": [*sids, *(f"{sid}:0" for sid in sids)]}}
    by_sid = {"direction": "outbound", "provider_sid": {"$in": list(sids)}}
    # Two queries, each with an index of its own.
    for rows in (messages.find(by_id, wanted), messages.find(by_sid, wanted)):
        for row in rows:
            found[row.get("provider_sid") or row["_id"].removesuffix(":0")] = _known(row)
    return found


def _known(row: dict[str, Any]) -> Known:
    contact_id = row.get("contact_id")
    return Known(
        id=str(row["_id"]),
        inbound=row.get("direction") == "inbound",
        status=row.get("status"),
        contact_id=contact_id and str(contact_id),
        is_announced=(row.get("metadata") or {}).get("RecordingStatus") == "in-progress",
    )


def candidates(
    keys: Sequence[str],
    *,
    communication_type: str,
    channel_id: str | None,
    inbound: bool,
    sid: str,
    since: datetime,
    until: datetime,
) -> list[Candidate]:
    """List a person's rows of this time that carry no provider's id, or this very one.

    A row the provider refused, or that was canceled before it was sent, is no entry of its log. Rows that were
    adopted may name neither type nor channel; their session's key does.
    """
    sessions = collection(SessionDocument).find(
        {"keys": {"$in": list(keys)}, "last_message_at": {"$gte": since}}, {"_id": 1}
    )
    rows = collection(MessageDocument).find(
        {
            "session_id": {"$in": [session["_id"] for session in sessions]},
            "createdAt": {"$gte": since, "$lte": until},
            "direction": "inbound" if inbound else "outbound",
            "provider_sid": {"$in": [None, sid]},
            "communication_type": {"$in": [communication_type, None]},
            "channel_id": {"$in": [channel_id, None]},
            **NOT_PRIVATE,
            "$nor": [{"status": "canceled"}, {"status": "failed", "error_code": {"$exists": True}}],
        },
        {"createdAt": 1, "content": 1, "template": 1, "provider_sid": 1, "status": 1, "contact_id": 1},
    )
    return [
        Candidate(
            id=str(row["_id"]),
            at=row["createdAt"],
            text=row.get("content") or "",
            is_template=bool(row.get("template")),
            sid=row.get("provider_sid"),
            status=row.get("status"),
            contact_id=row.get("contact_id") and str(row["contact_id"]),
        )
        for row in rows
    ]


def is_being_sent(message_id: str) -> bool:
    """Tell whether the outbox is still at work on a message of ours: then it looks it up at the provider itself."""
    return collection(OutboxDocument).find_one({"_id": message_id, "state": WAITING}, {"_id": 1}) is not None


def take(row_id: str, sid: str) -> bool:
    """Give a row the provider's id of the entry it is; False where it is another's by now. It never changes again."""
    # Rows that were adopted have ObjectIds, which are written the same.
    ids = [row_id, *([ObjectId(row_id)] if ObjectId.is_valid(row_id) else [])]
    which = {"_id": {"$in": ids}, "provider_sid": {"$in": [None, sid]}}
    return collection(MessageDocument).update_one(which, {"$set": {"provider_sid": sid}}).matched_count == 1


def count_sent(session_id: str, moment: datetime, now: datetime) -> None:
    """Count a message that went out from elsewhere. It belongs to its time, and opens nothing again."""
    collection(SessionDocument).update_one(
        {"_id": ObjectId(session_id)},
        {
            "$inc": {"message_count": 1},
            "$max": {"last_message_at": moment, "updatedAt": now},
            "$min": {"first_message_at": moment, "metadata.firstMessageAt": moment},
        },
    )
