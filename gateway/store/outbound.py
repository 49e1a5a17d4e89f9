"""Messages of ours: what was answered or written by a person, as it is stored and read."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

from gateway.core.messages import HOSTED, VOICE
from gateway.core.replies import Reply, answer_id
from gateway.core.segments import segments
from gateway.store.connection import collection, insert_new
from gateway.store.documents import MessageDocument, SessionDocument
from gateway.store.outbox import Address


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message of ours belongs."""

    session_id: str
    channel_id: str
    communication_type: str
    contact_id: str | None

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Place":
        """Read where a stored message belongs; one that was adopted may name neither channel nor contact."""
        contact_id = document.get("contact_id")
        return cls(
            str(document["session_id"]),
            document.get("channel_id") or "",
            document.get("communication_type") or "",
            None if contact_id is None else str(contact_id),
        )

    def stored(self) -> dict[str, Any]:
        """Give the fields that all messages of a session share."""
        return {
            "session_id": ObjectId(self.session_id),
            "channel_id": self.channel_id,
            "communication_type": self.communication_type,
            "contact_id": None if self.contact_id is None else ObjectId(self.contact_id),
        }


@dataclass(frozen=True, slots=True)
class Outbound:
    """One message of ours, as it is stored and as it is sent. `content_sid` sends a template instead of the text."""

    id: str
    place: Place
    text: str
    at: datetime
    sender: str = "ai"
    media: tuple[str, ...] = ()
    status: str | None = None
    content_sid: str | None = None
    content_variables: Mapping[str, str] = field(default_factory=dict)
    provider_sid: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def is_texted(communication_type: str) -> bool:
    """Tell whether messages of a type go out as texts, whose length is what they cost."""
    return communication_type not in HOSTED | {VOICE}


def on_arrival(communication_type: str, at: datetime) -> dict[str, Any]:
    """Give the status of a message of ours from the start: none, but delivered where nobody has to carry it."""
    if communication_type not in HOSTED:
        return {}
    return {"status": "delivered", "status_history": [{"status": "delivered", "at": at}]}


def spoken(
    message_id: str, reply: Reply, pieces: Sequence[str], milliseconds: float, *, texted: bool, **metadata: Any
) -> list[dict[str, Any]]:
    """Give what is stored of a responder's answer, a document for each of its pieces, without their place.

    Tokens, tools and files belong to the first piece, so that nothing is counted twice. What is `texted` rather than
    said on a call or shown on a page says how long it is.
    """
    documents = []
    for number, text in enumerate(pieces or [reply.text], start=1):
        first = number == 1
        document: dict[str, Any] = {
            "_id": answer_id(message_id, number),
            "direction": "outbound",
            "sender": reply.sender,
            "content": text,
            "media": [{"url": url} for url in reply.media] if first else [],
            "tools_used": list(reply.tools_used) if first else [],
            "processing_time_ms": milliseconds,
            "has_error": bool(reply.error),
            "metadata": {"responder": reply.responder, "inReplyTo": message_id} | (metadata if first else {}),
        }
        if texted:
            length = segments(text)
            document["metadata"] |= {"segments": length.count, "encoding": length.encoding}
        if first and reply.token_count is not None:
            document["token_count"] = reply.token_count
        if reply.error:
            document["error_message"] = reply.error
        documents.append(document)
    return documents


def insert(documents: Sequence[Mapping[str, Any]]) -> int:
    """Store messages of ours; gives how many were new. What is there already stays as it is."""
    new = len(documents) - len(insert_new(MessageDocument, documents))
    if failed := {document["session_id"] for document in documents if document.get("has_error")}:
        collection(SessionDocument).update_many({"_id": {"$in": list(failed)}}, {"$set": {"has_failed": True}})
    return new


def document_of(message: Outbound, now: datetime) -> dict[str, Any]:
    """Give a message as stored."""
    document = message.place.stored() | {
        "_id": message.id,
        "direction": "outbound",
        "sender": message.sender,
        "content": message.text,
        "media": [{"url": url} for url in message.media],
        "tools_used": [],
        "has_error": False,
        "metadata": dict(message.facts),
        "createdAt": message.at,
        "storedAt": now,
    }
    if message.status:
        document |= {"status": message.status, "status_history": [{"status": message.status, "at": message.at}]}
    if message.content_sid:
        document["template"] = {"content_sid": message.content_sid, "variables": dict(message.content_variables)}
    return document


def copy_of(message: Outbound, copy_id: str, to: Address | None, now: datetime) -> dict[str, Any]:
    """Give a message as stored when it is sent once more."""
    facts = {**message.facts, "resendOf": message.id, "address": to and asdict(to)}
    again = replace(message, id=copy_id, at=now, status="queued", facts=facts, provider_sid=None)
    return document_of(again, now)


def get(message_id: str) -> Outbound | None:
    """Look up a message of ours."""
    found = collection(MessageDocument).find_one({"_id": message_id, "direction": "outbound"})
    return read(found) if found else None


def by_sid(sid: str) -> Outbound | None:
    """Look up a message of ours by the provider's id of it."""
    found = collection(MessageDocument).find_one({"direction": "outbound", "provider_sid": sid})
    return read(found) if found else None


def get_all(message_ids: Sequence[str]) -> dict[str, Outbound]:
    """Look up messages of ours, by their ids."""
    found = collection(MessageDocument).find({"_id": {"$in": list(message_ids)}, "direction": "outbound"})
    return {document["_id"]: read(document) for document in found}


def read(document: Mapping[str, Any]) -> Outbound:
    """Read a stored message of ours."""
    template = document.get("template") or {}
    return Outbound(
        id=document["_id"],
        place=Place.of(document),
        text=document.get("content") or "",
        at=document["createdAt"],
        sender=document.get("sender", "ai"),
        media=tuple(media["url"] for media in document.get("media") or () if media.get("url")),
        status=document.get("status"),
        content_sid=template.get("content_sid"),
        content_variables=template.get("variables") or {},
        provider_sid=document.get("provider_sid"),
        facts=document.get("metadata") or {},
    )


def unsent(since: datetime, until: datetime) -> list[tuple[Outbound, Address]]:
    """List messages stored in this time that say where they are to go and did not go yet."""
    found = collection(MessageDocument).find(
        {
            "storedAt": {"$gte": since, "$lt": until},
            "status": "queued",
            "provider_sid": {"$exists": False},
            "metadata.address.to": {"$exists": True},
        }
    )
    return [(read(document), Address(**document["metadata"]["address"])) for document in found]


def make_sendable(message_ids: Sequence[str], now: datetime) -> None:
    """Let an answer that was stored to go out with a webhook be sent instead; one that went out stays as it is."""
    collection(MessageDocument).update_many(
        {"_id": {"$in": list(message_ids)}, "status": None, "provider_sid": None},
        {
            "$set": {
                "status": "queued",
                "status_history": [{"status": "queued", "at": now}],
            }
        },
    )


def latest_address(session_id: str) -> Address | None:
    """Give where the last message went that somebody of ours wrote in a session."""
    found = collection(MessageDocument).find_one(
        {"session_id": ObjectId(session_id), "metadata.address.to": {"$exists": True}}, sort=[("createdAt", -1)]
    )
    return Address(**found["metadata"]["address"]) if found else None


def piece_times(at: datetime, count: int) -> list[datetime]:
    """Give each piece of a message a moment of its own, so that they are read and sent in order."""
    return [at + timedelta(milliseconds=number) for number in range(count)]
