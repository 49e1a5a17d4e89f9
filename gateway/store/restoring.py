"""An archive put back into the database. What is there already stays as it is, so it may be repeated."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pymongo.errors import DuplicateKeyError

from gateway.store import archive
from gateway.store.connection import collection, deadline
from gateway.store.documents import MessageDocument, SessionDocument
from gateway.store.media import BUCKET
from gateway.store.retention import Amount

LINE_SECONDS = 30


def restore(path: Path, progress: Callable[[int], object]) -> Amount:
    """Put the sessions, messages and files of an archive back; gives what was not there. StoreUnavailable stops it.

    `progress` is told how far in the file it is, in bytes.
    """
    good, _ = archive.complete(path)
    new = Amount()
    for line, offset in archive.lines(path):
        if offset > good:
            break
        value = archive.read(line)
        kind = next(iter(value))
        if kind in _PUT:
            with deadline(LINE_SECONDS):
                new += _PUT[kind](value)
        progress(offset)
    return new


def _session(value: dict[str, Any]) -> Amount:
    session, sessions = value["session"], collection(SessionDocument)
    try:
        new = _insert(SessionDocument, session)
    except DuplicateKeyError:
        # Its sender opened another session in its place. The slot only keeps racers apart, and they are long gone.
        new = _insert(SessionDocument, {name: one for name, one in session.items() if name != "slot"})
    sessions.update_many(
        {"_id": {"$in": value["followed_by"]}, "previous_session_id": value["linked_to"]},
        {"$set": {"previous_session_id": session["_id"]}},
    )
    return Amount(sessions=int(new))


def _insert(document: type[SessionDocument], values: dict[str, Any]) -> bool:
    try:
        collection(document).insert_one(values)
    except DuplicateKeyError:
        if collection(document).find_one({"_id": values["_id"]}, {"_id": 1}) is None:
            raise
        return False
    return True


def _message(value: dict[str, Any]) -> Amount:
    return Amount(messages=_put(MessageDocument._get_collection_name(), value["message"]))


def _file(value: dict[str, Any]) -> Amount:
    new = _put(f"{BUCKET}.files", value["file"])
    return Amount(files=new, bytes=value["file"]["length"] if new else 0)


def _chunk(value: dict[str, Any]) -> Amount:
    _put(f"{BUCKET}.chunks", value["chunk"])
    return Amount()


def _put(name: str, document: dict[str, Any]) -> int:
    done = (
        collection(MessageDocument)
        .database[name]
        .update_one({"_id": document.pop("_id")}, {"$setOnInsert": document}, upsert=True)
    )
    return int(done.upserted_id is not None)


_PUT: dict[str, Callable[[dict[str, Any]], Amount]] = {
    "session": _session,
    "message": _message,
    "file": _file,
    "chunk": _chunk,
}
