"""Which sessions and messages each batch of an import brought, and what was said in them, as a digest."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from bson import ObjectId

from gateway.core.imported import digest
from gateway.store import consolidations, repeated
from gateway.store.adopted import object_ids
from gateway.store.connection import collection
from gateway.store.documents import ImportedBatchDocument, MessageDocument, SessionDocument

# A few kilobytes become a few hundred bytes in a fraction of a millisecond; more effort saves little.
_LEVEL = 1


@dataclass(frozen=True, slots=True)
class Brought:
    """A message that an import brought: its session, and a digest of what was said."""

    id: str
    session_id: str
    digest: str


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as it is here: its session, a digest of what was said, and the import that brought it, if one did."""

    session_id: str
    digest: str
    import_id: str


def packed(sessions: Sequence[str], messages: Sequence[Mapping[str, Any]]) -> bytes:
    """Write down what a batch brings: sessions, and messages with what is said in them; empty where it is nothing."""
    said = [[one["_id"], one["session_id"], digest(one)] for one in messages]
    return zlib.compress(orjson.dumps([list(sessions), said]), _LEVEL) if sessions or messages else b""


def keep(import_id: str, rows: int, brought: bytes) -> None:
    """Keep what a batch brought that ends with this row; once, however often it is tried."""
    if not brought:
        return
    run = ObjectId(import_id)
    kept = {"import_id": run, "rows": rows, "at": run.generation_time, "brought": brought}
    collection(ImportedBatchDocument).replace_one({"_id": f"{import_id}:{rows}"}, kept, upsert=True)


def of(import_id: str) -> Iterator[tuple[list[str], list[Brought]]]:
    """Give the sessions and messages of an import, batch by batch."""
    rows = -1
    while found := collection(ImportedBatchDocument).find_one(
        {"import_id": ObjectId(import_id), "rows": {"$gt": rows}}, sort=[("rows", 1)]
    ):
        sessions, messages = orjson.loads(zlib.decompress(found["brought"]))
        yield sessions, [Brought(*one) for one in messages]
        rows = found["rows"]


def drop(import_id: str) -> None:
    """Delete what was kept of an import."""
    collection(ImportedBatchDocument).delete_many({"import_id": ObjectId(import_id)})


def stored(ids: Sequence[str]) -> dict[str, Stored]:
    """Look up messages by their ids; those that are not here are left out."""
    fields = ("session_id", "createdAt", "direction", "sender", "content", "import_id")
    found = collection(MessageDocument).find(
        {"_id": {"$in": [*ids, *object_ids(ids)]}}, dict.fromkeys((*fields, "moved"), 1)
    )
    known = {str(row["_id"]): _stored(row) for row in found}
    aside = repeated.put_aside_of([one for one in ids if one not in known])
    return known | {message_id: _stored(row) for message_id, row in aside.items()}


def _stored(row: Mapping[str, Any]) -> Stored:
    """Read a message; what a consolidation brought elsewhere is where it was before."""
    run = str(row.get("import_id") or "")
    before = (move.get("from") for move in row.get("moved") or () if consolidations.is_mark(move.get("id")))
    return Stored(str(next(before, row["session_id"])), digest(row) if run else "", run)


def here(ids: Sequence[str]) -> list[str]:
    """Tell which of these messages are here."""
    wanted = {"_id": {"$in": [*ids, *object_ids(ids)]}}
    return [str(row["_id"]) for row in collection(MessageDocument).find(wanted, {"_id": 1})]


def miscounted(ids: Sequence[str]) -> dict[str, tuple[int | None, int]]:
    """Count the messages of sessions; gives what differs: how many a session says (None: it is gone), and has."""
    wanted = [ObjectId(one) for one in ids]
    group: list[dict[str, Any]] = [
        {"$match": {"session_id": {"$in": wanted}}},
        {"$group": {"_id": "$session_id", "messages": {"$sum": 1}}},
    ]
    have = {row["_id"]: row["messages"] for row in collection(MessageDocument).aggregate(group)}
    found = collection(SessionDocument).find({"_id": {"$in": wanted}}, {"message_count": 1})
    say = {row["_id"]: row.get("message_count") or 0 for row in found}
    both = {str(one): (say.get(one), have.get(one, 0)) for one in wanted}
    return {one: (said, has) for one, (said, has) in both.items() if said != has}


def amount(import_id: str) -> int:
    """Count the messages here that an import brought."""
    return collection(MessageDocument).count_documents({"import_id": ObjectId(import_id)})
