"""States of flows that somebody has to look at later, whatever became of their sessions meanwhile."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId

from gateway.core.flows import State
from gateway.store.connection import collection
from gateway.store.documents import SessionDocument
from gateway.store.outbound import Place


@dataclass(frozen=True, slots=True)
class Waiting:
    """A state that somebody has to look at, and where it is."""

    place: Place
    state: State


def replace(session_id: str, seen: State, kept: Mapping[str, Any], now: datetime) -> bool:
    """Put a state in the place of the one that was seen, in a closed session too; False where it is another by now."""
    changes = {"$set": {"context.flow": dict(kept)}, "$max": {"updatedAt": now}}
    return collection(SessionDocument).update_one(_as_seen(session_id, seen), changes).matched_count == 1


def put_due(session_id: str, seen: State, due: datetime | None) -> bool:
    """Say when to look at a state again, or (None) never; False where it is another one by now."""
    change: Mapping[str, Any] = {"$set": {"context.flow.due": due}} if due else {"$unset": {"context.flow.due": ""}}
    return collection(SessionDocument).update_one(_as_seen(session_id, seen), change).matched_count == 1


def _as_seen(session_id: str, seen: State) -> dict[str, Any]:
    same = {name: getattr(seen, name) for name in ("run", "advanced_by", "outcome")} | {"carried_by": None}
    return {"_id": ObjectId(session_id)} | {f"context.flow.{name}": value for name, value in same.items()}


def read(stored: Any) -> State | None:
    """Read what a session keeps of a flow; None where that is nothing, or goes on in a later session."""
    if not isinstance(stored, Mapping) or stored.get("carried_by"):
        return None
    try:
        return State.read(stored)
    except (KeyError, TypeError):
        return None


def due(now: datetime, *, limit: int) -> Iterator[Waiting]:
    """Give the states to look at by now, those first that wait longest; what goes on elsewhere is looked at no more."""
    fields = {"context.flow": 1, "channel_id": 1, "communication_type": 1, "contact_id": 1, "deleted": 1}
    found = collection(SessionDocument).find({"context.flow.due": {"$lte": now}}, fields).hint("flow_due")
    for row in found.sort("context.flow.due", 1).limit(limit):
        state = read(row["context"]["flow"])
        if state is None or row.get("deleted"):
            collection(SessionDocument).update_one({"_id": row["_id"]}, {"$unset": {"context.flow.due": ""}})
        else:
            yield Waiting(Place.of(row | {"session_id": row["_id"]}), state)
