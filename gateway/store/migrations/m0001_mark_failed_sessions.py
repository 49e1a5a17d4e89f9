"""Sessions in which a message failed before that was noted on them: the console's list finds them by the note."""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.core.statuses import MESSAGE_FAILURES
from gateway.store.connection import collection
from gateway.store.documents import MessageDocument, SessionDocument
from gateway.store.migrations.pattern import Mended, Migration


def mend(messages: Sequence[Mapping[str, Any]]) -> Mended:
    """Note it on the sessions of those that failed; it is never taken back, so nothing is overwritten."""
    failed = {message.get("session_id") for message in messages if _failed(message)}
    if not failed:
        return Mended()
    done = collection(SessionDocument).update_many(
        {"_id": {"$in": list(failed)}, "has_failed": {"$ne": True}}, {"$set": {"has_failed": True}}
    )
    return Mended(done.modified_count)


def _failed(message: Mapping[str, Any]) -> bool:
    said = [message.get("status"), *(one.get("status") for one in message.get("status_history") or ())]
    return message.get("direction") == "outbound" and not MESSAGE_FAILURES.isdisjoint(said)


MARK_FAILED_SESSIONS = Migration(
    number=1,
    name="mark_failed_sessions",
    why="the list's filter for failed messages misses sessions from before it was there",
    documents=MessageDocument,
    fields={"session_id": 1, "direction": 1, "status": 1, "status_history.status": 1},
    mend=mend,
)
