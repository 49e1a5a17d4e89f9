"""The state of flows in sessions, as far as somebody has to look at it later."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bson import ObjectId

from gateway.core.flows import State
from gateway.store.connection import collection
from gateway.store.documents import SessionDocument


def put_due(session_id: str, seen: State, due: datetime | None) -> bool:
    """Say when to look at a state again, or (None) never; False where it is another one by now."""
    change: Mapping[str, Any] = {"$set": {"context.flow.due": due}} if due else {"$unset": {"context.flow.due": ""}}
    same = {"context.flow.run": seen.run, "context.flow.advanced_by": seen.advanced_by}
    which = {"_id": ObjectId(session_id), **same, "context.flow.outcome": seen.outcome}
    return collection(SessionDocument).update_one(which, change).matched_count == 1
