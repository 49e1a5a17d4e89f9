"""How far a flow is: `sessions.context.flow`, moved on by one conditional update at a time.

`advanced_by` names what led to a state, and every change gives it another one. So an update that is bound to the one
it saw can neither skip a step nor take one twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId

from gateway.store.connection import collection
from gateway.store.documents import SessionDocument
from gateway.store.finding import flow_in
from gateway.store.sessions import FLOW

# What is said of a state that stands still: the session that goes on with it. And of that one's, until its first step:
# the session it is from.
CARRIED_BY, CARRIED_FROM = "carried_by", "carried_from"

# So many sessions may come between what was said and its answer.
_HOPS = 10

_STATE = f"context.{FLOW}"


@dataclass(frozen=True, slots=True)
class Held:
    """What a session keeps of a flow. `state` is as stored, None where there never was one."""

    session_id: str
    is_open: bool
    keys: tuple[str, ...]
    state: Mapping[str, Any] | None


def held(session_id: str) -> Held | None:
    """Look up how far a session's flow is; None where there is no such session."""
    if not ObjectId.is_valid(session_id):
        return None  # what an adopted session says it goes on in
    fields = {_STATE: 1, "status": 1, "keys": 1}
    found = collection(SessionDocument).find_one({"_id": ObjectId(session_id)}, fields)
    if found is None:
        return None
    is_open, keys = found.get("status") == "active", tuple(found.get("keys") or ())
    return Held(session_id, is_open, keys, flow_in(found.get("context")))


def going_on(session_id: str) -> Held | None:
    """Look up how far a session's flow is in whichever session goes on with it."""
    found = held(session_id)
    for _ in range(_HOPS):
        elsewhere = found and (found.state or {}).get(CARRIED_BY)
        further = held(elsewhere) if elsewhere else None
        if further is None:
            break
        found = further
    return found


def advance(session_id: str, seen: Mapping[str, Any] | None, state: Mapping[str, Any], now: datetime) -> bool:
    """Put a state in the place of the one that was seen; False where that moved on meanwhile, or may not move.

    Only an open session's flow moves.
    """
    which = _as_seen(session_id, seen or {}) | {"status": "active"}
    changes = {"$set": {_STATE: dict(state), "updatedAt": now}}
    return collection(SessionDocument).update_one(which, changes).modified_count == 1


def leave(session_id: str, seen: Mapping[str, Any], into: str) -> bool:
    """Let a flow stand still, since another session goes on with it; False where it moved on meanwhile."""
    changes = {"$set": {f"{_STATE}.{CARRIED_BY}": into}}
    return collection(SessionDocument).update_one(_as_seen(session_id, seen), changes).modified_count == 1


def part(session_id: str, into: str) -> None:
    """Let a flow stand still since what was said last goes on in another session, which is made from this one."""
    which = {"_id": ObjectId(session_id), _STATE: {"$exists": True}, f"{_STATE}.{CARRIED_BY}": None}
    collection(SessionDocument).update_one(which, {"$set": {f"{_STATE}.{CARRIED_BY}": into}})


def copied(context: Mapping[str, Any], into: str) -> dict[str, Any]:
    """Give the context of a session that goes on with what stands still for it."""
    state = context.get(FLOW) or {}
    if state.get(CARRIED_BY) != into:
        return dict(context)
    return {**context, FLOW: {name: value for name, value in state.items() if name != CARRIED_BY}}


def hand_over(session_id: str, into: str, now: datetime) -> None:
    """Let a closed session's flow go on in its person's open one, unless one runs there; safe to repeat."""
    left, there = held(session_id), held(into)
    state = dict(left.state or {}) if left else {}
    seen = (there.state if there else None) or {}
    runs_there = seen and not seen.get("outcome") and not seen.get(CARRIED_BY)
    if not state or state.get("outcome") or runs_there or state.get("run") == seen.get("run"):
        return
    if state.get(CARRIED_BY) not in (None, into):
        return  # it went on elsewhere before
    if state.get(CARRIED_BY) == into or leave(session_id, state, into):
        moved = {name: value for name, value in state.items() if name != CARRIED_BY}
        advance(into, seen, moved | {CARRIED_FROM: session_id}, now)


def hand_back(session_id: str, by: str, now: datetime) -> None:
    """Let a flow that went on in a session, which is another person's by now, be its own's again; safe to repeat.

    It is as far as it came. Where another one ran there since it is over, and where that session rolled over it stays.
    """
    left, there = held(session_id), held(by)
    mine, theirs = (left and left.state) or {}, (there and there.state) or {}
    is_same = bool(mine) and theirs.get("run") == mine.get("run")
    if is_same and theirs.get(CARRIED_BY):
        return
    if mine.get(CARRIED_BY) == by:
        own = {name: value for name, value in theirs.items() if name != CARRIED_FROM}
        change = {"$set": {_STATE: own, "updatedAt": now}} if is_same else {"$unset": {_STATE: ""}}
        collection(SessionDocument).update_one(_as_seen(session_id, mine), change)
    if is_same and not theirs.get("outcome"):
        collection(SessionDocument).update_one(_as_seen(by, theirs), {"$unset": {_STATE: ""}})


def _as_seen(session_id: str, seen: Mapping[str, Any]) -> dict[str, Any]:
    known = {f"{_STATE}.{name}": seen.get(name) for name in ("advanced_by", CARRIED_BY)}
    return {"_id": ObjectId(session_id), **known}


def context_of(session_id: str) -> Mapping[str, Any]:
    """Give all that is known about a session."""
    found = collection(SessionDocument).find_one({"_id": ObjectId(session_id)}, {"context": 1}) or {}
    context = found.get("context")
    return context if isinstance(context, Mapping) else {}
