"""Messages in MongoDB: inserted once by their provider's id, with the decision and the answer beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.errors import BulkWriteError

from gateway.core.messages import InboundMessage, Media, StatusUpdate
from gateway.core.statuses import MESSAGE_RANK, outranked
from gateway.store.connection import collection
from gateway.store.documents import MessageDocument

DUPLICATE_KEY = 11000


@dataclass(frozen=True, slots=True)
class Answer:
    """What the sender was told: the truth a redelivery is answered from. No text, no message of ours."""

    state: str
    twiml: str
    text: str = ""
    responder: str = "none"
    milliseconds: float = 0.0


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """An inbound message with where it was filed and what it was answered."""

    message: InboundMessage
    session_id: str
    channel_id: str
    contact_id: str | None
    decision: Mapping[str, Any]
    answer: Answer
    now: datetime


@dataclass(frozen=True, slots=True)
class Claimed:
    """What is already stored under a provider's id."""

    id: str
    session_id: str
    twiml: str
    answered: bool
    decision: Mapping[str, Any]
    received_at: datetime
    call_status: str | None = None
    call_ended_at: datetime | None = None


def answer_id(message_id: str) -> str:
    """Give the id of the answer to a message."""
    return f"re:{message_id}"


def insert(turns: Sequence[StoredTurn]) -> set[str]:
    """Store turns, each with its answer, in one round trip; gives the ids that were new.

    Whatever is there already stays as it is: the id of the inbound message is the claim.
    """
    documents = [document for turn in turns for document in _documents(turn)]
    try:
        # Ordered: a claim that is taken must stop its own answer from being stored.
        collection(MessageDocument).insert_many(documents, ordered=True)
    except BulkWriteError as error:
        failures = error.details["writeErrors"]
        if not failures or any(failure["code"] != DUPLICATE_KEY for failure in failures):
            raise  # not confirmed by the majority: stored or not, a redelivery will tell
        return {document["_id"] for document in documents[: failures[0]["index"]]}
    return {document["_id"] for document in documents}


def _documents(turn: StoredTurn) -> list[dict[str, Any]]:
    return [_inbound(turn), _outbound(turn)] if turn.answer.text else [_inbound(turn)]


def _common(turn: StoredTurn) -> dict[str, Any]:
    return {
        "session_id": ObjectId(turn.session_id),
        "channel_id": turn.channel_id,
        "communication_type": turn.message.communication_type,
        "contact_id": None if turn.contact_id is None else ObjectId(turn.contact_id),
        "createdAt": turn.message.received_at,
        "storedAt": turn.now,
    }


def _inbound(turn: StoredTurn) -> dict[str, Any]:
    message, answer = turn.message, turn.answer
    return _common(turn) | {
        "_id": message.id,
        "direction": "inbound",
        "sender": "contact",
        "content": message.content,
        "provider_sid": message.provider_sid,
        "media": [stored_media(media) for media in message.media],
        "status": "received",
        "decision": _decision(turn.decision),
        "answer": {
            "state": answer.state,
            "twiml": answer.twiml,
            **(_kept(answer) if answer.text else {}),
        },
        "metadata": dict(message.metadata),
    }


def _kept(answer: Answer) -> dict[str, Any]:
    """Give what the answer's own message is made of, should its writer die before that is stored."""
    return {"text": answer.text, "responder": answer.responder, "milliseconds": answer.milliseconds}


def _outbound(turn: StoredTurn) -> dict[str, Any]:
    answer = turn.answer
    return _common(turn) | _spoken(turn.message.id, answer.text, answer.responder, answer.milliseconds)


def _spoken(message_id: str, text: str, responder: str, milliseconds: float) -> dict[str, Any]:
    return {
        "_id": answer_id(message_id),
        "direction": "outbound",
        "sender": "ai",
        "content": text,
        "media": [],
        "tools_used": [],
        "processing_time_ms": milliseconds,
        "has_error": False,
        "metadata": {"responder": responder, "inReplyTo": message_id},
    }


def stored_media(media: Media) -> dict[str, Any]:
    """Give a file as stored in `media`."""
    return {"url": media.url, "content_type": media.content_type, **media.detail}


