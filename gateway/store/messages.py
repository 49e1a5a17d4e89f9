"""Messages in MongoDB: inserted once by their provider's id, with the decision and the answer beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.read_concern import ReadConcern

from gateway.core.messages import InboundMessage, Media
from gateway.core.replies import Action, answer_id
from gateway.store import answers, held, writing
from gateway.store.answers import NONE, Answer
from gateway.store.connection import collection
from gateway.store.documents import NOT_DELETED, MessageDocument, SessionDocument
from gateway.store.isolation import Channels, only
from gateway.store.outbound import Place, is_texted, on_arrival, spoken


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

    @property
    def ids(self) -> tuple[str, ...]:
        """Give the ids of all it is stored as: the message, then its answer's pieces."""
        own = self.message.id
        return own, *(answer_id(own, number) for number in range(1, len(self.answer.pieces) + 1))


@dataclass(frozen=True, slots=True)
class Claimed:
    """What is already stored under a provider's id. `actions` and `person` are what is still to be done about it."""

    id: str
    session_id: str
    channel_id: str
    twiml: str
    state: str
    answered: bool
    decision: Mapping[str, Any]
    received_at: datetime
    contact_id: str | None = None
    pieces: int = 0
    webhook: str = ""
    responder: str = ""
    call_status: str | None = None
    call_ended_at: datetime | None = None
    actions: tuple[Action, ...] = ()
    person: str = ""
    stored_at: datetime | None = None


def insert(turns: Sequence[StoredTurn]) -> set[str]:
    """Store turns, each with its answer, in one round trip; gives the ids that were new.

    Whatever is there already stays as it is: the id of the inbound message is the claim.
    """
    waiting, new = [_documents(turn) for turn in turns], set()
    while waiting:
        documents = [document for turn in waiting for document in turn]
        # Ordered: a claim that is taken must stop its own answer from being stored; those behind it go once more.
        taken = writing.insert(MessageDocument, documents, ordered=True)
        new |= {document["_id"] for document in documents[: taken[0] if taken else None]}
        waiting = _behind(waiting, taken[0]) if taken else []
    return new


def _behind(turns: list[list[dict[str, Any]]], position: int) -> list[list[dict[str, Any]]]:
    """Give the turns behind the one that has the document at a position."""
    for number, turn in enumerate(turns, start=1):
        position -= len(turn)
        if position < 0:
            return turns[number:]
    return []


def _documents(turn: StoredTurn) -> list[dict[str, Any]]:
    answer, inbound = turn.answer, _inbound(turn)
    if not answer.pieces:
        return [inbound]
    kind, shared = turn.message.communication_type, _common(turn)
    ours = spoken(turn.message.id, answer.reply, answer.pieces, answer.milliseconds, texted=is_texted(kind))
    arrived = on_arrival(kind, turn.message.received_at)
    return [inbound, *(shared | arrived | document for document in ours)]


def _common(turn: StoredTurn) -> dict[str, Any]:
    place = Place(turn.session_id, turn.channel_id, turn.message.communication_type, turn.contact_id)
    return place.stored() | {"createdAt": turn.message.received_at, "storedAt": turn.now}


