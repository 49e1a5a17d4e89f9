"""Messages that still want an answer, as the worker sees them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

from gateway.core.messages import VOICE, Media
from gateway.core.replies import ANYTHING, FLOW, Listening, Reply, Said, answer_id
from gateway.store import groups
from gateway.store.answers import DONE, NONE, OPTED_OUT, PENDING, QUEUED
from gateway.store.connection import collection
from gateway.store.documents import NOT_PRIVATE, MessageDocument
from gateway.store.outbound import Outbound, Place, read


@dataclass(frozen=True, slots=True)
class Asked:
    """A stored message that a responder is to answer. `state` and `said` are its answer's."""

    id: str
    place: Place
    content: str
    at: datetime
    media: tuple[Media, ...]
    state: str
    responder: str
    metadata: Mapping[str, Any]
    stored_at: datetime
    due: datetime | None = None
    said: str = ""
    claimed_by: str = ""
    listening: Listening = ANYTHING

    @property
    def line(self) -> str:
        """Give which of our addresses it came to: with one session over all channels there may be several."""
        return str(self.metadata.get("To", ""))


def _asked(document: Mapping[str, Any]) -> Asked:
    answer = document.get("answer") or {}
    return Asked(
        id=document["_id"],
        place=Place.of(document),
        content=document.get("content") or "",
        at=document["createdAt"],
        media=_media(document),
        state=answer.get("state", NONE),
        responder=answer.get("responder") or "none",
        metadata=document.get("metadata") or {},
        stored_at=document.get("storedAt") or document["createdAt"],
        due=answer.get("due"),
        said=answer.get("text") or "",
        claimed_by=answer.get("by") or "",
        listening=Listening.read(answer.get("listening") or {}),
    )


def _media(document: Mapping[str, Any]) -> tuple[Media, ...]:
    return tuple(Media(file.get("url", ""), file.get("content_type", "")) for file in document.get("media") or ())


def get(message_id: str) -> Asked | None:
    """Look up a message that was to be answered."""
    found = collection(MessageDocument).find_one({"_id": message_id})
    return _asked(found) if found else None


def with_answer(message_id: str, answered_by: str) -> tuple[Asked | None, Outbound | None]:
    """Look up a message that was to be answered and its answer, where that is stored already, at once."""
    found = {row["_id"]: row for row in collection(MessageDocument).find({"_id": {"$in": [message_id, answered_by]}})}
    asked, answer = found.get(message_id), found.get(answered_by)
    return _asked(asked) if asked else None, read(answer) if answer else None


def burst(message: Asked) -> list[Asked]:
    """Give what waits for an answer beside a message, oldest first; the last one is answered for all.

    What another answer is being given to is left to that one.
    """
    waiting = [one for one in _waiting([message.place.session_id]) if _way(one) == _way(message)]
    return [one for one in waiting if one.claimed_by in ("", answer_id(message.id))]


def claim(ids: Sequence[str], by: str) -> bool:
    """Take messages for one answer; False where one of them is not to be had, and then none is taken."""
    messages, free = collection(MessageDocument), {"answer.state": QUEUED, "answer.by": {"$in": [None, by]}}
    if messages.update_many({"_id": {"$in": list(ids)}} | free, {"$set": {"answer.by": by}}).matched_count == len(ids):
        return True
    mine = {"_id": {"$in": list(ids)}, "answer.state": QUEUED, "answer.by": by}
    messages.update_many(mine, {"$unset": {"answer.by": ""}})
    return False


def _way(message: Asked) -> tuple[str, str, str, str]:
    """Tell what is answered together: with one session over all channels, each line of ours answers for itself.

    To a flow each message is an answer of its own.
    """
    alone = message.id if message.responder == FLOW else ""
    return message.place.session_id, message.place.communication_type, message.line, alone


def _waiting(session_ids: Sequence[str]) -> list[Asked]:
    found = collection(MessageDocument).find(
        {"session_id": {"$in": [ObjectId(one) for one in session_ids]}, "answer.state": QUEUED}
    )
    return sorted(map(_asked, found), key=lambda message: (message.at, message.id))


def ahead(message: Asked, session_ids: Collection[str], advanced_by: str) -> list[Asked]:
    """Give what a flow that runs in these sessions has to answer before a message.

    That is what came earlier, and what led to where it is now: until that is answered, its reply is kept in the state
    alone, which has to stay as it is.
    """
    earlier = {"session_id": {"$in": [ObjectId(one) for one in session_ids]}, "answer.state": QUEUED}
    led_here = {"_id": advanced_by, "answer.state": {"$in": [QUEUED, PENDING]}}
    found = collection(MessageDocument).find({"$or": [earlier, led_here]})
    waiting = [one for one in map(_asked, found) if one.responder == FLOW and one.id != message.id]
    return [one for one in waiting if one.id == advanced_by or (one.at, one.id) < (message.at, message.id)]


def hand_on(message: Asked, responder: str, due: datetime) -> bool:
    """Let another responder answer what no flow does; False where it is answered already."""
    which = {"_id": message.id, "answer.state": message.state, "answer.responder": FLOW}
    changes = {"answer.responder": responder} | ({"answer.due": due} if message.state == QUEUED else {})
    return collection(MessageDocument).update_one(which, {"$set": changes}).modified_count == 1


