"""Sessions taken apart and put together: each function is one atomic update, or may be done again at any time.

A session that was merged into another leaves a record that no list and no finder shows: all it was is put aside in
`absorbed`, and `merged_into` leads on. So it can be taken out again as it was.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from gateway.core.sessions import IDLE
from gateway.core.times import MILLISECOND
from gateway.store import flows
from gateway.store.connection import collection
from gateway.store.documents import NOT_DELETED, MessageDocument, SessionDocument
from gateway.store.isolation import Channels, only
from gateway.store.regroupings import SPLIT, Regrouping

MERGED = "merged"
TIMES = ("first_message_at", "last_message_at", "last_inbound_at")
_STATE = ("status", "closed_reason", "closed_at")
# What is said of a person rather than of a session, and whose it is: the newest session's is what holds.
_NEWEST = ("bot_off", "opted_out", "automatic", "notices", "context", "assigned_to", "needs_person")
# What both sessions bring along.
_BOTH = ("tags", "has_failed")
# What the earlier session gets back when a merge is undone.
_KEPT = ("keys", *_BOTH, *_NEWEST)
# What is a session's own, and not that of one that comes off it.
_OWN = ("_id", "slot", "opening", "open_keys", "live", "live_until", "absorbed", "heir", *_STATE)

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Side:
    """A session as far as it matters for regrouping it. `before` is what is noted of it."""

    id: str
    channel_id: str
    communication_type: str
    previous_session_id: str | None
    first_message_at: datetime
    merged_into: str | None
    live: bool
    before: Mapping[str, Any]


def side(session_id: str, channels: Channels, now: datetime) -> Side | None:
    """Look a session up that may be seen and is not on its way out."""
    if not ObjectId.is_valid(session_id):
        return None
    here = {"_id": ObjectId(session_id), "retired": {"$exists": False}} | NOT_DELETED
    found = collection(SessionDocument).find_one(here | only(channels))
    if found is None:
        return None
    previous, into, until = found.get("previous_session_id"), found.get("merged_into"), found.get("live_until")
    return Side(
        id=session_id,
        channel_id=found.get("channel_id") or "",
        communication_type=found.get("communication_type") or "",
        previous_session_id=str(previous) if previous else None,
        first_message_at=found.get("first_message_at") or found["createdAt"],
        merged_into=str(into) if into else None,
        live=bool(found.get("live") and until and until >= now),
        before={name: found[name] for name in (*_STATE, *TIMES) if found.get(name) is not None},
    )


# Parting


def bring_forth(regrouping: Regrouping, now: datetime) -> None:
    """Put the later session there, as the sender's newest and with nothing in it yet.

    It is not open while the earlier one is, but whoever writes now finds it and joins it, as one closed for idleness.
    """
    if regrouping.kind == SPLIT:
        _copy(regrouping, now)
    else:
        _revive(regrouping, now)


def _copy(regrouping: Regrouping, now: datetime) -> None:
    flows.part(regrouping.earlier, regrouping.later)
    sessions, earlier = collection(SessionDocument), _get(regrouping.earlier)
    if "keys" not in earlier:
        return  # it was deleted meanwhile
    document = {name: value for name, value in earlier.items() if name not in _OWN}
    document |= _closed_as(earlier, now) | {
        "_id": ObjectId(regrouping.later),
        "context": flows.copied(earlier.get("context") or {}, regrouping.later),
        "previous_session_id": earlier["_id"],
        "first_message_at": regrouping.boundary,
        "metadata": {**(earlier.get("metadata") or {}), "firstMessageAt": regrouping.boundary},
        "message_count": 0,
        "createdAt": now,
        "updatedAt": now,
    }
    try:
        sessions.insert_one(document)
    except DuplicateKeyError:
        return  # it is there


def _revive(regrouping: Regrouping, now: datetime) -> None:
    sessions, earlier = collection(SessionDocument), _get(regrouping.earlier)
    which = {"_id": ObjectId(regrouping.later), "merged_into": earlier["_id"]}
    absorbed = (sessions.find_one(which) or {}).get("absorbed")
    if absorbed is None:
        return  # it is out again
    was, before = absorbed["session"], set(absorbed["into"]["keys"])
    learned = [key for key in earlier.get("keys") or () if key not in before | set(was["keys"])]
    newest = {name: earlier[name] for name in ("last_message_at", "last_inbound_at") if earlier.get(name)}
    changes = _closed_as(earlier, now) | newest | {name: earlier[name] for name in _NEWEST if name in earlier}
    changes |= {"keys": [*was["keys"], *learned], "message_count": 0, "updatedAt": now}
    changes["absorbed"] = {"into": absorbed["into"]}
    gone = [name for name in ("open_keys", "live", "live_until", *_STATE, *_NEWEST) if name not in changes]
    steps: list[Document] = [
        {"$replaceWith": {"$mergeObjects": ["$absorbed.session", {"$literal": changes}]}},
        {"$unset": gone},
    ]
    try:
        sessions.update_one(which, steps)
    except DuplicateKeyError:
        # Another session was opened where it stood. A slot only keeps racers apart, and they are long gone.
        sessions.update_one(which, [*steps, {"$unset": "slot"}])


def _closed_as(document: Mapping[str, Any], now: datetime) -> Document:
    """Give the state one session hands to another: closed as it was; if it was open, as the heir of its open keys."""
    if document.get("open_keys"):
        return {"status": "closed", "closed_reason": IDLE, "closed_at": now, "heir": document["open_keys"]}
    return {name: document[name] for name in _STATE if name in document}


def close_off(regrouping: Regrouping, now: datetime) -> None:
    """Close the earlier session where the later one begins, or as it was before that was merged into it."""
    before, end = regrouping.before, regrouping.boundary - MILLISECOND
    state: Document = {"status": "closed", "closed_reason": SPLIT, "closed_at": end}
    if regrouping.kind == SPLIT:
        state["status"] = "archived" if before.get("status") == "archived" else "closed"
    elif before.get("status") == "active":
        state["closed_reason"] = IDLE
    else:
        state = {name: before[name] for name in _STATE if name in before}
    own = (_get(regrouping.later).get("absorbed") or {}).get("into") or {}
    gone = ["open_keys", *(name for name in _STATE if name not in state)]
    gone += [name for name in _KEPT if name not in own] if own else ["needs_person"]
    collection(SessionDocument).update_one(
        {"_id": ObjectId(regrouping.earlier)},
        {"$set": {**state, **own, "updatedAt": now}, "$unset": dict.fromkeys(gone, "")},
    )


# Joining


def make_room(regrouping: Regrouping, now: datetime) -> None:
    """Let the earlier session be found as the later one is: with its keys and its times, closed as it or for idleness.

    So whoever writes when the later one is hidden joins the earlier one, and opens it if that is what it is to be.
    """
    sessions, earlier, later = collection(SessionDocument), _get(regrouping.earlier), _get(regrouping.later)
    if "keys" not in later:
        return  # it is absorbed already
    sessions.update_one(
        {"_id": later["_id"], "absorbed": {"$exists": False}},
        {"$set": {"absorbed": {"into": {name: earlier[name] for name in _KEPT if name in earlier}}}},
    )
    changes = _closed_as(later, now) | {name: later[name] for name in _NEWEST if name in later} | {"updatedAt": now}
    changes.pop("heir", None)
    if later.get("has_failed"):
        changes["has_failed"] = True
    sessions.update_one(
        {"_id": earlier["_id"]},
        {
            "$set": changes,
            "$max": {name: later[name] for name in ("last_message_at", "last_inbound_at") if later.get(name)},
            "$addToSet": {name: {"$each": later[name]} for name in ("keys", "tags") if later.get(name)},
            "$unset": dict.fromkeys(["open_keys", *(name for name in (*_STATE, "bot_off") if name not in changes)], ""),
        },
    )


def absorb(regrouping: Regrouping, now: datetime) -> None:
    """Leave nothing of the later session but a record that leads to the earlier one, and all it was put aside."""
    kept = {name: f"${name}" for name in ("_id", "channel_id", "createdAt", "last_message_at")}
    record = kept | {
        "closed_reason": MERGED,
        "merged_into": ObjectId(regrouping.earlier),
        "merged_at": now,
        "updatedAt": now,
        "absorbed": {"into": "$absorbed.into", "session": "$$ROOT"},
    }
    collection(SessionDocument).update_one(
        {"_id": ObjectId(regrouping.later), "merged_into": {"$exists": False}}, [{"$replaceWith": record}]
    )


def hand_open_keys(regrouping: Regrouping, now: datetime) -> None:
    """Open the session that is to be open now, unless its sender has another open one by now."""
    later = _get(regrouping.later)
    if regrouping.parts:
        heir, keys = regrouping.later, later.get("heir")
    else:
        heir, keys = regrouping.earlier, _absorbed(later).get("open_keys")
    if keys:
        try:
            collection(SessionDocument).update_one(
                {"_id": ObjectId(heir), "status": "closed", "closed_reason": IDLE},
                {
                    "$set": {"status": "active", "open_keys": keys, "updatedAt": now},
                    "$unset": {"closed_reason": "", "closed_at": ""},
                },
            )
        except DuplicateKeyError:
            return  # somebody wrote past the threshold meanwhile; that session is the open one


# Both ways


def move_calls(regrouping: Regrouping) -> None:
    """Let the session hold the live calls whose messages it has now."""
    earlier, later = ObjectId(regrouping.earlier), ObjectId(regrouping.later)
    source, target = (earlier, later) if regrouping.parts else (later, earlier)
    held = collection(SessionDocument).find_one({"_id": source}) or {}
    was = _absorbed(held)
    calls = {*(held.get("live") or ()), *(was.get("live") or ())}
    until = held.get("live_until") or was.get("live_until")
    for sid in sorted(calls):
        if collection(MessageDocument).find_one({"_id": f"{sid}:0", "session_id": target}, {"_id": 1}):
            change = {"$addToSet": {"live": sid}, **({"$max": {"live_until": until}} if until else {})}
            collection(SessionDocument).update_one({"_id": target}, change)
            collection(SessionDocument).update_one({"_id": source}, {"$pull": {"live": sid}})


def relink(regrouping: Regrouping) -> None:
    """Link the sessions that follow to the one that is before them now."""
    earlier, later = _get(regrouping.earlier), _get(regrouping.later)
    source, target = (earlier, later) if regrouping.parts else (later, earlier)
    keys = [*(earlier.get("keys") or ()), *(later.get("keys") or ())]
    after = {"first_message_at": {"$gt": regrouping.boundary}} if regrouping.parts else {}
    collection(SessionDocument).update_many(
        {"keys": {"$in": keys}, "previous_session_id": source["_id"], "_id": {"$ne": target["_id"]}, **after},
        {"$set": {"previous_session_id": target["_id"]}},
    )


def tidy(regrouping: Regrouping) -> None:
    """Drop what was only kept until a session is out again."""
    which = {"_id": ObjectId(regrouping.later), "merged_into": {"$exists": False}}
    collection(SessionDocument).update_one(which, {"$unset": {"absorbed": "", "heir": ""}})


def _get(session_id: str) -> Document:
    return collection(SessionDocument).find_one({"_id": ObjectId(session_id)}) or {"_id": ObjectId(session_id)}


def _absorbed(document: Mapping[str, Any]) -> Document:
    """Give what a session was that is merged into another; nothing where it is not."""
    return (document.get("absorbed") or {}).get("session") or {}
