"""Who changed what by hand: one entry an action, never a word of what people wrote."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId

from gateway.store.connection import collection
from gateway.store.documents import AuditDocument


def note(at: datetime, by: str, action: str, *, session_id: str | None = None, **details: Any) -> None:
    """Add an entry: who, what (`session_closed`, `user_added`), about which session, and what tells it apart."""
    collection(AuditDocument).insert_one(
        {
            "at": at,
            "by": by,
            "action": action,
            **({"session_id": ObjectId(session_id)} if session_id else {}),
            "details": details,
        }
    )


def note_once(key: str, at: datetime, by: str, action: str, *, session_id: str | None = None, **details: Any) -> None:
    """Add an entry of something that may be told again, after a crash: once under its key."""
    about = {"session_id": ObjectId(session_id)} if session_id else {}
    entry = {"at": at, "by": by, "action": action, **about, "details": details}
    collection(AuditDocument).update_one({"_id": key}, {"$setOnInsert": entry}, upsert=True)


def has(session_id: str, actions: Sequence[str], *, since: datetime) -> bool:
    """Tell whether one of these was done to a session after a moment."""
    wanted = {"session_id": ObjectId(session_id), "at": {"$gt": since}, "action": {"$in": list(actions)}}
    return collection(AuditDocument).find_one(wanted, {"_id": 1}) is not None


def of_session(session_id: str, *, limit: int = 100) -> list[Mapping[str, Any]]:
    """Give what was done to a session, newest first."""
    found = collection(AuditDocument).find({"session_id": ObjectId(session_id)}, {"_id": 0})
    return list(found.sort("at", -1).limit(limit))
