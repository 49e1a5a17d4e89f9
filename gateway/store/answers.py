"""The answer kept beside an inbound message: what a redelivery is told, and what its own messages are made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.core.replies import ANYTHING, Reply, answer_id
from gateway.store.connection import collection
from gateway.store.documents import MessageDocument
from gateway.store.outbound import is_texted, on_arrival, spoken

NONE, DONE, QUEUED, PENDING = "none", "done", "queued", "pending"

# The reasons why somebody who texted a keyword, or who opted out, is told nothing.
KEYWORD, OPTED_OUT = "keyword", "opted_out"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the sender was told: the truth a redelivery is answered from.

    `pieces` are the messages it is said in, none where nothing is said yet (`queued`, and `pending` on a call) or
    at all (`none`, then `reason` may say why). What is `queued` is asked about when it is `due`. `webhook` is the
    request that was to tell it. `person` is the reason for which a person is asked.
    """

    state: str
    twiml: str
    reply: Reply = field(default_factory=Reply)
    pieces: tuple[str, ...] = ()
    milliseconds: float = 0.0
    reason: str = ""
    due: datetime | None = None
    webhook: str = ""
    person: str = ""

    @property
    def asks_for_more(self) -> bool:
        """Tell whether more is to be done about it than to tell it."""
        return bool(self.reply.actions or self.person)


def document_of(message_id: str, answer: Answer) -> dict[str, Any]:
    """Give an answer as kept beside its message, with what its own messages are made of, should its writer die.

    So are the actions it asks for and why it asks for a person, until that is done (`followed`).
    """
    stored: dict[str, Any] = {"state": answer.state, "twiml": answer.twiml}
    if answer.reason:
        stored["reason"] = answer.reason
    if answer.webhook:
        stored["webhook"] = answer.webhook
    if answer.reply.actions:
        stored["actions"] = [action.as_stored() for action in answer.reply.actions]
    if answer.person:
        stored["person"] = answer.person
    if answer.state in (QUEUED, PENDING):
        stored["responder"] = answer.reply.responder
    if answer.due:
        stored["due"] = answer.due
    if answer.pieces:
        reply = answer.reply
        stored |= {
            "text": reply.text,
            "pieces": list(answer.pieces),
            "last": answer_id(message_id, len(answer.pieces)),
            "responder": reply.responder,
            "milliseconds": answer.milliseconds,
            "sender": reply.sender,
            "media": list(reply.media),
            "error": reply.error,
            "token_count": reply.token_count,
            "tools_used": list(reply.tools_used),
        }
        if reply.listening != ANYTHING:
            stored["listening"] = reply.listening.as_stored()
    return stored


def give(message_id: str, state: str, answer: Answer) -> bool:
    """Answer a message that waits in a state; False where somebody else does, who may be about to send it."""
    which = {"_id": message_id, "answer.state": state, "answer.by": None}
    changes = {"$set": {"answer": document_of(message_id, answer)}}
    return collection(MessageDocument).update_one(which, changes).modified_count == 1


def _read_reply(stored: Mapping[str, Any]) -> Reply:
    return Reply(
        text=stored["text"],
        responder=stored["responder"],
        media=tuple(stored.get("media") or ()),
        token_count=stored.get("token_count"),
        tools_used=tuple(stored.get("tools_used") or ()),
        sender=stored.get("sender", "ai"),
        error=stored.get("error") or "",
    )


def hand_on(message_id: str, teller: str, to: str, twiml: str) -> bool:
    """Let another webhook tell an answer, or tell it no more in `twiml`; False where somebody else was faster.

    So of all who were to tell it the last one does, and nobody does once it is sent through the outbox.
    """
    which = {"_id": message_id, "answer.webhook": teller}
    changes = {"$set": {"answer.webhook": to, "answer.twiml": twiml}}
    return collection(MessageDocument).update_one(which, changes).matched_count == 1


def followed(message_id: str) -> None:
    """Note that what an answer asks for beside its words is done."""
    changes = {"$unset": {"answer.actions": "", "answer.person": ""}}
    collection(MessageDocument).update_one({"_id": message_id}, changes)


def is_whole(message_id: str, pieces: int) -> bool:
    """Tell whether all messages of an answer are stored; nearly always they are, and one look tells."""
    ours = [answer_id(message_id, number) for number in range(1, max(1, pieces) + 1)]
    return collection(MessageDocument).count_documents({"_id": {"$in": ours}}) == len(ours)


def finish(message_id: str, now: datetime) -> int:
    """Store what is missing of an answer whose writer died half way; gives how many messages that were."""
    stored = collection(MessageDocument).find_one({"_id": message_id})
    answer = (stored or {}).get("answer") or {}
    if stored is None or not (answer.get("pieces") or answer.get("text")):
        return 0
    shared = {name: stored[name] for name in ("session_id", "channel_id", "communication_type", "contact_id")}
    kind = stored["communication_type"]
    shared |= {"createdAt": stored["createdAt"], "storedAt": now} | on_arrival(kind, stored["createdAt"])
    pieces = answer.get("pieces") or [answer["text"]]
    texted, missing = is_texted(kind), 0
    for document in spoken(message_id, _read_reply(answer), pieces, answer["milliseconds"], texted=texted):
        which = {"_id": document.pop("_id")}
        done = collection(MessageDocument).update_one(which, {"$setOnInsert": shared | document}, upsert=True)
        missing += done.upserted_id is not None
    return missing
