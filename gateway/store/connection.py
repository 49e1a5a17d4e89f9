"""The connection to MongoDB: made after the fork, majority and journalled, and never waited for long."""

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

import mongoengine
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, DuplicateKeyError

from gateway.core.errors import ConfigError, StoreUnavailable
from gateway.core.times import MILLISECOND
from gateway.settings import Settings
from gateway.store import clients
from gateway.store.bounded import Bounded
from gateway.store.breaker import Breaker
from gateway.store.documents import DOCUMENTS, JobDocument

# A webhook must be answered in time whatever MongoDB does: this bounds all its operations together. pymongo waits
# for a server in steps of half a second, so 1.45 s ends at 1.5 s and 1.6 s would end at 2.0 s.
DEADLINE_SECONDS = 1.45

# Building an index reads its whole collection.
INDEX_SECONDS = 600

DUPLICATE_KEY = 11000

# mongoengine's register changes in several steps, and a thread that looks in between leaves half a connection in it.
_register = threading.RLock()
_registered: tuple[int, str] | None = None
# What is to be done before anything is stored, until it is done.
_first: Callable[[], object] | None = None


def connect(settings: Settings) -> None:
    """Register the connection of this process; opens no socket yet. One to the same place is kept. ConfigError.

    Writes wait for the majority and its journal: a standalone mongod killed with -9 lost 200 of 200 fresh w:1
    writes and none with j:true.
    """
    global _registered, _first
    wanted = (os.getpid(), settings.mongodb_uri)
    with _register:
        breaker.reset()
        _first = None
        if _registered != wanted:
            disconnect()
            _connect(settings.mongodb_uri)
            _registered = wanted


def begin(first: Callable[[], object]) -> None:
    """Do something before this process stores anything: now, or as soon as MongoDB is there."""
    global _first
    _first = first
    try:
        _begin()
    except StoreUnavailable as error:
        breaker.trip(str(error))


def _begin() -> None:
    global _first
    if _first:
        with Bounded(INDEX_SECONDS):
            _first()
        _first = None


def _connect(uri: str) -> None:
    try:
        ours, away = clients.make(uri, connect=True), False
    except ConfigError:
        # Unless this is refused too, DNS did not say what is behind `mongodb+srv://`: MongoDB is away, and what arrives
        # is kept. Only the breaker's probe asks again, for the driver begins anew for each thread that asks meanwhile.
        ours, away = clients.make(uri, connect=False), True
    mongoengine.connect(
        db=clients.database_of(ours), mongo_client_class=lambda **_: ours, uuidRepresentation="standard"
    )
    if away:
        breaker.trip("DNS does not say where MongoDB is")


def disconnect() -> None:
    """Close this process's connection."""
    global _registered
    with _register:
        breaker.reset()
        mongoengine.disconnect()
        _registered = None


def client() -> MongoClient[dict[str, Any]]:
    """Give this process's client."""
    with _register:
        return mongoengine.get_connection()  # type: ignore[no-any-return]


def collection(document: type[mongoengine.Document]) -> Collection[dict[str, Any]]:
    """Give the raw collection behind a document class."""
    with _register:
        return document._get_collection()  # type: ignore[no-any-return]


def insert_new(
    document: type[mongoengine.Document], rows: Sequence[Mapping[str, Any]], *, ordered: bool = False
) -> list[int]:
    """Insert what is not there yet; gives the positions of what is, which stays as it is.

    With `ordered` the first of those ends it: nothing behind it is inserted.
    """
    try:
        if len(rows) == 1:
            collection(document).insert_one(dict(rows[0]))
        else:
            collection(document).insert_many([dict(row) for row in rows], ordered=ordered)
    except DuplicateKeyError:
        return [0]
    except BulkWriteError as error:
        failures = error.details["writeErrors"]
        unconfirmed = not failures or error.details["writeConcernErrors"]
        if unconfirmed or any(failure["code"] != DUPLICATE_KEY for failure in failures):
            raise  # not confirmed by the majority: stored or not, whoever repeats it will find out
        return [failure["index"] for failure in failures]
    return []


def deadline(seconds: float | None = None) -> AbstractContextManager[None]:
    """Bound all operations inside together, and raise StoreUnavailable for whatever MongoDB did not do.

    Without `seconds` it is DEADLINE_SECONDS. While MongoDB is known to be away that is raised at once.
    """
    return _Deadline(DEADLINE_SECONDS if seconds is None else seconds)


class _Deadline(Bounded):
    """Bounded operations that are not even begun while MongoDB is known to be away."""

    __slots__ = ()

    def __enter__(self) -> None:
        super().__enter__()
        try:
            breaker.check()
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise


def ping() -> None:
    """Prove with a write that MongoDB takes writes; StoreUnavailable where it does not."""
    with deadline():
        _write()


def _probe() -> None:
    """Prove that MongoDB takes writes, and do what comes before all others; StoreUnavailable where it does not."""
    with Bounded(DEADLINE_SECONDS):
        _write()
    _begin()


def _write() -> None:
    collection(JobDocument).update_one({"_id": "ping"}, {"$set": {"at": datetime.now(UTC)}}, upsert=True)


_writable: Any = None


def _is_writable() -> bool:
    """Ask the driver, which replaces what it knows and never changes it: so the same is asked once."""
    global _writable
    known = client().topology_description
    if known is not _writable and known.has_writable_server():
        _writable = known
    return known is _writable


breaker = Breaker(_is_writable, _probe)


def clock_offset_ms() -> int:
    """Measure how far MongoDB's clock is ahead of this host's, in ms; 0 where it is within the round trip."""
    with deadline():
        ours = client()
        before, started = datetime.now(UTC), time.perf_counter()
        hello = ours.admin.command("hello", codec_options=ours.codec_options)
        trip = time.perf_counter() - started
    offset = (hello["localTime"] - before) / MILLISECOND - trip * 500
    return 0 if abs(offset) <= trip * 1000 + 1 else round(offset)


def create_indexes() -> list[str]:
    """Create what is missing of all indexes; gives the names of all. See `store.indexes` for what is in their way."""
    with deadline(INDEX_SECONDS):
        for document in DOCUMENTS:
            document.ensure_indexes()
        return [
            f"{document._get_collection_name()}.{name}"
            for document in DOCUMENTS
            for name in collection(document).index_information()
        ]
