"""Operations of MongoDB that are bounded in time together, and what becomes of the driver's errors in there."""

import re
from typing import Any

import mongoengine
import pymongo
from bson.errors import BSONError
from pymongo.errors import (
    BulkWriteError,
    DocumentTooLarge,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WriteError,
)

from gateway.core.errors import StoreRefused, StoreUnavailable

# What is wrong with a document, or with the change of one, and so fails the same way every time: BSONObjectTooLarge,
# DocumentValidationFailure, TypeMismatch, PathNotViable, DollarPrefixedFieldName, CannotIndexParallelArrays.
_REFUSALS = frozenset({10334, 121, 14, 28, 52, 171})
# Of a write alone, for commands give it to what they cannot read as well.
_BAD_VALUE = 2


class Bounded:
    """Bound all operations inside together; raises StoreUnavailable, or StoreRefused for what would fail again.

    Webhooks enter it several times each, so it is no generator.
    """

    __slots__ = ("_timeout",)

    def __init__(self, seconds: float) -> None:
        self._timeout = pymongo.timeout(seconds)

    def __enter__(self) -> None:
        self._timeout.__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        self._timeout.__exit__(kind, error, trace)
        if error is None or isinstance(error, DuplicateKeyError):
            return
        if isinstance(error, BSONError | DocumentTooLarge):
            raise StoreRefused(_in_short(error)) from error
        if isinstance(error, PyMongoError | mongoengine.ConnectionFailure):
            raise (StoreRefused if _is_refusal(error) else StoreUnavailable)(_in_short(error)) from error


def _is_refusal(error: Exception) -> bool:
    if isinstance(error, WriteError) and error.code == _BAD_VALUE:
        return True
    return isinstance(error, OperationFailure) and error.code in _REFUSALS


def _in_short(error: Exception) -> str:
    """Say what failed without the documents that some errors quote: they hold what people wrote."""
    if isinstance(error, BSONError | DocumentTooLarge):
        return type(error).__name__
    if isinstance(error, BulkWriteError):
        problems = error.details["writeErrors"] or error.details["writeConcernErrors"]
        return f"BulkWriteError: code {problems[0].get('code') if problems else 'unknown'}"
    if isinstance(error, ServerSelectionTimeoutError):
        # What follows are all time-outs and a description of the topology, several lines of a terminal.
        return f"{type(error).__name__}: {re.split(', Timeout: |[(]configured timeouts', str(error))[0].strip()}"
    return f"{type(error).__name__}: {error}"
