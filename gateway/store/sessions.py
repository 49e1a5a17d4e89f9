"""Sessions in MongoDB: open, touch, close when idle. What is one here is one, whoever races.

Every function is a single atomic operation or safe to repeat; the order in which they are called is that of
`gateway.conversation.filing`, then `counting`.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.errors import DuplicateKeyError, WriteError

from gateway.core.sessions import IDLE, SessionView
from gateway.store import writing
from gateway.store.connection import collection
from gateway.store.documents import SessionDocument


def new_id() -> str:
    """Make an id for a session or message of our own."""
    return str(ObjectId())


def _object_id(value: str | None) -> ObjectId | None:
    return None if value is None else ObjectId(value)


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session to be opened; without `open_keys` it is one of the past, closed from the start."""

    id: str
    keys: tuple[str, ...]
    open_keys: tuple[str, ...]
    slot: str
    channel_id: str
    communication_type: str
    title: str
    metadata: Mapping[str, Any]
    first_message_at: datetime
    now: datetime
    opening: Mapping[str, Any]
    closed_at: datetime | None = None
    contact_id: str | None = None
    previous_session_id: str | None = None
    opted_out: tuple[str, ...] = field(default=())
    automatic: Mapping[str, int] = field(default_factory=dict)
    bot_off: bool = False
    assigned_to: str = ""
    context: Mapping[str, Any] = field(default_factory=dict)


def open_session(new: NewSession) -> bool:
    """Insert a session, still without messages; False where somebody else holds its slot or its keys."""
    return not open_each([new])


def open_each(new: Sequence[NewSession]) -> set[str]:
    """Insert sessions in one round trip; gives the ids of those whose slot or keys somebody else holds."""
    taken = writing.insert(SessionDocument, [_document(one) for one in new], ordered=False)
    return {new[position].id for position in taken}


def _document(new: NewSession) -> dict[str, Any]:
    document: dict[str, Any] = {
        "_id": ObjectId(new.id),
        "channel_id": new.channel_id,
        "communication_type": new.communication_type,
        "title": new.title,
        "status": "active" if new.open_keys else "closed",
        "message_count": 0,
        "last_message_at": new.first_message_at,
        "first_message_at": new.first_message_at,
        "metadata": dict(new.metadata),
        "contact_id": _object_id(new.contact_id),
        "previous_session_id": _object_id(new.previous_session_id),
        "context": dict(new.context),
        "keys": list(new.keys),
        "slot": new.slot,
        "opening": dict(new.opening),
        "createdAt": new.now,
        "updatedAt": new.now,
    }
    if new.opted_out:
        document["opted_out"] = list(new.opted_out)
    if new.bot_off:
        document["bot_off"] = True
    if new.assigned_to:
        document["assigned_to"] = new.assigned_to
    if new.automatic:
        document["automatic"] = dict(new.automatic)
    if new.open_keys:
        document["open_keys"] = list(new.open_keys)
    else:
        document |= {"closed_reason": IDLE, "closed_at": new.closed_at}
    return document


@dataclass(frozen=True, slots=True)
class Touch:
    """What one stored turn does to its session. `messages` were new, at `moment`; `call` is still on.

    `answers` of them nobody wrote by hand, in the minute named `slot`; `stale` minutes are not needed any more.
    """

    session_id: str
    moment: datetime
    now: datetime
    messages: int = 1
    call: str | None = None
    call_until: datetime | None = None
    inbound: bool = True
    answers: int = 0
    slot: str = ""
    stale: tuple[str, ...] = ()
    notice: str = ""


