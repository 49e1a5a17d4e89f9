"""What hangs on a session: its messages and their files, read for the archive and deleted with it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from bson import ObjectId

from gateway.store.connection import collection, deadline
from gateway.store.documents import MessageDocument
from gateway.store.media import BUCKET
from gateway.store.retention import Amount

_AT_ONCE = 500
_PIECE_SECONDS = 30


def messages_of(session_id: ObjectId) -> Iterator[dict[str, Any]]:
    """Give a session's messages as stored, oldest first, a few at a time."""
    found = collection(MessageDocument).find({"session_id": session_id}, batch_size=_AT_ONCE).sort("createdAt", 1)
    return _each_in_time(found)


def ids_of(session_ids: Sequence[ObjectId]) -> Iterator[list[dict[str, Any]]]:
    """Give the ids of the messages of some sessions, and whether there are files, a few hundred at a time."""
    wanted = {"session_id": {"$in": list(session_ids)}}
    found = _each_in_time(collection(MessageDocument).find(wanted, {"media": 1}, batch_size=_AT_ONCE))
    while some := list(islice(found, _AT_ONCE)):
        yield some


def files_of(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the files that are kept of a message, without their bytes."""
    if not message.get("media"):
        return []
    files = collection(MessageDocument).database[f"{BUCKET}.files"]
    with deadline(_PIECE_SECONDS):
        return list(files.find({"_id": _attempts(message["_id"])}).sort("_id", 1))


def chunks_of(file: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Give a file's bytes, a piece at a time."""
    chunks = collection(MessageDocument).database[f"{BUCKET}.chunks"]
    return _each_in_time(chunks.find({"files_id": file["_id"]}, batch_size=8).sort("n", 1))


def _each_in_time(found: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Bound the wait for each piece: how many there are is nobody's fault."""
    while True:
        with deadline(_PIECE_SECONDS):
            piece = next(found, None)
        if piece is None:
            return
        yield piece


def delete_files(messages: Iterable[str]) -> None:
    """Delete whatever is kept of these messages' files, halves too."""
    database = collection(MessageDocument).database
    for message_id in messages:
        database[f"{BUCKET}.files"].delete_many({"_id": _attempts(message_id)})
        database[f"{BUCKET}.chunks"].delete_many({"files_id": _attempts(message_id)})


def _attempts(message_id: str) -> dict[str, str]:
    """Match all that was ever stored of a message's files: their ids begin with it and a slash."""
    return {"$gte": f"{message_id}/", "$lt": f"{message_id}0"}


def delete_messages(ids: Sequence[str]) -> int:
    """Delete messages; gives how many. An answer goes after what it answers, or it would be thought lost and come back.

    Only what was looked at is deleted: what came since stays, and brings its session back.
    """
    deleted = 0
    for direction in ({"direction": "inbound"}, {}):
        for start in range(0, len(ids), _AT_ONCE):
            some = {"_id": {"$in": list(ids[start : start + _AT_ONCE])}}
            deleted += collection(MessageDocument).delete_many(some | direction).deleted_count
    return deleted


def measure(ids: Sequence[ObjectId]) -> Amount:
    """Tell how much these sessions hold; bytes are those of messages and kept files."""
    size = {"$cond": ["$$file.stored", {"$ifNull": ["$$file.size", 0]}, 0]}
    kept = {"$filter": {"input": {"$ifNull": ["$media", []]}, "as": "file", "cond": {"$eq": ["$$file.stored", True]}}}
    files = {"$map": {"input": {"$ifNull": ["$media", []]}, "as": "file", "in": size}}
    (row,) = list(
        collection(MessageDocument).aggregate(
            [
                {"$match": {"session_id": {"$in": list(ids)}}},
                {
                    "$group": {
                        "_id": None,
                        "messages": {"$sum": 1},
                        "files": {"$sum": {"$size": kept}},
                        "bytes": {"$sum": {"$add": [{"$bsonSize": "$$ROOT"}, {"$sum": files}]}},
                    }
                },
            ]
        )
    ) or ({"messages": 0, "files": 0, "bytes": 0},)
    return Amount(len(ids), row["messages"], row["files"], row["bytes"])
