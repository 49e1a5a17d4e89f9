"""A session's messages in pages, the newest first, at the same cost however long the session is."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId

from gateway.core.times import MILLISECOND
from gateway.store import messages
from gateway.store.connection import collection
from gateway.store.documents import NOT_DELETED, SessionDocument
from gateway.store.isolation import Channels, only

# An answer has the moment of what it answers, and nothing else has as many messages of one moment.
_SAME_MOMENT = 1000


@dataclass(frozen=True, slots=True)
class Page:
    """Some messages, oldest first. `earlier` is the moment before which there are more; None where these are all."""

    messages: list[dict[str, Any]]
    earlier: datetime | None


def page(
    session_id: str, channels: Channels, *, limit: int, since: datetime | None = None, before: datetime | None = None
) -> Page:
    """Give the newest messages from `since` on and before `before`; those of one moment are never torn apart."""
    rows = messages.transcript(session_id, channels, limit=limit + 1, since=since, before=before)
    if len(rows) <= limit:
        return Page(rows, None)
    edge = rows[-limit]["createdAt"]
    if rows[0]["createdAt"] < edge:
        return Page(rows[-limit:], edge)
    after_edge = [row for row in rows if row["createdAt"] > edge]
    at_edge = messages.transcript(session_id, channels, limit=_SAME_MOMENT, since=edge, before=edge + MILLISECOND)
    more = messages.transcript(session_id, channels, limit=1, since=since, before=edge)
    return Page([*at_edge, *after_edge], edge if more else None)


def visible(session_ids: set[str], channels: Channels) -> set[str]:
    """Tell which of these sessions are there and on these channels."""
    ids = [ObjectId(one) for one in session_ids if ObjectId.is_valid(one)]
    found = collection(SessionDocument).find({"_id": {"$in": ids}} | NOT_DELETED | only(channels), {"_id": 1})
    return {str(row["_id"]) for row in found}
