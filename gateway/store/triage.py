"""What people and bots say of a session: that it needs a person, or a bot again, that it is over, what it is about."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from gateway.core.sessions import IDLE
from gateway.store.connection import collection
from gateway.store.documents import NOT_DELETED, SessionDocument
from gateway.store.isolation import Channels


def ask_for_person(session_id: str, reason: str, now: datetime, *, bot_off: bool = False) -> bool:
    """Flag a session for a person, once; with `bot_off` nobody answers its sender automatically any more."""
    sessions, which = collection(SessionDocument), {"_id": ObjectId(session_id)}
    if bot_off:
        sessions.update_many(_with_newer(session_id), {"$set": {"bot_off": True, "updatedAt": now}})
    done = sessions.update_one(
        which | {"needs_person": {"$exists": False}}, {"$set": {"needs_person": {"reason": reason, "at": now}}}
    )
    return done.modified_count == 1


def asked_for_person(since: datetime, until: datetime) -> list[tuple[str, datetime]]:
    """List the sessions that need a person since a moment in this time."""
    found = collection(SessionDocument).find(
        {"needs_person": {"$exists": True}, "needs_person.at": {"$gte": since, "$lt": until}}, {"needs_person.at": 1}
    )
    return [(str(session["_id"]), session["needs_person"]["at"]) for session in found.hint("needs_person")]


def person_came(session_id: str, now: datetime) -> None:
    """Note that a person looks after a session; the next reason to ask for one is told again."""
    collection(SessionDocument).update_one(
        {"_id": ObjectId(session_id)}, {"$unset": {"needs_person": ""}, "$set": {"updatedAt": now}}
    )


def take_over(session_id: str, now: datetime) -> bool:
    """Let nobody answer a session's sender automatically, since a person does; False where that was so."""
    done = collection(SessionDocument).update_many(
        _with_newer(session_id) | {"bot_off": {"$ne": True}},
        {"$set": {"bot_off": True, "updatedAt": now}, "$unset": {"needs_person": ""}},
    )
    return done.modified_count > 0


def hand_back(session_id: str, now: datetime) -> bool:
    """Let a session's sender be answered automatically again; False where that was so."""
    done = collection(SessionDocument).update_many(
        _with_newer(session_id) | {"bot_off": True},
        {"$unset": {"bot_off": "", "needs_person": ""}, "$set": {"updatedAt": now}},
    )
    return done.modified_count > 0


def _with_newer(session_id: str) -> dict[str, Any]:
    """Match a session and whatever its sender has begun since: what is said of a person holds there too."""
    found = collection(SessionDocument).find_one({"_id": ObjectId(session_id)}, {"keys": 1, "first_message_at": 1})
    if not found or not found.get("keys"):
        return {"_id": ObjectId(session_id)}
    return {"keys": {"$in": found["keys"]}, "first_message_at": {"$gte": found["first_message_at"]}}


def close(session_id: str, reason: str, now: datetime) -> bool:
    """Close a session for good: what its sender writes next opens another."""
    done = collection(SessionDocument).update_one(
        {"_id": ObjectId(session_id), "$or": [{"status": "active"}, {"closed_reason": IDLE}]},
        {
            "$set": {"status": "closed", "closed_reason": reason, "closed_at": now, "updatedAt": now},
            "$unset": {"open_keys": ""},
        },
    )
    return done.modified_count == 1


def describe(session_id: str, now: datetime, *, title: str = "", tags: Sequence[str] = ()) -> None:
    """Give a session a title, or further tags."""
    changes: dict[str, Any] = {"$set": {"updatedAt": now} | ({"title": title} if title else {})}
    if tags:
        changes["$addToSet"] = {"tags": {"$each": list(tags)}}
    collection(SessionDocument).update_one({"_id": ObjectId(session_id)}, changes)


def set_tags(session_id: str, tags: Sequence[str], now: datetime) -> None:
    """Give a session these tags and no others."""
    changes: dict[str, Any] = {"$set": {"updatedAt": now} | ({"tags": list(tags)} if tags else {})}
    if not tags:
        changes["$unset"] = {"tags": ""}
    collection(SessionDocument).update_one({"_id": ObjectId(session_id)}, changes)