def _changes(touch: Touch) -> dict[str, Any]:
    changes: dict[str, Any] = {
        "$inc": {"message_count": touch.messages},
        "$max": {"last_message_at": touch.moment, "updatedAt": touch.now},
    }
    if touch.inbound:
        changes["$max"]["last_inbound_at"] = touch.moment
        changes["$min"] = {"first_message_at": touch.moment, "metadata.firstMessageAt": touch.moment}
    if touch.answers:
        changes["$inc"][f"automatic.{touch.slot}"] = touch.answers
    if touch.stale:
        changes["$unset"] = {f"automatic.{slot}": "" for slot in touch.stale}
    if touch.notice:
        changes["$addToSet"] = {"notices": touch.notice}
    if touch.call:
        changes.setdefault("$addToSet", {})["live"] = touch.call
        changes["$max"]["live_until"] = touch.call_until
    return changes


# Where flows keep how far they are; whoever describes a session leaves it alone.
FLOW = "flow"


def set_context(session_id: str, context: Mapping[str, Any], now: datetime) -> None:
    """Replace what is known about a session, but for the state of its flow."""
    which = {"_id": ObjectId(session_id)}
    found = collection(SessionDocument).find_one(which, {"context": 1}) or {}
    given = {f"context.{name}": value for name, value in context.items() if name != FLOW}
    gone = {f"context.{name}": "" for name in found.get("context") or {} if name not in context and name != FLOW}
    changes: dict[str, Any] = {"$set": {"updatedAt": now} | given} | ({"$unset": gone} if gone else {})
    collection(SessionDocument).update_one(which, changes)


def keep_empty(session_id: str, now: datetime, *, context: Mapping[str, Any]) -> None:
    """Let a session wait for its first message that somebody asked for, with the context they gave it."""
    given = {f"context.{name}": value for name, value in context.items() if name != FLOW}
    collection(SessionDocument).update_one(
        {"_id": ObjectId(session_id)}, {"$set": {"opening.asked_for": True, "updatedAt": now} | given}
    )


# What an upsert would insert has the id it was looked for by, and cannot have another one.
_NEVER = {"$setOnInsert": {"_id": ""}}


def touch(turns: Sequence[Touch]) -> set[str]:
    """Count turns, each in its open session, in one round trip; gives the sessions of those that are open no more."""
    updates = [({"_id": ObjectId(one.session_id), "status": "active"}, _changes(one)) for one in turns]
    return {turns[position].session_id for position in _change_each(updates, last=True)}


def _change_each(updates: Sequence[tuple[dict[str, Any], dict[str, Any]]], *, last: bool) -> Sequence[int]:
    """Change sessions in one round trip; gives the positions of those that are not as they are looked for.

    MongoDB says how many of many updates found their document, and not which. So each is an upsert of a document that
    cannot be: whichever would be inserted fails, and that is told by its position. One that MongoDB refuses for what is
    stored there is among them, so that it costs the others nothing; by itself it is refused once more.
    """
    if len(updates) == 1:
        with contextlib.suppress(WriteError):
            return () if writing.update(SessionDocument, *updates[0], last=last) else (0,)
        return (0,)
    never = [(which, changes | _NEVER) for which, changes in updates]
    return writing.upsert_each(SessionDocument, never, last=last)


def touch_closed(touched: Touch) -> bool:
    """Count a turn in a session that idleness closed, or a late one in a session closed since; never reopens.

    False where a person (or a merge) closed it before the turn's moment, or where it is gone.
    """
    which = {
        "_id": ObjectId(touched.session_id),
        "$or": [
            {"status": "active"},
            {"closed_reason": IDLE},
            {"closed_at": {"$gte": touched.moment}},
        ],
    }
    return writing.update(SessionDocument, which, _changes(touched), last=True)


def touch_by_id(touched: Touch) -> bool:
    """Count what belongs to a call in the call's session, whatever became of that; never reopens (T6)."""
    which = {"_id": ObjectId(touched.session_id)}
    return writing.update(SessionDocument, which, _changes(touched), last=True)


def count_only(session_id: str, messages: int, now: datetime) -> None:
    """Count messages that are no activity."""
    changes = {"$inc": {"message_count": messages}, "$max": {"updatedAt": now}}
    collection(SessionDocument).update_one({"_id": ObjectId(session_id)}, changes)


