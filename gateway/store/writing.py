"""Writes that wait for the majority together, at the last of them.

A majority that has journalled a write has all that the same primary wrote before it. Waiting is two thirds of the time
of a write and half of what it costs mongod, so inside `together` only the last one waits: a session is opened, a
message inserted, the session counted up, and all are safe when that returns. Unless a new primary came between: it may
never have had the message, and counts it all the same. Then the replies name two terms of office, and nothing is
confirmed; what a reply says of its term: https://www.mongodb.com/docs/manual/reference/method/db.runCommand/#response

These are commands, because the driver's own methods keep that to themselves. They would repeat a write whose reply was
lost, too; here it ends in StoreUnavailable, and the spool repeats the message. Whoever writes outside `together` has
the driver's methods, and waits for each.

What is here is therefore not yet safe, whoever wrote it: who answers for another's write calls `confirm` first.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from weakref import ReferenceType, ref

import mongoengine
from pymongo import MongoClient
from pymongo.errors import WriteConcernError, WriteError

from gateway.core.errors import StoreUnavailable
from gateway.store import held
from gateway.store.connection import DUPLICATE_KEY, collection, insert_new
from gateway.store.documents import SessionDocument

_AT_ONCE = {"w": 1, "j": False}

# Codes of what is wrong with one of many writes; what is wrong with the command is raised before any is looked at.
ANYTHING = range(1_000_000)

# The client whose MongoDB names terms in its replies, as a member of a replica set does. Another one waits each time.
# Told by `is`: as a member of a set it would be hashed by its sorted addresses, nine times a webhook.
_replicated: ReferenceType[MongoClient[dict[str, Any]]] | None = None
# Terms of several shards say nothing of each other.
_ROUTED = frozenset({"Sharded", "LoadBalanced"})


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
        with held.hold():
            yield
            if writes.terms:
                # None of them was the last. One that finds nothing is waited for as well, and for all before it.
                confirm()
        if writes.terms:
            raise StoreUnavailable("MongoDB had another primary before what was written was confirmed")
    finally:
        _together.reset(token)


def confirm() -> None:
    """Wait for all that was written before, by whomever."""
    _send("update", SessionDocument, _updates([({"_id": None}, {"$unset": {"none": ""}})]), last=True)


def find_all(
    document: type[mongoengine.Document], which: Mapping[str, Any], fields: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Find all that fit; inside `together` those only that no new primary can be without, whoever wrote them."""
    return held.find_all(document, which, fields, confirmed=_together.get() is not None)


def insert(document: type[mongoengine.Document], rows: Sequence[Mapping[str, Any]], *, ordered: bool) -> list[int]:
    """Insert what is not there yet; gives the positions of what is. With `ordered` the first of those ends it."""
    if _together.get() is None:
        return insert_new(document, rows, ordered=ordered)
    return _send("insert", document, {"documents": rows, "ordered": ordered}, may_fail=(DUPLICATE_KEY,))[1]


def update(
    document: type[mongoengine.Document], which: Mapping[str, Any], change: Mapping[str, Any], *, last: bool
) -> bool:
    """Change the document that fits; False where none does. With `last`, all before it is waited for as well."""
    if _together.get() is None:
        return collection(document).update_one(which, change).matched_count == 1
    return _send("update", document, _updates([(which, change)]), last=last)[0] == 1


def upsert_each(
    document: type[mongoengine.Document],
    changes: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]],
    *,
    last: bool,
) -> list[int]:
    """Change a document each, or insert it; gives the positions that failed, for whatever reason.

    With `last`, all before it is waited for as well.
    """
    return _send("update", document, _updates(changes, upsert=True), may_fail=ANYTHING, last=last)[1]


def _updates(changes: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]], *, upsert: bool = False) -> dict[str, Any]:
    return {"updates": [{"q": which, "u": change, "upsert": upsert} for which, change in changes], "ordered": False}


def _send(
    name: str,
    document: type[mongoengine.Document],
    command: Mapping[str, Any],
    *,
    may_fail: Container[int] = (),
    last: bool = False,
) -> tuple[int, list[int]]:
    """Send a command; gives how many documents it inserted or found, and the positions of what failed as it may."""
    global _replicated
    writes, found, known = _together.get(), collection(document), _replicated
    client = found.database.client
    is_replicated = known is not None and known() is client
    waits = last or writes is None or not is_replicated
    concern = found.write_concern.document if waits else _AT_ONCE
    reply = held.command(found, {name: found.name, **command, "writeConcern": concern})
    term = reply.get("opTime", {}).get("t")
    if term is None:
        _replicated = None
    elif not is_replicated and client.topology_description.topology_type_name not in _ROUTED:
        _replicated = ref(client)
    number, failed = _outcome(reply, may_fail)
    if writes is not None and number and not waits:
        writes.terms.add(term)
    if writes is not None and last and term is not None and writes.terms == {term}:
        writes.terms.clear()
    return number, failed


def _outcome(reply: Mapping[str, Any], may_fail: Container[int]) -> tuple[int, list[int]]:
    if unconfirmed := reply.get("writeConcernError"):
        raise WriteConcernError(_code(unconfirmed), unconfirmed.get("code"))
    failures = reply.get("writeErrors", ())
    for failure in failures:
        if failure["code"] not in may_fail:
            raise WriteError(_code(failure), failure["code"])
    return reply["n"], [failure["index"] for failure in failures]


def _code(error: Mapping[str, Any]) -> str:
    # What MongoDB says of an error quotes documents, and those hold what people wrote.
    return f"code {error.get('code', 'unknown')}"
