"""A session's messages in pages, the newest first, at the same cost however long the session is."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo import ASCENDING, DESCENDING

from gateway.core.times import MILLISECOND
from gateway.store import messages
from gateway.store.connection import collection
from gateway.store.documents import NOT_DELETED, MessageDocument, SessionDocument
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


@dataclass(frozen=True, slots=True)
class Walked:
    """Some messages in the order asked for; `beyond` is the moment that the next page begins after, None at the end."""

    messages: list[dict[str, Any]]
    beyond: datetime | None


def walk(
    session_id: str,
    channels: Channels,
    *,
    limit: int,
    oldest_first: bool = False,
    beyond: datetime | None = None,
    after: datetime | None = None,
) -> Walked:
    """Go through a session's messages in either direction of time, a page at a time.

    Messages of one moment are never torn apart, so a page may hold a few less than `limit`, or more where they all are
    of one.
    """
    direction, further = (ASCENDING, "$gt") if oldest_first else (DESCENDING, "$lt")
    wanted: dict[str, Any] = {"session_id": ObjectId(session_id)} | only(channels)
    bounds = [{"createdAt": {how: at}} for how, at in ((further, beyond), ("$gt", after)) if at]
    if bounds:
        wanted["$and"] = bounds
    rows = list(collection(MessageDocument).find(wanted).sort("createdAt", direction).limit(limit + 1))
    more = len(rows) > limit
    if more:
        edge = rows.pop()["createdAt"]
        whole = [row for row in rows if row["createdAt"] != edge]
        if not whole:
            whole = list(collection(MessageDocument).find(wanted | {"createdAt": edge}).limit(_SAME_MOMENT))
        rows = whole
    rows.sort(key=messages.in_order, reverse=not oldest_first)
    return Walked([messages.plain(row) for row in rows], rows[-1]["createdAt"] if more else None)


def visible(session_ids: set[str], channels: Channels) -> set[str]:
    """Tell which of these sessions are there and on these channels."""
    ids = [ObjectId(one) for one in session_ids if ObjectId.is_valid(one)]
    found = collection(SessionDocument).find({"_id": {"$in": ids}} | NOT_DELETED | only(channels), {"_id": 1})
    return {str(row["_id"]) for row in found}