def reopen_idle(session_id: str, open_keys: Sequence[str], now: datetime) -> bool:
    """Open a session again that only idleness closed, if its sender has no newer one."""
    sessions = collection(SessionDocument)
    idle = sessions.find_one({"_id": ObjectId(session_id), "status": "closed", "closed_reason": IDLE})
    if idle is None:
        return False
    newer = {"keys": {"$in": idle["keys"]}, "first_message_at": {"$gt": idle["first_message_at"]}}
    if sessions.find_one(newer, {"_id": 1}):
        return False
    try:
        done = sessions.update_one(
            {"_id": idle["_id"], "status": "closed", "closed_reason": IDLE},
            {
                "$set": {"status": "active", "open_keys": list(open_keys), "updatedAt": now},
                "$unset": {"closed_reason": "", "closed_at": ""},
            },
        )
    except DuplicateKeyError:
        return False
    return done.modified_count == 1


def add_keys(session_id: str, keys: Sequence[str]) -> None:
    """Let a session be found by a second identity of its sender, unless that one has an open session."""
    sessions = collection(SessionDocument)
    which = {"_id": ObjectId(session_id), "status": "active"}
    try:
        sessions.update_one(which, {"$addToSet": {"keys": {"$each": list(keys)}, "open_keys": {"$each": list(keys)}}})
    except DuplicateKeyError:
        sessions.update_one(which, {"$addToSet": {"keys": {"$each": list(keys)}}})


def let_go_of_keys(session_id: str) -> None:
    """Let a session that is not open hold nobody's next one up."""
    which = {"_id": ObjectId(session_id), "status": {"$ne": "active"}}
    collection(SessionDocument).update_one(which, {"$unset": {"open_keys": ""}})


def close_idle(seen: SessionView, moment: datetime, now: datetime, *, reason: str = IDLE) -> bool:
    """Close a session for idleness as it was seen; False where it had another message since."""
    return not close_each([(seen, moment)], now, reason=reason)


def close_each(seen: Sequence[tuple[SessionView, datetime]], now: datetime, *, reason: str = IDLE) -> set[str]:
    """Close sessions as they were seen, at a moment each; gives the ids of those that had another message since."""
    failed = _change_each([_closing(one, moment, now, reason) for one, moment in seen], last=False)
    return {seen[position][0].id for position in failed}


def _closing(seen: SessionView, moment: datetime, now: datetime, reason: str) -> tuple[dict[str, Any], dict[str, Any]]:
    which = {
        "_id": ObjectId(seen.id),
        "status": "active",
        "last_message_at": seen.last_message_at,
        **({"last_inbound_at": seen.last_inbound_at} if seen.last_inbound_at else {}),
    }
    changes = {
        "$set": {"status": "closed", "closed_reason": reason, "closed_at": moment, "updatedAt": now},
        "$unset": {"open_keys": ""},
    }
    return which, changes


def end_call(session_id: str, call_sid: str, moment: datetime, now: datetime) -> bool:
    """Let go of a live call; its end counts as activity, once."""
    done = collection(SessionDocument).update_one(
        {"_id": ObjectId(session_id), "live": call_sid},
        {
            "$pull": {"live": call_sid},
            "$max": {"last_message_at": moment, "last_inbound_at": moment, "updatedAt": now},
        },
    )
    return done.modified_count == 1


def mark_opted_out(contact_ids: Sequence[str], lines: Sequence[str], *, out: bool) -> None:
    """Carry an opt-out (or the end of one) to the contacts' sessions, where the hot path reads it.

    To closed ones too: a message that comes late, or from before the newest, is filed in one of those.
    """
    change = {"$addToSet": {"opted_out": {"$each": list(lines)}}} if out else {"$pullAll": {"opted_out": list(lines)}}
    among = {"$in": [ObjectId(one) for one in contact_ids]}
    collection(SessionDocument).update_many({"contact_id": among}, change)
