"""What happens in MongoDB, as it happens: changes of messages and sessions, turned into events.

A change stream forgets nothing and costs nobody anything while it is read; its token is where somebody else goes on.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.core.notifications import Event
from gateway.store import occurrences, streams
from gateway.store.connection import deadline
from gateway.store.documents import FlowRunDocument, MessageDocument, SessionDocument
from gateway.store.occurrences import Placed
from gateway.store.streams import Gathered

_SESSIONS, _MESSAGES = SessionDocument._get_collection_name(), MessageDocument._get_collection_name()
_RUNS = FlowRunDocument._get_collection_name()
_CHANGED = "updateDescription.updatedFields"
_OF_MESSAGES, _OF_SESSIONS, _OF_RUNS = ("status", "decision"), ("status", "needs_person"), ("outcome",)
_KINDS = (_MESSAGES, _SESSIONS, _RUNS)
_BESIDE = ("closed_at", "closed_reason", "reopened_at", "updatedAt")


def _touched(kind: str, fields: Sequence[str]) -> dict[str, Any]:
    return {
        "ns.coll": kind,
        "operationType": "update",
        "$or": [{f"{_CHANGED}.{one}": {"$exists": True}} for one in fields],
    }


# What passes is filtered by the server: most updates are of counts and times, which are nobody's news.
_PIPELINE: list[dict[str, Any]] = [
    {
        "$match": {
            "$or": [
                {"ns.coll": {"$in": [_SESSIONS, _MESSAGES, _RUNS]}, "operationType": "insert"},
                _touched(_MESSAGES, _OF_MESSAGES),
                _touched(_SESSIONS, _OF_SESSIONS),
                _touched(_RUNS, _OF_RUNS),
            ]
        }
    },
    {
        "$project": {
            "documentKey": 1, "ns.coll": 1, "operationType": 1, "clusterTime": 1,
            **{f"{_CHANGED}.{one}": 1 for one in {*_OF_MESSAGES, *_OF_SESSIONS, *_BESIDE} - {"decision"}},
            f"{_CHANGED}.decision.kind": 1,
        }
    },
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Batch:
    """Some events in their order, and the place to go on from after them.

    `until` is up to when they tell everything; None where that is now, since nothing more waits.
    """

    events: list[Event]
    place: Mapping[str, Any]
    until: datetime | None


@contextlib.contextmanager
def follow(place: Mapping[str, Any] | None, since: datetime) -> Iterator[Iterator[Batch]]:
    """Give what happens from a place on, or from a moment on where there is none; empty batches while nothing does.

    Raises PlaceLost, NoChangeStreams, StoreUnavailable.
    """
    with streams.follow(_PIPELINE, place, since) as gathered:
        yield (_batch(some) for some in gathered)


def _batch(some: Gathered) -> Batch:
    with deadline():
        return Batch(_events(some.changes), some.place, some.until)


def _events(changes: Sequence[Mapping[str, Any]]) -> list[Event]:
    ids = {kind: {_id(change) for change in changes if change["ns"]["coll"] == kind} for kind in _KINDS}
    known: dict[str, Mapping[Any, Any]] = {
        _MESSAGES: occurrences.messages(sorted(ids[_MESSAGES])),
        _SESSIONS: occurrences.sessions(ids[_SESSIONS]),
        _RUNS: occurrences.runs(sorted(ids[_RUNS])),
    }
    placed, events = Placed(known[_MESSAGES].values()), list[Event]()
    for change in changes:
        kind = change["ns"]["coll"]
        row = known[kind].get(_id(change))
        if row is None:  # it was deleted since
            continue
        if kind == _RUNS:
            events += occurrences.of_run(row, began=change["operationType"] == "insert")
        else:
            events += _of_message(placed, row, change) if kind == _MESSAGES else _of_session(row, change)
    return events


def _id(change: Mapping[str, Any]) -> Any:
    return change["documentKey"]["_id"]


def _fields(change: Mapping[str, Any]) -> Mapping[str, Any]:
    return (change.get("updateDescription") or {}).get("updatedFields") or {}


def _is_news(row: Mapping[str, Any], change: Mapping[str, Any]) -> bool:
    return not occurrences.is_history(row, change["clusterTime"].as_datetime())


def _of_message(placed: Placed, row: Mapping[str, Any], change: Mapping[str, Any]) -> Iterator[Event]:
    if change["operationType"] == "insert":
        yield from placed.stored(row) if _is_news(row, change) else ()
        return
    fields = _fields(change)
    if "decision" in fields:
        yield from placed.decided(row)
    if "status" in fields:
        yield from placed.reached(row, fields["status"])


def _of_session(row: Mapping[str, Any], change: Mapping[str, Any]) -> Iterator[Event]:
    if change["operationType"] == "insert":
        yield from occurrences.of_new_session(row) if _is_news(row, change) else ()
    else:
        yield from occurrences.of_changed_session(row, _fields(change))


# Where it goes on
