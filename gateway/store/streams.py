"""MongoDB's changes from a place on: what passes a pipeline, some at once, with the place to go on from after them."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import Timestamp
from pymongo.errors import OperationFailure, PyMongoError

from gateway.core.errors import GatewayError, StoreUnavailable
from gateway.store.connection import collection
from gateway.store.documents import JobDocument, SessionDocument

MOST_GATHERED = 500
GATHER_SECONDS = 0.2

# What servers say where the changes since then are gone, or where there is no oplog to read them from.
_GONE = frozenset({136, 280, 286})
_NO_STREAMS = 40573


class PlaceLost(GatewayError):
    """MongoDB no longer knows what changed since then."""


class NoChangeStreams(GatewayError):
    """This MongoDB is no replica set, so it tells nobody of changes."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """Some changes in their order, and the place to go on from after them.

    `until` is up to when they are all there are; None where that is now, since nothing more waits.
    """

    changes: Sequence[Mapping[str, Any]]
    place: Mapping[str, Any]
    until: datetime | None


@contextlib.contextmanager
def follow(
    pipeline: Sequence[Mapping[str, Any]], place: Mapping[str, Any] | None, since: datetime
) -> Iterator[Iterator[Gathered]]:
    """Give what changes from a place on, or from a moment on where there is none; empty ones while nothing does.

    Raises PlaceLost, NoChangeStreams, StoreUnavailable.
    """
    start = (
        {"resume_after": dict(place)} if place else {"start_at_operation_time": Timestamp(int(since.timestamp()), 0)}
    )
    with _told():
        database = collection(SessionDocument).database
        stream = database.watch(pipeline, max_await_time_ms=round(GATHER_SECONDS * 1000), **start)
    with stream:
        yield _batches(stream)


def _batches(stream: Any) -> Iterator[Gathered]:
    while True:
        with _told():
            changes, complete = _gather(stream)
            place = stream.resume_token
        yield Gathered(changes, place, None if complete else changes[-1]["clusterTime"].as_datetime())


def _gather(stream: Any) -> tuple[list[Mapping[str, Any]], bool]:
    """Take what comes within a moment; tell also whether that was all there is."""
    changes: list[Mapping[str, Any]] = []
    over = time.monotonic() + GATHER_SECONDS
    while len(changes) < MOST_GATHERED:
        change = stream.try_next()
        if change is not None:
            changes.append(change)
        elif time.monotonic() > over:
            return changes, True
    return changes, False


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OperationFailure as error:
        if error.code in _GONE:
            raise PlaceLost(f"MongoDB no longer knows what changed since then ({error.code}).") from None
        if error.code == _NO_STREAMS:
            raise NoChangeStreams("MongoDB is no replica set, so it has no change streams.") from None
        raise StoreUnavailable(f"{type(error).__name__}: {error}") from error
    except PyMongoError as error:
        raise StoreUnavailable(f"{type(error).__name__}: {error}") from error


def place(job: str) -> tuple[Mapping[str, Any] | None, datetime | None]:
    """Tell where a job goes on in MongoDB's changes, and up to when it has told everything."""
    found = collection(JobDocument).find_one({"_id": job}, {"place": 1, "until": 1}) or {}
    return found.get("place") or None, found.get("until")


def keep_place(job: str, owner: str, place: Mapping[str, Any] | None, until: datetime, lease: datetime) -> bool:
    """Note where a job goes on, and that it does; False where it is somebody else's by now."""
    fields = {"place": dict(place or {}), "until": until, "lease": lease}
    done = collection(JobDocument).update_one({"_id": job, "owner": owner}, {"$set": fields})
    return done.matched_count == 1


def forget_place(job: str) -> None:
    """Begin anew the next time, since nobody listens."""
    collection(JobDocument).update_one({"_id": job, "place": {"$exists": True}}, {"$unset": {"place": "", "until": ""}})
