"""What was said with a person, over all their sessions and channels, as one history: the newest first, in pages."""

import heapq
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId

from gateway.core.identifiers import canonical
from gateway.core.replies import Said
from gateway.core.times import epoch_ms, from_epoch_ms
from gateway.store import asked, people
from gateway.store.connection import collection
from gateway.store.documents import NOT_PRIVATE, MessageDocument, SessionDocument
from gateway.store.isolation import Channels, only

# MongoDB reads the newest of so many sessions each straight from the index and puts them in order while it does.
_TOGETHER = 150

# Of whoever had more sessions than these lately, a responder is told of the newest.
_SESSIONS = 600

_WITHOUT = {"answer": 0, "moved": 0}

_CURSOR = re.compile(r"(\d{1,14})\.([01])\.(.{1,150})", re.ASCII)

# A message's place in a history: its moment, whether it is ours (an answer follows what it answers), its id.
Position = tuple[datetime, bool, str]


def page(
    contact_ids: Sequence[str], channels: Channels, *, limit: int, after: Position | None = None
) -> list[dict[str, Any]]:
    """Give a person's messages on these channels, the newest first, or those that follow `after`."""
    sessions = collection(SessionDocument).find(people.theirs(contact_ids, channels), {"_id": 1})
    ids = [row["_id"] for row in sessions]
    parts = [ids[start : start + _TOGETHER] for start in range(0, len(ids), _TOGETHER)]
    found = [row for part in parts for row in _newest({"session_id": {"$in": part}} | only(channels), limit, after)]
    return heapq.nlargest(limit, found, key=position)


def elsewhere(
    contact_ids: Sequence[ObjectId],
    session_id: str,
    *,
    since: datetime,
    until: datetime,
    limit: int,
    shared: Collection[str],
) -> list[Said]:
    """Give what was said with a person between two moments in other sessions than one: the newest, oldest first.

    Without private notes, and without sessions that were found by what many people write by (`shared`).
    """
    wanted = people.theirs([str(one) for one in contact_ids], None) | {"last_message_at": {"$gte": since}}
    sessions = collection(SessionDocument).find(wanted, {"keys": 1}).sort("last_message_at", -1).limit(_SESSIONS)
    ids = [
        row["_id"]
        for row in sessions
        if str(row["_id"]) != session_id
        and not (shared and any(canonical(str(key).rpartition("|")[2]) in shared for key in row.get("keys") or ()))
    ]
    said: list[dict[str, Any]] = []
    for start in range(0, len(ids), _TOGETHER):
        among = {"session_id": {"$in": ids[start : start + _TOGETHER]}, "createdAt": {"$gte": since, "$lte": until}}
        said += _read(among | {"metadata.resendOf": {"$exists": False}} | NOT_PRIVATE, limit)
    return [asked.said(row) for row in sorted(heapq.nlargest(limit, said, key=position), key=position)]


def position(row: Mapping[str, Any]) -> Position:
    """Give a message's place in a history."""
    return row["createdAt"], row.get("direction") == "outbound", row["id"]


def cursor(row: Mapping[str, Any]) -> str:
    """Write a message's place for an address."""
    at, is_ours, message_id = position(row)
    return f"{epoch_ms(at)}.{is_ours:d}.{message_id}"


def read_cursor(written: str) -> Position | None:
    """Read a place in a history; None where it is none, which is its beginning."""
    found = _CURSOR.fullmatch(written)
    return (from_epoch_ms(int(found[1])), found[2] == "1", found[3]) if found else None


def _newest(wanted: dict[str, Any], limit: int, after: Position | None) -> list[dict[str, Any]]:
    """Give the newest messages, and with the oldest of them all that have its moment."""
    rows: list[dict[str, Any]] = []
    older: dict[str, Any] = {}
    if after:
        rows = [row for row in _read(wanted | {"createdAt": after[0]}) if position(row) < after]
        older = {"createdAt": {"$lt": after[0]}}
    found = _read(wanted | older, limit)
    if len(found) == limit:
        last = found[-1]["createdAt"]
        found = [row for row in found if row["createdAt"] > last] + _read(wanted | {"createdAt": last})
    return rows + found


def _read(wanted: dict[str, Any], limit: int = 0) -> list[dict[str, Any]]:
    found = collection(MessageDocument).find(wanted, _WITHOUT).sort("createdAt", -1).limit(limit)
    return [row | {"id": str(row["_id"])} for row in found]
