"""Writes that wait for the majority together, at the last of them.

A majority that has journalled a write has all that the same primary wrote before it. Waiting is two thirds of the time
of a write and half of what it costs mongod, so inside `together` only the last one waits: a session is opened, a
message inserted, the session counted up, and all are safe when that returns. Unless a new primary came between: it may
never have had the message, and counts it all the same. Then the replies name two terms of office, and nothing is
confirmed; what a reply says of its term: https://www.mongodb.com/docs/manual/reference/method/db.runCommand/#response

These are commands, because the driver's own methods keep that to themselves. They would repeat a write whose reply was
lost, too; here it ends in StoreUnavailable, and the spool repeats the message.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from weakref import WeakSet

import mongoengine
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import WriteConcernError, WriteError

from gateway.core.errors import StoreUnavailable
from gateway.store.connection import DUPLICATE_KEY, collection
from gateway.store.documents import SessionDocument

_AT_ONCE = {"w": 1, "j": False}

# The clients whose MongoDB names terms in its replies, as a member of a replica set does. Others wait each time.
_replicated: WeakSet[MongoClient[dict[str, Any]]] = WeakSet()


class Written(NamedTuple):
    """How many documents were inserted or found, and the positions of those that failed as was expected."""

    number: int
    failed: Sequence[int]


@dataclass(slots=True)
class _Together:
    """The terms in which those writes took place that nothing was waited for after."""

    terms: set[int | None] = field(default_factory=set)


_together: ContextVar[_Together | None] = ContextVar("together", default=None)


@contextmanager
def together() -> Iterator[None]:
    """Let what is written inside wait with the last of it; StoreUnavailable where that does not confirm it all."""
    writes = _Together()
    token = _together.set(writes)
    try:
        yield
        if writes.terms:
            # None of them was the last. One that finds nothing is waited for as well, and for all before it.
            update(SessionDocument, [({"_id": None}, {"$unset": {"none": ""}})], last=True)
        if writes.terms:
            raise StoreUnavailable("MongoDB had another primary before what was written was confirmed")
    finally:
        _together.reset(token)


def insert(document: type[mongoengine.Document], rows: Sequence[Mapping[str, Any]], *, ordered: bool) -> Written:
    """Insert what is not there yet. With `ordered` the first that is there ends it."""
    found = collection(document)
    command = {"insert": found.name, "documents": rows, "ordered": ordered}
    return _write(found, command, DUPLICATE_KEY, last=False)


def update(
    document: type[mongoengine.Document],
    changes: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]],
    *,
    last: bool,
    upsert: bool = False,
    may_fail: int | None = None,
) -> Written:
    """Change the first document that fits each filter. With `last`, all that was written before waits with it.

    `may_fail` is the code of an error that is expected.
    """
    found = collection(document)
    updates = [{"q": which, "u": change, "upsert": upsert} for which, change in changes]
    command = {"update": found.name, "updates": updates, "ordered": False}
    return _write(found, command, may_fail, last=last)


def _write(
    found: Collection[dict[str, Any]], command: Mapping[str, Any], may_fail: int | None, *, last: bool
) -> Written:
    writes, client = _together.get(), found.database.client
    waits = last or writes is None or client not in _replicated
    concern = found.write_concern.document if waits else _AT_ONCE
    reply = found.database.command({**command, "writeConcern": concern})
    term = reply.get("opTime", {}).get("t")
    if term is not None:
        _replicated.add(client)
    written = _written(reply, may_fail)
    if writes is not None and not waits and written.number:
        writes.terms.add(term)
    elif writes is not None and last and writes.terms == {term}:
        writes.terms.clear()
    return written


def _written(reply: Mapping[str, Any], may_fail: int | None) -> Written:
    if unconfirmed := reply.get("writeConcernError"):
        raise WriteConcernError(_code(unconfirmed), unconfirmed.get("code"))
    failures = reply.get("writeErrors", ())
    for failure in failures:
        if failure["code"] != may_fail:
            raise WriteError(_code(failure), failure["code"])
    return Written(reply["n"], [failure["index"] for failure in failures])


def _code(error: Mapping[str, Any]) -> str:
    # What MongoDB says of an error quotes documents, and those hold what people wrote.
    return f"code {error.get('code', 'unknown')}"
