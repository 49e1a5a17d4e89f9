"""Sessions on their way out of the database, in steps that may stop anywhere and be gone on with.

1. A session is *retired*: what the finder knows it by (`keys`, `slot`) is put aside, in one update that a new
   message beats. Nobody finds it any more, and what was on its way to it arrives within seconds.
2. Then it is looked at again. One that got something after all comes back; of the others the files and messages are
   deleted, and later sessions are linked around it.
3. Some seconds later, when nobody can be writing into it either because of a message seen before, it goes itself.

The session goes last, so whatever a killed process left behind hangs on a session that says it is retired.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from gateway.store import regroupings, settling
from gateway.store.answers import QUEUED
from gateway.store.connection import collection
from gateway.store.documents import MessageDocument, OutboxDocument, SessionDocument
from gateway.store.outbox import AT_HAND

REASON = "retention"
AGE, FORGOTTEN, DELETED = "age", "forgotten", "deleted"
BATCH, _DROPPED = 200, 1000

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Amount:
    """How much there is of what."""

    sessions: int = 0
    messages: int = 0
    files: int = 0
    bytes: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(*(getattr(self, name) + getattr(other, name) for name in Amount.__slots__))


def old(bound: datetime) -> Iterator[list[ObjectId]]:
    """Page through the sessions whose last message is older, the oldest first in each type of channel."""
    sessions = collection(SessionDocument)
    for kind in _kinds():
        after: Document = {}
        while page := list(
            sessions.find(
                {"communication_type": kind, "last_message_at": {"$lt": bound}, "retired": {"$exists": False}, **after},
                {"last_message_at": 1},
            )
            .sort([("last_message_at", 1), ("_id", 1)])
            .limit(BATCH)
        ):
            yield [row["_id"] for row in page]
            last = page[-1]
            later = [{"last_message_at": {"$gt": last["last_message_at"]}}]
            after = {"$or": [*later, {"last_message_at": last["last_message_at"], "_id": {"$gt": last["_id"]}}]}


def count_old(bound: datetime) -> int:
    """Count the sessions that `old` gives, and those that are on their way out already."""
    older = {"last_message_at": {"$lt": bound}}
    return collection(SessionDocument).count_documents({"communication_type": {"$in": _kinds()}, **older})


def _kinds() -> list[Any]:
    """List the types of sessions there are; what was merged into another has none any more."""
    return [*filter(None, collection(SessionDocument).distinct("communication_type")), None]


def may_go(ids: Sequence[ObjectId], bound: datetime, now: datetime) -> list[ObjectId]:
    """Leave out the sessions that have a live call, a message after the bound, or something still to be done."""
    wanted = {"_id": {"$in": list(ids)}, **_quiet(bound, now)}
    quiet = {row["_id"] for row in collection(SessionDocument).find(wanted, {"_id": 1})}
    within = {"session_id": {"$in": list(ids)}}
    said_since = {**within, "createdAt": {"$gte": bound}, "metadata.private": {"$ne": True}}
    busy = set(collection(MessageDocument).distinct("session_id", said_since))
    busy |= set(collection(MessageDocument).distinct("session_id", {**within, "answer.state": QUEUED}))
    waiting = {**AT_HAND, **within}
    busy |= {row["session_id"] for row in collection(OutboxDocument).find(waiting, {"session_id": 1})}
    return [one for one in ids if one in quiet - busy]


def _quiet(bound: datetime, now: datetime) -> Document:
    no_call = [{"live": {"$in": [None, []]}}, {"live_until": {"$lt": now}}]
    return {"last_message_at": {"$lt": bound}, "$or": no_call}


def close(ids: Sequence[ObjectId], bound: datetime, now: datetime) -> int:
    """Close those of the sessions that are open, unless they got a message or a call since; gives how many."""
    done = collection(SessionDocument).update_many(
        {"_id": {"$in": list(ids)}, "status": "active", **_quiet(bound, now)},
        {
            "$set": {"status": "closed", "closed_reason": REASON, "closed_at": now, "updatedAt": now},
            "$unset": {"open_keys": ""},
        },
    )
    return done.modified_count


def retire(ids: Sequence[ObjectId], now: datetime, *, bound: datetime | None = None, why: str = AGE) -> int:
    """Take sessions out of the finder's sight; gives how many.

    Those of an AGE that are quiet since the bound, those that are still DELETED, or, to be FORGOTTEN, whatever they
    are.
    """
    wanted: Document = {"_id": {"$in": list(ids)}, "retired": {"$exists": False}}
    if bound:
        wanted |= {"status": {"$ne": "active"}, **_quiet(bound, now)}
    if why == DELETED:
        wanted["deleted"] = {"$exists": True}
    ends = {"status": {"$cond": [{"$gt": ["$status", None]}, "closed", "$$REMOVE"]}} if why == FORGOTTEN else {}
    aside = {name: f"${name}" for name in ("keys", "slot", "closed_reason")}
    done = collection(SessionDocument).update_many(
        wanted,
        [
            {"$set": {"retired": {"at": now, "why": why, **aside}}},
            # No longer "idle", so that nothing that saw it before opens it again.
            {"$set": {"keys": [], "closed_reason": REASON, **ends}},
            {"$unset": ["slot", "open_keys"]},
        ],
    )
    if why == FORGOTTEN:
        also = {"_id": {"$in": list(ids)}, "retired.why": {"$in": [AGE, DELETED]}}
        collection(SessionDocument).update_many(also, {"$set": {"retired.why": FORGOTTEN}})
    return done.modified_count


def retired(before: datetime, *, why: str) -> list[Document]:
    """Give a batch of what was retired before a moment and still has its messages, as it is stored."""
    wanted = {"retired.at": {"$lte": before}, "retired.emptied": {"$exists": False}, "retired.why": why}
    return list(collection(SessionDocument).find(wanted).sort("retired.at", 1).limit(BATCH))


def left() -> int:
    """Count the sessions that are on their way out."""
    return collection(SessionDocument).count_documents({"retired": {"$exists": True}})


def as_it_was(session: Mapping[str, Any]) -> Document:
    """Give a retired session as it was before."""
    before = {name: value for name, value in session.items() if name not in ("retired", "keys", "closed_reason")}
    aside = {name: session["retired"][name] for name in ("keys", "slot", "closed_reason") if name in session["retired"]}
    return before | aside


def come_back(session: Mapping[str, Any]) -> None:
    """Let a session be found again that got something before it was gone; its count is put right.

    Should its sender have opened another one in its place, that keeps the slot.
    """
    sessions, which = collection(SessionDocument), {"_id": session["_id"], "retired": {"$exists": True}}
    was = as_it_was(session)
    aside: Document = {name: was[name] for name in ("keys", "slot", "closed_reason") if name in was}
    if was.get("previous_session_id") and not sessions.find_one({"_id": was["previous_session_id"]}, {"_id": 1}):
        aside["previous_session_id"] = None
    try:
        sessions.update_one(which, {"$set": aside, "$unset": {"retired": ""}})
    except DuplicateKeyError:
        del aside["slot"]
        sessions.update_one(which, {"$set": aside, "$unset": {"retired": ""}})
    settling.recount([session["_id"]])


def followers(sessions: Sequence[Mapping[str, Any]]) -> dict[ObjectId, list[ObjectId]]:
    """List the sessions that stay and name one of these as the one before them, by that one."""
    keys = sorted({key for session in sessions for key in session["retired"].get("keys") or []})
    wanted = {"keys": {"$in": keys}, "previous_session_id": {"$in": [session["_id"] for session in sessions]}}
    found: dict[ObjectId, list[ObjectId]] = {}
    for row in collection(SessionDocument).find({**wanted, "retired": {"$exists": False}}, {"previous_session_id": 1}):
        found.setdefault(row["previous_session_id"], []).append(row["_id"])
    return found


def before(session: Mapping[str, Any]) -> ObjectId | None:
    """Find the nearest session before this one that stays."""
    previous = session.get("previous_session_id")
    while previous:
        found = collection(SessionDocument).find_one({"_id": previous}, {"previous_session_id": 1, "retired.at": 1})
        if not found:
            return None
        if "retired" not in found:
            return ObjectId(previous)
        previous = found.get("previous_session_id")
    return None


def link_around(session: Mapping[str, Any], linked: Sequence[ObjectId], to: ObjectId | None) -> None:
    """Link later sessions to the one before a session that goes."""
    collection(SessionDocument).update_many(
        {"_id": {"$in": list(linked)}, "previous_session_id": session["_id"]}, {"$set": {"previous_session_id": to}}
    )


def emptied(ids: Sequence[ObjectId], now: datetime) -> None:
    """Note that nothing is left of these sessions but themselves."""
    regroupings.forget(ids)
    collection(SessionDocument).update_many({"_id": {"$in": list(ids)}}, {"$set": {"retired.emptied": now}})


def drop(before: datetime) -> int:
    """Delete what was emptied before a moment, and look again at what got something since; gives how many went."""
    sessions, dropped, gone = collection(SessionDocument), 0, {"retired.emptied": {"$lte": before}}
    wanted = {"retired": {"$exists": True}, "retired.at": {"$lte": before}, **gone}
    while page := [
        row["_id"] for row in sessions.find(wanted, {"_id": 1}).sort("retired.at", 1).hint("retired").limit(_DROPPED)
    ]:
        got_more = collection(MessageDocument).distinct("session_id", {"session_id": {"$in": page}})
        sessions.update_many({"_id": {"$in": got_more}}, {"$unset": {"retired.emptied": ""}})
        dropped += sessions.delete_many({"_id": {"$in": page}, **gone}).deleted_count
    return dropped
