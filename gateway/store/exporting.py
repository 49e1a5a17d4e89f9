"""Whole sessions and messages for reading, one at a time, however many there are."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from bson import ObjectId
from pymongo.cursor import Cursor

from gateway.core.errors import StoreUnavailable
from gateway.store import listing
from gateway.store.connection import collection, deadline
from gateway.store.documents import MessageDocument, SessionDocument
from gateway.store.isolation import Channels, only
from gateway.store.listing import Wanted

# Waiting for one batch: how many there are is nobody's fault.
BATCH_SECONDS = 30
_SESSIONS_AT_ONCE, _MESSAGES_AT_ONCE = 50, 200

# What keeps races apart while a session lives, and what a redelivery is answered with, are no part of what was said.
_WITHOUT = {
    "sessions": ("open_keys", "slot", "opening", "live", "live_until", "automatic", "notices", "retired"),
    "messages": ("answer",),
}


@dataclass(frozen=True, slots=True)
class Selected:
    """Which sessions: those of the list with these filters, or the one that is named; only on these channels."""

    channels: Channels
    wanted: Wanted = field(default_factory=Wanted)
    session_id: str = ""

    def facts(self) -> dict[str, Any]:
        """Say what was asked for, for the head of a file and the audit: what was searched for is only said to be."""
        if self.session_id:
            return {"session_id": self.session_id}
        asked = {one.name: getattr(self.wanted, one.name) for one in fields(Wanted)}
        starts, among = asked.pop("number_starts"), asked.pop("among")
        searched = bool(starts) or among is not None
        return {name: value for name, value in asked.items() if value} | ({"searched": True} if searched else {})


def sessions(selected: Selected) -> Iterator[dict[str, Any]]:
    """Give sessions as stored, in the order of the list; StoreUnavailable may come in the midst."""
    found = collection(SessionDocument).find(_wanted(selected), _fields("sessions"), batch_size=_SESSIONS_AT_ONCE)
    return _each(found.sort([("last_message_at", -1), ("_id", -1)]))


def _wanted(selected: Selected) -> dict[str, Any]:
    if selected.session_id:
        return {"_id": ObjectId(selected.session_id)} | only(selected.channels)
    return listing.matching(selected.wanted, selected.channels)


def messages(session_id: str, channels: Channels) -> Iterator[dict[str, Any]]:
    """Give a session's messages on these channels as stored, oldest first."""
    wanted = {"session_id": ObjectId(session_id)} | only(channels)
    found = collection(MessageDocument).find(wanted, _fields("messages"), batch_size=_MESSAGES_AT_ONCE)
    return _each(found.sort("createdAt", 1))


def _fields(name: str) -> dict[str, int]:
    return dict.fromkeys(_WITHOUT[name], 0)


def _each(found: Cursor[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Give one after the other; whoever stops asking ends the cursor."""
    try:
        while True:
            with deadline(BATCH_SECONDS):
                row = next(found, None)
            if row is None:
                return
            yield plain(row)
    finally:
        with contextlib.suppress(StoreUnavailable), deadline():
            found.close()


def plain(value: Any) -> Any:
    """Give a stored value with its ids as strings; moments stay moments."""
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return str(value) if isinstance(value, ObjectId) else value
