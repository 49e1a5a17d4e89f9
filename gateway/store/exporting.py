"""Whole sessions and messages for reading, one at a time, however many there are."""

import contextlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, fields
from itertools import groupby, islice
from operator import itemgetter
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

# Most sessions are short: so many messages of several are read in one round trip.
_TOGETHER = 1000

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


def conversations(selected: Selected) -> Iterator[tuple[dict[str, Any], Iterator[dict[str, Any]]]]:
    """Give sessions as stored, in the order of the list, each with its messages, which are to be taken before the next.

    StoreUnavailable may come in the midst.
    """
    found = collection(SessionDocument).find(_wanted(selected), _fields("sessions"), batch_size=_SESSIONS_AT_ONCE)
    sessions = _each(found.sort([("last_message_at", -1), ("_id", -1)]), _SESSIONS_AT_ONCE)
    with contextlib.closing(sessions):
        while some := list(islice(sessions, _SESSIONS_AT_ONCE)):
            said = _said_in([session["_id"] for session in some], selected.channels)
            for session in some:
                if said is None:
                    yield session, messages(session["_id"], selected.channels)
                else:
                    yield session, iter(said.get(session["_id"], ()))


def _said_in(ids: list[ObjectId], channels: Channels) -> dict[ObjectId, list[dict[str, Any]]] | None:
    """Read the messages of some sessions in one go; None where they are too many for that."""
    wanted = {"session_id": {"$in": ids}} | only(channels)
    found = collection(MessageDocument).find(wanted, _fields("messages"), batch_size=_TOGETHER + 1)
    with deadline(BATCH_SECONDS):
        rows = list(found.sort([("session_id", 1), ("createdAt", 1)]).limit(_TOGETHER + 1))
    if len(rows) > _TOGETHER:
        return None
    return {session_id: list(said) for session_id, said in groupby(rows, key=itemgetter("session_id"))}


def _wanted(selected: Selected) -> dict[str, Any]:
    if selected.session_id:
        return {"_id": ObjectId(selected.session_id)} | only(selected.channels)
    return listing.matching(selected.wanted, selected.channels)


def messages(session_id: Any, channels: Channels) -> Iterator[dict[str, Any]]:
    """Give a session's messages on these channels as stored, oldest first; its id may be given as stored."""
    wanted = {"session_id": ObjectId(session_id)} | only(channels)
    found = collection(MessageDocument).find(wanted, _fields("messages"), batch_size=_MESSAGES_AT_ONCE)
    return _each(found.sort("createdAt", 1), _MESSAGES_AT_ONCE)


def _fields(name: str) -> dict[str, int]:
    return dict.fromkeys(_WITHOUT[name], 0)


def _each(found: Cursor[dict[str, Any]], at_once: int) -> Generator[dict[str, Any], None, None]:
    """Give one after the other; whoever stops asking ends the cursor."""
    try:
        rows = None
        while rows is None or len(rows) == at_once:
            with deadline(BATCH_SECONDS):
                rows = list(islice(found, at_once))
            yield from rows
    finally:
        if found.alive:
            with contextlib.suppress(StoreUnavailable), deadline():
                found.close()
