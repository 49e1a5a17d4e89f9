"""Whole sessions and messages for reading, one at a time, however many there are."""

import contextlib
from collections.abc import Collection, Generator, Iterator, Mapping
from dataclasses import dataclass, field, fields
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

from bson import ObjectId
from pymongo.cursor import Cursor

from gateway.core.errors import StoreUnavailable
from gateway.store import listing, people, transcripts
from gateway.store.connection import collection, deadline
from gateway.store.documents import NOT_DELETED, MessageDocument, SessionDocument
from gateway.store.isolation import Channels, only
from gateway.store.listing import Wanted

# Waiting for one batch: how many there are is nobody's fault.
BATCH_SECONDS = 30
_SESSIONS_AT_ONCE, _MESSAGES_AT_ONCE = 50, 200

# Most sessions are short: so many messages of several are read in one round trip.
_TOGETHER = 1000

# What keeps races apart while a session lives, what a redelivery is answered with, and which import brought it here
# are no part of what was said.
WITHOUT = {
    "sessions": (
        "open_keys",
        "slot",
        "opening",
        "live",
        "live_until",
        "automatic",
        "notices",
        "retired",
        "absorbed",
        "heir",
        "import_id",
    ),
    "messages": ("answer", "import_id"),
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
    with deadline(BATCH_SECONDS):
        query, index = _reading(selected)
    found = collection(SessionDocument).find(query, _fields("sessions"), batch_size=_SESSIONS_AT_ONCE)
    found = found.hint(index) if index else found
    sessions = _each(found.sort([("last_message_at", -1), ("_id", -1)]), _SESSIONS_AT_ONCE, selected.channels)
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
        rows = as_shown(rows, channels)
    return {session_id: list(said) for session_id, said in groupby(rows, key=itemgetter("session_id"))}


def _reading(selected: Selected) -> tuple[dict[str, Any], str | None]:
    if selected.session_id:
        return {"_id": ObjectId(selected.session_id)} | NOT_DELETED | only(selected.channels), None
    return listing.reading(selected.wanted, selected.channels)


def messages(session_id: Any, channels: Channels) -> Iterator[dict[str, Any]]:
    """Give a session's messages on these channels as stored, oldest first; its id may be given as stored."""
    wanted = {"session_id": ObjectId(session_id)} | only(channels)
    found = collection(MessageDocument).find(wanted, _fields("messages"), batch_size=_MESSAGES_AT_ONCE)
    return _each(found.sort("createdAt", 1), _MESSAGES_AT_ONCE, channels)


def _fields(name: str) -> dict[str, int]:
    return dict.fromkeys(WITHOUT[name], 0)


def as_shown(rows: list[dict[str, Any]], channels: Channels) -> list[dict[str, Any]]:
    """Leave out what would tell of other channels: the sessions there, and what somebody said STOP to there."""
    if channels is None:
        return rows
    named = {str(one) for row in rows for one in _sessions_in(row) if one}
    hidden = named - transcripts.visible(named, channels)
    lines = people.lines_of(channels) if any(row.get("opted_out") for row in rows) else set[str]()
    return [_without(row, hidden, lines) for row in rows]


def _sessions_in(row: Mapping[str, Any]) -> Iterator[Any]:
    """Give the other sessions that a session or message names."""
    yield row.get("previous_session_id")
    yield from (value for name, value in (row.get("decision") or {}).items() if name.endswith("session_id"))
    yield from (move.get("from") for move in row.get("moved") or ())


def _without(row: dict[str, Any], hidden: Collection[str], lines: Collection[str]) -> dict[str, Any]:
    shown = {name: value for name, value in row.items() if name != "previous_session_id" or str(value) not in hidden}
    if row.get("decision"):
        shown["decision"] = {name: value for name, value in row["decision"].items() if str(value) not in hidden}
    if row.get("moved"):
        shown["moved"] = [move for move in row["moved"] if str(move.get("from")) not in hidden]
    if row.get("opted_out"):
        shown["opted_out"] = [line for line in row["opted_out"] if line in lines]
    return shown


def _each(found: Cursor[dict[str, Any]], at_once: int, channels: Channels) -> Generator[dict[str, Any], None, None]:
    """Give one after the other, as somebody may see them; whoever stops asking ends the cursor."""
    try:
        rows = None
        while rows is None or len(rows) == at_once:
            with deadline(BATCH_SECONDS):
                rows = list(islice(found, at_once))
                shown = as_shown(rows, channels)
            yield from shown
    finally:
        if found.alive:
            with contextlib.suppress(StoreUnavailable), deadline():
                found.close()
