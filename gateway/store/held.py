"""One connection for all that a webhook asks of MongoDB.

For each operation the driver selects a server, begins a session, takes a connection from its pool and puts it back,
which is half of what an operation costs us. A webhook has three of them in a row: it takes a connection once and keeps
it until the end, for an eighth less of its processor time where it is alone (benchmarks/webhooks/README.md). A primary
that steps down meanwhile is not waited for: the webhook goes to the spool.

The driver does so for operations of its own and has no public name for it; so pyproject.toml names one version of it.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any

import mongoengine
from pymongo.collection import Collection
from pymongo.errors import ConnectionFailure, OperationFailure
from pymongo.read_concern import ReadConcern
from pymongo.synchronous.pool import Connection

from gateway.store.connection import collection


class _Held:
    """A connection to the primary, taken when it is first needed and again after it failed."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._connection: Connection | None = None

    def command(self, found: Collection[dict[str, Any]], asked: dict[str, Any]) -> Mapping[str, Any]:
        database = found.database
        try:
            if self._connection is None:
                self._connection = self._stack.enter_context(database.client._conn_for_writes(None, "held"))
            return self._connection.command(
                database.name, asked, codec_options=found.codec_options, client=database.client
            )
        except BaseException as error:
            if self._connection is None or self._connection.closed or isinstance(error, ConnectionFailure):
                # It is put back with what became of it, which is how the driver learns that a primary is gone.
                self._connection = None
                self._stack.__exit__(type(error), error, error.__traceback__)
            raise


# More than a group asks for; what one reply of 16 MB does not hold comes in parts.
_IN_ONE = 10_000

_held: ContextVar[_Held | None] = ContextVar("held", default=None)


@contextmanager
def hold() -> Iterator[None]:
    """Let the commands inside share a connection."""
    stack = ExitStack()
    token = _held.set(_Held(stack))
    try:
        yield
    finally:
        _held.reset(token)
        # Without what went wrong inside: that may be another connection's fault, or nobody's.
        stack.close()


def command(found: Collection[dict[str, Any]], asked: dict[str, Any]) -> Mapping[str, Any]:
    """Run a command in the database of a collection; gives MongoDB's reply."""
    held = _held.get()
    if held is not None:
        try:
            return held.command(found, dict(asked))
        except OperationFailure as error:
            if not error.has_error_label("SystemOverloadedError"):
                raise
            # It was not begun, and the driver knows how long to wait before it asks again.
    return found.database.command(asked, codec_options=found.codec_options)


def find_first(
    document: type[mongoengine.Document],
    which: Mapping[str, Any],
    fields: Mapping[str, Any] | None = None,
    sort: Mapping[str, int] | None = None,
) -> dict[str, Any] | None:
    """Find the first document in this order; what fails is left to the driver, which knows when to look again."""
    asked = {"filter": which, "projection": fields or {}, "sort": sort or {}, "limit": 1, "singleBatch": True}
    cursor = _find(collection(document), asked)
    if cursor is not None:
        batch = cursor["firstBatch"]
        return batch[0] if batch else None
    return collection(document).find_one(which, fields, sort=list(sort.items()) if sort else None)


def find_all(
    document: type[mongoengine.Document],
    which: Mapping[str, Any],
    fields: Mapping[str, Any] | None = None,
    *,
    confirmed: bool = False,
    sort: Mapping[str, int] | None = None,
    most: int = 0,
) -> list[dict[str, Any]]:
    """Find all documents that fit, or the first so many in an order; what fails, or comes in parts, is the driver's.

    With `confirmed` only what no new primary can be without.
    """
    found = collection(document)
    if confirmed:
        found = found.with_options(read_concern=ReadConcern("majority"))
    asked = {"filter": which, "projection": fields or {}, "sort": sort or {}, "limit": most, "batchSize": _IN_ONE}
    cursor = _find(found, asked)
    if cursor is not None and not cursor["id"]:
        batch: list[dict[str, Any]] = cursor["firstBatch"]
        return batch
    return list(found.find(which, fields, sort=list(sort.items()) if sort else None, limit=most))


def _find(found: Collection[dict[str, Any]], asked: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Give the cursor of a find over the connection that is held; None where none is, or that failed."""
    held = _held.get()
    if held is None:
        return None
    concern = {"readConcern": found.read_concern.document} if found.read_concern.level else {}
    try:
        cursor: Mapping[str, Any] = held.command(found, {"find": found.name, **asked, **concern})["cursor"]
    except (ConnectionFailure, OperationFailure):
        return None
    return cursor