def _decision(decision: Mapping[str, Any]) -> dict[str, Any]:
    """Give a decision as stored: with the ids of sessions as the ids they are."""
    stored = dict(decision)
    for name in ("previous_session_id", "bridges_session_id"):
        if stored.get(name):
            stored[name] = ObjectId(stored[name])
    return stored


def find_claimed(message_id: str) -> Claimed | None:
    """Look up what is stored under a provider's id."""
    found = collection(MessageDocument).find_one({"_id": message_id})
    return claimed(found) if found else None


def claimed(document: Mapping[str, Any]) -> Claimed:
    """Read a stored message as what a redelivery is answered from."""
    answer = document.get("answer") or {}
    return Claimed(
        id=document["_id"],
        session_id=str(document["session_id"]),
        twiml=answer.get("twiml", ""),
        answered=bool(answer.get("text")),
        decision=document.get("decision") or {},
        received_at=document["createdAt"],
        call_status=document.get("status"),
        call_ended_at=max((entry["at"] for entry in document.get("status_history") or ()), default=None),
    )


def finish_answer(message_id: str, now: datetime) -> bool:
    """Store the answer of a message whose writer died between the two; True if it was missing."""
    messages = collection(MessageDocument)
    if messages.find_one({"_id": answer_id(message_id)}, {"_id": 1}):
        return False
    stored = messages.find_one({"_id": message_id})
    answer = (stored or {}).get("answer") or {}
    if stored is None or not answer.get("text"):
        return False
    shared = ("session_id", "channel_id", "communication_type", "contact_id", "createdAt")
    missing = {name: stored[name] for name in shared} | {"storedAt": now}
    missing |= _spoken(message_id, answer["text"], answer["responder"], answer["milliseconds"])
    done = messages.update_one({"_id": missing.pop("_id")}, {"$setOnInsert": missing}, upsert=True)
    return done.upserted_id is not None


def relink(turn: StoredTurn, *, away_from: str) -> None:
    """File a turn again, whose session was closed for good while it was being stored."""
    messages = collection(MessageDocument)
    messages.update_one(
        {"_id": turn.message.id, "session_id": ObjectId(away_from)},
        {
            "$set": {
                "session_id": ObjectId(turn.session_id),
                "decision": _decision(turn.decision),
                "answer.twiml": turn.answer.twiml,
            }
        },
    )
    messages.update_one(
        {"_id": answer_id(turn.message.id), "session_id": ObjectId(away_from)},
        {"$set": {"session_id": ObjectId(turn.session_id)}},
    )


def apply_status(update: StatusUpdate) -> bool:
    """Add a delivery status to a message we sent; it takes effect only over lower ones (I8).

    False where no message carries that SID yet.
    """
    messages, ours = collection(MessageDocument), {"direction": "outbound", "provider_sid": update.sid}
    entry: dict[str, Any] = {"status": update.status, "at": update.received_at}
    if update.error_code:
        entry["error_code"] = update.error_code
    if messages.find_one(ours, {"_id": 1}) is None:
        return False
    messages.update_one(ours | {"status_history.status": {"$ne": update.status}}, {"$push": {"status_history": entry}})
    effect: dict[str, Any] = {"$set": {"status": update.status}}
    if update.error_code:
        effect["$set"]["error_code"] = update.error_code
    else:
        effect["$unset"] = {"error_code": ""}
    lower = [*outranked(update.status, MESSAGE_RANK), None]
    messages.update_one(ours | {"status": {"$in": lower}}, effect)
    return True


def transcript(session_id: str, *, limit: int) -> list[dict[str, Any]]:
    """Give the newest messages of a session, oldest first, as plain values for reading."""
    found = (
        collection(MessageDocument).find({"session_id": ObjectId(session_id)}).sort([("createdAt", -1)]).limit(limit)
    )
    # An answer carries the moment of what it answers, and comes after it.
    rows = sorted(found, key=lambda row: (row["createdAt"], row.get("storedAt"), row["direction"] == "outbound"))
    return [row | {"session_id": str(row["session_id"])} for row in rows]
