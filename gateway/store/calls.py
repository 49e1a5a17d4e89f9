"""What is stored of a call beside its turns: status, recordings, the outcome of a dial."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId

from gateway.core.messages import Attachment, CallEnds, CallEvent
from gateway.core.statuses import CALL_RANK, outranked
from gateway.store.connection import collection
from gateway.store.documents import MessageDocument
from gateway.store.messages import Claimed, claimed, stored_media


def latest_turn(call_sid: str) -> Claimed | None:
    """Find the last stored turn of a call."""
    found = collection(MessageDocument).find({"_id": {"$gte": f"{call_sid}:", "$lt": f"{call_sid};"}})
    return max(map(claimed, found), key=lambda turn: _turn_number(turn.id), default=None)


def _turn_number(message_id: str) -> int:
    number = message_id.rpartition(":")[2]
    return int(number) if number.isdecimal() else -1


def began(call_sid: str) -> datetime | None:
    """Tell when a call's first webhook came; None where it is not stored."""
    found = collection(MessageDocument).find_one({"_id": f"{call_sid}:0"}, {"createdAt": 1})
    return found["createdAt"] if found else None


def ends(call_sid: str) -> CallEnds | None:
    """Find who called which number; None where the call is not stored."""
    found = collection(MessageDocument).find_one({"_id": f"{call_sid}:0"}, {"channel_id": 1, "metadata": 1})
    if found is None:
        return None
    told = found.get("metadata") or {}
    caller, line, account = (str(told.get(name) or "") for name in ("From", "To", "AccountSid"))
    return CallEnds(found["channel_id"], caller, line, account or None)


def add_to_call(call_sid: str, parameters: Mapping[str, Any]) -> bool:
    """Keep what a callback says of a call on the call's first message; False where that is not stored."""
    if not parameters:
        return collection(MessageDocument).find_one({"_id": f"{call_sid}:0"}, {"_id": 1}) is not None
    done = collection(MessageDocument).update_one(
        {"_id": f"{call_sid}:0"}, {"$set": {f"metadata.{name}": value for name, value in parameters.items()}}
    )
    return done.matched_count == 1


def apply_call_status(event: CallEvent) -> str | None:
    """Add a status to a call's history and let it take effect if none of a higher rank came before.

    Gives the session of the call, None where the call is unknown.
    """
    messages, first = collection(MessageDocument), {"_id": f"{event.sid}:0"}
    found = messages.find_one(first, {"session_id": 1})
    if found is None:
        return None
    entry = {"status": event.status, "at": event.received_at, "sequence": event.sequence}
    seen = {"status_history": {"$elemMatch": {"status": event.status, "sequence": event.sequence}}}
    messages.update_one(first | {"$nor": [seen]}, {"$push": {"status_history": entry}})
    lower = [*outranked(event.status, CALL_RANK), "received"]
    messages.update_one(
        first | {"status": {"$in": lower}},
        {
            "$set": {
                "status": event.status,
                **{f"metadata.{name}": value for name, value in event.parameters.items()},
            }
        },
    )
    return str(found["session_id"])


def attach(attachment: Attachment, session_id: str, channel: Mapping[str, Any], now: datetime) -> bool:
    """Store a recording, or add what a later callback says of it; True if it was new."""
    changes: dict[str, Any] = {f"metadata.{name}": value for name, value in attachment.parameters.items()}
    changes["content"] = attachment.content or ""
    # What a callback does not know, or only announces, must not take away what another one said.
    known = {name: value for name, value in changes.items() if attachment.final and (name != "content" or value)}
    media = [stored_media(attachment.media)] if attachment.media else []
    fresh = {name: value for name, value in changes.items() if name not in known} | {
        "media": media,
        "session_id": ObjectId(session_id),
        **channel,
        "direction": "inbound",
        "sender": "contact",
        "provider_sid": attachment.id,
        "status": "received",
        "createdAt": attachment.received_at,
        "storedAt": now,
    }
    done = collection(MessageDocument).update_one(
        {"_id": attachment.id}, {**({"$set": known} if known else {}), "$setOnInsert": fresh}, upsert=True
    )
    if media and attachment.final and done.upserted_id is None:
        # Once the file is settled, its entry says where it is kept, and no callback takes that away.
        unsettled = {"media.stored": {"$ne": True}, "media.refused": {"$exists": False}}
        collection(MessageDocument).update_one({"_id": attachment.id} | unsettled, {"$set": {"media": media}})
    return done.upserted_id is not None


def homes(call_sids: Sequence[str]) -> dict[str, str]:
    """Find the sessions of calls."""
    first = {f"{sid}:0": sid for sid in call_sids}
    found = collection(MessageDocument).find({"_id": {"$in": list(first)}}, {"session_id": 1})
    return {first[row["_id"]]: str(row["session_id"]) for row in found}


def call_of(call_sid: str) -> tuple[str, dict[str, Any]] | None:
    """Find the session of a call, and the channel and contact its messages share."""
    found = collection(MessageDocument).find_one(
        {"_id": f"{call_sid}:0"}, {"session_id": 1, "channel_id": 1, "communication_type": 1, "contact_id": 1}
    )
    if found is None:
        return None
    del found["_id"]
    return str(found.pop("session_id")), found