def _inbound(turn: StoredTurn) -> dict[str, Any]:
    message = turn.message
    return _common(turn) | {
        "_id": message.id,
        "direction": "inbound",
        "sender": "contact",
        "content": message.content,
        "provider_sid": message.provider_sid,
        "media": [stored_media(media) for media in message.media],
        "status": "received",
        "decision": _decision(turn.decision),
        "answer": answers.document_of(message.id, turn.answer),
        "metadata": dict(message.metadata),
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


def find_claimed(message_id: str, *, confirmed: bool = False) -> Claimed | None:
    """Look up what is stored under a provider's id; with `confirmed` only what no new primary can be without."""
    which = {"_id": message_id}
    if confirmed:
        found = collection(MessageDocument).with_options(read_concern=ReadConcern("majority")).find_one(which)
    else:
        found = held.find_first(MessageDocument, which)
    return claimed(found) if found else None


def has_uncounted(session_id: str) -> bool:
    """Tell whether a session has more messages than it counts."""
    found = collection(SessionDocument).find_one({"_id": ObjectId(session_id)}, {"message_count": 1}) or {}
    counted = int(found.get("message_count") or 0)
    return (
        collection(MessageDocument).count_documents({"session_id": ObjectId(session_id)}, limit=counted + 1) > counted
    )


def last_received_at(session_id: str) -> datetime | None:
    """Tell when a session's newest inbound message was received, counted there or not yet."""
    which = {"session_id": ObjectId(session_id), "direction": "inbound"}
    found = held.find_first(MessageDocument, which, {"createdAt": 1}, {"createdAt": -1})
    return found["createdAt"] if found else None


def stored_among(message_ids: Sequence[str]) -> set[str]:
    """Tell which of many provider's ids something is stored under."""
    found = held.find_all(MessageDocument, {"_id": {"$in": list(message_ids)}}, {"_id": 1})
    return {one["_id"] for one in found}


def received_since(moments: Mapping[str, datetime]) -> set[str]:
    """Tell which of many sessions have inbound messages later than a moment each, counted there or not yet."""
    later = [{"session_id": ObjectId(one), "createdAt": {"$gt": moment}} for one, moment in moments.items()]
    if not later:
        return set()
    found = held.find_all(MessageDocument, {"$or": later, "direction": "inbound"}, {"session_id": 1})
    return {str(one["session_id"]) for one in found}


def claimed(document: Mapping[str, Any]) -> Claimed:
    """Read a stored message as what a redelivery is answered from."""
    answer = document.get("answer") or {}
    return Claimed(
        id=document["_id"],
        session_id=str(document["session_id"]),
        channel_id=document.get("channel_id") or "",
        twiml=answer.get("twiml", ""),
        state=answer.get("state", NONE),
        answered=bool(answer.get("pieces") or answer.get("text")),
        decision=document.get("decision") or {},
        received_at=document["createdAt"],
        contact_id=document.get("contact_id") and str(document["contact_id"]),
        pieces=len(answer.get("pieces") or ()),
        webhook=answer.get("webhook", ""),
        responder=answer.get("responder") or "",
        call_status=document.get("status"),
        call_ended_at=max((entry["at"] for entry in document.get("status_history") or ()), default=None),
        actions=tuple(map(Action.read, answer.get("actions") or ())),
        person=answer.get("person") or "",
        stored_at=document.get("storedAt"),
    )


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
    ours = [answer_id(turn.message.id, number) for number, _ in enumerate(turn.answer.pieces, start=1)]
    messages.update_many(
        {"_id": {"$in": ours}, "session_id": ObjectId(away_from)},
        {"$set": {"session_id": ObjectId(turn.session_id)}},
    )


def transcript(
    session_id: str, channels: Channels, *, limit: int, since: datetime | None = None, before: datetime | None = None
) -> list[dict[str, Any]]:
    """Give a session's newest messages on these channels, oldest first, as plain values for reading."""
    wanted: dict[str, Any] = {"session_id": ObjectId(session_id)} | only(channels)
    if between := ({"$gte": since} if since else {}) | ({"$lt": before} if before else {}):
        wanted["createdAt"] = between
    found = collection(MessageDocument).find(wanted).sort([("createdAt", -1)]).limit(limit)
    rows = list(found)[::-1]
    rows.sort(key=in_order)
    return [plain(row) for row in rows]


def in_order(row: Mapping[str, Any]) -> tuple[datetime, datetime, bool]:
    """Give what messages are sorted by: an answer carries the moment of what it answers, and comes after it."""
    return row["createdAt"], row.get("storedAt") or row["createdAt"], row.get("direction") == "outbound"


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Give a message for reading, with its session's id as text."""
    return {**row, "session_id": str(row["session_id"])}


def statuses(ids: Sequence[str]) -> dict[str, str | None]:
    """Give the statuses of messages by id."""
    found = collection(MessageDocument).find({"_id": {"$in": list(ids)}}, {"status": 1})
    return {str(row["_id"]): row.get("status") for row in found}


def one(message_id: str, channels: Channels) -> dict[str, Any] | None:
    """Give a message for reading; None where there is none on these channels, or its session was deleted."""
    # Messages that were adopted have ObjectIds, which are written the same.
    ids = [message_id, *([ObjectId(message_id)] if ObjectId.is_valid(message_id) else [])]
    found = collection(MessageDocument).find_one({"_id": {"$in": ids}} | only(channels))
    if found is None:
        return None
    there = {"_id": found.get("session_id")} | NOT_DELETED
    return plain(found) if collection(SessionDocument).find_one(there, {"_id": 1}) else None