def set_context(session_id: str, context: Mapping[str, Any], now: datetime, *, most: int) -> bool:
    """Give a session another context, but for what a flow keeps in it; False where that is over `most` bytes."""
    flow = {"$cond": [{"$gt": ["$context.flow", None]}, {"flow": "$context.flow"}, {}]}
    whole = {"$mergeObjects": [{"$literal": dict(context)}, flow]}
    done = collection(SessionDocument).update_one(
        {"_id": ObjectId(session_id), "$expr": {"$lte": [{"$bsonSize": whole}, most]}},
        [{"$set": {"context": whole, "updatedAt": now}}],
    )
    return done.matched_count == 1


def untag(session_id: str, tag: str, now: datetime) -> bool:
    """Take a tag off a session; False where it had none such."""
    which = {"_id": ObjectId(session_id), "tags": tag}
    changes = {"$pull": {"tags": tag}, "$set": {"updatedAt": now}}
    return collection(SessionDocument).update_one(which, changes).modified_count == 1


def reopen(session_id: str, opted_out: Sequence[str], now: datetime) -> bool:
    """Open a session again, whatever closed it; False where another one of its sender is open (rule T10).

    What was said of its sender since holds here too: the lines they opted out of, and that the bot is off.
    """
    sessions = collection(SessionDocument)
    gone = {"retired": {"$exists": False}, "merged_into": {"$exists": False}} | NOT_DELETED
    which = {"_id": ObjectId(session_id), "status": {"$ne": "active"}, **gone}
    found = sessions.find_one(which, {"keys": 1})
    if found is None:
        return True
    known: dict[str, Any] = {"opted_out": list(opted_out)}
    if keys := found.get("keys"):
        newest = sessions.find_one({"keys": {"$in": keys}}, {"bot_off": 1}, sort=[("first_message_at", -1)])
        known |= {"open_keys": keys} | ({"bot_off": True} if newest and newest.get("bot_off") else {})
    try:
        sessions.update_one(
            which,
            {
                "$set": {"status": "active", "reopened_at": now, "updatedAt": now} | known,
                "$unset": {"closed_reason": "", "closed_at": ""},
            },
        )
    except DuplicateKeyError:
        return False
    return True


def archive(session_id: str, now: datetime, *, reason: str) -> bool:
    """Put a session away; it is closed for good, since nothing may arrive where nobody looks."""
    sessions, which = collection(SessionDocument), {"_id": ObjectId(session_id)}
    close(session_id, reason, now)
    done = sessions.update_one(
        which | {"status": "closed"},
        {"$set": {"status": "archived", "updatedAt": now}, "$unset": {"needs_person": ""}},
    )
    return done.modified_count == 1


def unarchive(session_id: str, now: datetime) -> bool:
    """Take a session out of the archive: it is closed then, as it was."""
    done = collection(SessionDocument).update_one(
        {"_id": ObjectId(session_id), "status": "archived"}, {"$set": {"status": "closed", "updatedAt": now}}
    )
    return done.modified_count == 1


def seen(session_id: str, now: datetime) -> None:
    """Note that somebody read a session."""
    collection(SessionDocument).update_one({"_id": ObjectId(session_id)}, {"$max": {"seen_at": now}})


def unseen(session_id: str) -> bool:
    """Forget that somebody read a session; False where nobody had."""
    done = collection(SessionDocument).update_one({"_id": ObjectId(session_id)}, {"$unset": {"seen_at": ""}})
    return done.modified_count == 1


def assign(session_id: str, name: str, now: datetime) -> bool:
    """Leave a session to somebody, or to nobody; False where it was theirs."""
    change = {"$set": {"assigned_to": name}} if name else {"$unset": {"assigned_to": ""}}
    done = collection(SessionDocument).update_one(
        {"_id": ObjectId(session_id), "assigned_to": {"$ne": name or None}},
        {**change, "$set": {"updatedAt": now} | change.get("$set", {})},
    )
    return done.modified_count == 1


def unassign(name: str, now: datetime, *, but_on: Channels = ()) -> int:
    """Leave to nobody what was somebody's, except on these channels; gives how many sessions that were."""
    if but_on is None:
        return 0
    theirs = {"assigned_to": name} | ({"channel_id": {"$nin": sorted(but_on)}} if but_on else {})
    changes = {"$unset": {"assigned_to": ""}, "$set": {"updatedAt": now}}
    return collection(SessionDocument).update_many(theirs, changes).modified_count