def due(now: datetime, patience: timedelta, *, limit: int) -> tuple[list[Asked], list[str]]:
    """Give the last message of each burst that may be over, and the ids that need not be looked for again.

    A burst is over when its last message is due or, where somebody writes on and on, after `patience`.
    """
    found = collection(MessageDocument).find(
        {"answer.state": QUEUED, "answer.due": {"$lte": now}}, {"session_id": 1}, limit=limit
    )
    sessions = sorted({str(row["session_id"]) for row in found})
    bursts: dict[tuple[str, str, str, str], list[Asked]] = {}
    for message in _waiting(sessions) if sessions else ():
        bursts.setdefault(_way(message), []).append(message)
    over, seen = [], []
    for burst in bursts.values():
        end = min(burst[-1].due or now, burst[0].stored_at + patience)
        if end <= now:
            over.append(burst[-1])
            seen += [message.id for message in burst]
        else:
            # Who is in the middle of something must not stand before others each time somebody looks.
            _put_off([message.id for message in burst], end)
    return over, seen


def _put_off(ids: Sequence[str], until: datetime) -> None:
    collection(MessageDocument).update_many(
        {"_id": {"$in": list(ids)}, "answer.state": QUEUED, "answer.due": {"$lt": until}},
        {"$set": {"answer.due": until}},
    )


def look_again(message: Asked, now: datetime) -> None:
    """Let what still waits beside an answered message be looked for again: it came late, or was not seen."""
    left = [one.id for one in burst(message) if one.due is None]
    if left:
        collection(MessageDocument).update_many(
            {"_id": {"$in": left}, "answer.state": QUEUED}, {"$set": {"answer.due": now}}
        )


def overlooked(before: datetime, *, limit: int) -> list[Asked]:
    """List messages stored before a moment that wait for an answer and that nobody looks for any more."""
    found = collection(MessageDocument).find(
        {"answer.state": QUEUED, "answer.due": None, "storedAt": {"$lt": before}}, limit=limit
    )
    return [_asked(document) for document in found]


def taken(ids: Sequence[str]) -> None:
    """Look for these no more: their answer is in the outbox, or comes with a later message of theirs."""
    collection(MessageDocument).update_many({"_id": {"$in": list(ids)}}, {"$unset": {"answer.due": ""}})


def history(session_id: str, before: datetime, *, limit: int, without: list[str]) -> tuple[Said, ...]:
    """Give the newest messages of a session up to a moment, oldest first, leaving some out."""
    if not limit:
        return ()
    found = collection(MessageDocument).find(
        {
            "session_id": ObjectId(session_id),
            "createdAt": {"$lte": before},
            "metadata.resendOf": {"$exists": False},
            **NOT_PRIVATE,
        }
    )
    # One index gives them in this order; a second key, or leaving them out there, would read the whole session.
    newest = [row for row in found.sort("createdAt", -1).limit(limit + len(without)) if row["_id"] not in without]
    newest = newest[:limit]
    newest.sort(key=lambda row: (row["createdAt"], row["direction"] == "outbound", row["_id"]))
    return tuple(map(said, newest))


def said(row: Mapping[str, Any]) -> Said:
    """Give a stored message as responders are told it."""
    return Said(
        sender=row.get("sender") or "contact",
        content=row.get("content") or "",
        at=row["createdAt"],
        media=_media(row),
        session_id=str(row["session_id"]),
        channel_id=str(row.get("channel_id") or ""),
        communication_type=row.get("communication_type") or "",
    )


def latest(session_id: str) -> Asked | None:
    """Give the last thing the session's person wrote: it tells where they can be written to."""
    found = collection(MessageDocument).find(
        {"session_id": ObjectId(session_id), "direction": "inbound", "communication_type": {"$ne": VOICE}}
    )
    return next((_asked(document) for document in found.sort("createdAt", -1).limit(1)), None)


def person_of(contact_id: str | None) -> tuple[str | None, str]:
    """Give the id and the name of the person that a contact is; the name is empty where there is none."""
    found = groups.find(contact_id)
    return (found.id, found.first("name") or "") if found else (contact_id, "")


def mark_answered(ids: list[str], by: str, *, says_something: bool, reason: str = "") -> None:
    """Note that messages of a burst were answered, by one message of ours."""
    answer: dict[str, Any] = {"answer.state": DONE if says_something else NONE, "answer.by": by}
    if reason:
        answer["answer.reason"] = reason
    collection(MessageDocument).update_many({"_id": {"$in": ids}, "answer.state": QUEUED}, {"$set": answer})


def forget_burst(answer: str) -> None:
    """Let nothing be answered any more that waited for this answer, or beside it."""
    asked = get(answer.removeprefix("re:"))
    if asked:
        collection(MessageDocument).update_many(
            {
                "session_id": ObjectId(asked.place.session_id),
                "communication_type": asked.place.communication_type,
                "metadata.To": asked.line,
                "answer.state": QUEUED,
            },
            {"$set": {"answer.state": NONE, "answer.reason": OPTED_OUT}},
        )


def say_on_call(message_id: str, reply: Reply, milliseconds: float) -> bool:
    """Give a waiting call its answer; False where it waits no more."""
    answer = {
        "answer.state": DONE,
        "answer.text": reply.text,
        "answer.pieces": [reply.text],
        "answer.last": answer_id(message_id),
        "answer.responder": reply.responder,
        "answer.milliseconds": milliseconds,
        "answer.sender": reply.sender,
        "answer.error": reply.error,
        "answer.token_count": reply.token_count,
        "answer.tools_used": list(reply.tools_used),
        "answer.listening": reply.listening.as_stored(),
    }
    if not reply.says_something and not reply.error:
        answer = {"answer.state": NONE}
    done = collection(MessageDocument).update_one({"_id": message_id, "answer.state": PENDING}, {"$set": answer})
    return done.modified_count == 1


def unqueued(since: datetime, until: datetime) -> list[Asked]:
    """List turns of calls stored in this time that wait for an answer; their row may never have been written."""
    found = collection(MessageDocument).find({"answer.state": PENDING, "storedAt": {"$gte": since, "$lt": until}})
    return [_asked(document) for document in found]
