"""Files that people sent: their bytes in GridFS, and on their message what became of each.

Each attempt to store a file writes under an id of its own, and the file counts once its message names that id. So
two workers at once, or one that died half way, leave bytes that are swept away and never a file with a hole in it.
"""

import hashlib
import io
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any

from gridfs import GridFSBucket, GridOut
from gridfs.errors import NoFile

from gateway.core.fetching import Fetched
from gateway.store.connection import collection, deadline
from gateway.store.documents import MessageDocument

BUCKET = "media"
# Waiting for MongoDB while somebody looks at a picture: for one piece of it, not for the whole.
READ_SECONDS = 5


@dataclass(frozen=True, slots=True)
class File:
    """One file of a message. `file_id` is where it is kept, `refused` why it never will be."""

    message_id: str
    number: int
    url: str
    content_type: str = ""
    size: int = 0
    filename: str = ""
    sha256: str = ""
    file_id: str = ""
    refused: str = ""
    reason: str = ""
    deleted: bool = False

    @property
    def is_open(self) -> bool:
        """Tell whether it is still to be fetched."""
        return bool(self.url and not self.file_id and not self.refused)


@dataclass(frozen=True, slots=True)
class Parcel:
    """The message that files came with, and them."""

    session_id: str
    communication_type: str
    at: datetime
    files: tuple[File, ...]


class Pieces(io.RawIOBase):
    """A stored file, read piece by piece; each waits for MongoDB only so long."""

    def __init__(self, stored: GridOut) -> None:
        self._stored = stored

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, into: Any, /) -> int:
        with deadline(READ_SECONDS):
            piece = self._stored.read(len(into))
        into[: len(piece)] = piece
        return len(piece)

    def seek(self, position: int, whence: int = io.SEEK_SET, /) -> int:
        return int(self._stored.seek(position, whence))


def _bucket() -> GridFSBucket:
    return GridFSBucket(collection(MessageDocument).database, BUCKET)


def of(message_id: str) -> Parcel | None:
    """Give the files that came with a message; None where there is no such message, or it is one of ours."""
    wanted = {"session_id": 1, "communication_type": 1, "createdAt": 1, "media": 1}
    found = collection(MessageDocument).find_one({"_id": message_id, "direction": "inbound"}, wanted)
    if found is None:
        return None
    files = tuple(read(message_id, number, entry) for number, entry in enumerate(found.get("media") or ()))
    return Parcel(str(found["session_id"]), found["communication_type"], found["createdAt"], files)


def read(message_id: str, number: int, entry: Mapping[str, Any]) -> File:
    """Read a file's entry on its message."""
    return File(
        message_id,
        number,
        url=str(entry.get("url") or ""),
        content_type=str(entry.get("content_type") or ""),
        size=entry.get("size") or 0,
        filename=entry.get("filename") or "",
        sha256=entry.get("sha256") or "",
        file_id=(entry.get("file_id") or "") if entry.get("stored") else "",
        refused=entry.get("refused") or "",
        reason=entry.get("reason") or "",
        deleted=bool(entry.get("deleted_at_twilio")),
    )


def keep(file: File, fetched: Fetched) -> bool:
    """Store a file's bytes and then name them on its message; False where somebody else was faster."""
    attempts = f"{file.message_id}/{file.number}/"
    file_id, sha256 = attempts + secrets.token_hex(8), hashlib.sha256(fetched.content).hexdigest()
    name = fetched.filename or f"{file.message_id}-{file.number}"
    about = {"content_type": fetched.content_type, "message_id": file.message_id}
    _bucket().upload_from_stream_with_id(file_id, name, fetched.content, metadata=about)
    facts: dict[str, Any] = {
        "stored": True,
        "file_id": file_id,
        "size": len(fetched.content),
        "content_type": fetched.content_type,
        "sha256": sha256,
    }
    if fetched.filename:
        facts["filename"] = fetched.filename
    if not _note(file, facts):
        _sweep(file_id)
        return False
    _sweep({"$gte": attempts, "$lt": f"{attempts}~", "$ne": file_id})
    return True


def _note(file: File, facts: Mapping[str, Any]) -> bool:
    """Say on the message what became of its file; False where that is settled, or its message has gone."""
    entry = f"media.{file.number}"
    done = collection(MessageDocument).update_one(
        {"_id": file.message_id, f"{entry}.url": file.url, f"{entry}.stored": {"$ne": True}},
        {"$set": {f"{entry}.{name}": value for name, value in facts.items()}},
    )
    return done.modified_count == 1


def _sweep(attempts: str | dict[str, str]) -> None:
    """Delete what attempts left, whole files and halves. One that is still under way will find its file settled."""
    database = collection(MessageDocument).database
    database[f"{BUCKET}.files"].delete_many({"_id": attempts})
    database[f"{BUCKET}.chunks"].delete_many({"files_id": attempts})


def refuse(file: File, refused: str, reason: str) -> bool:
    """Note that a file will not be kept, and why."""
    return _note(file, {"refused": refused, "reason": reason})


def reopen(message_id: str) -> None:
    """Let the files of a message be fetched once more that were given up; what we never take stays refused."""
    parcel = of(message_id)
    for file in parcel.files if parcel else ():
        if file.refused == "failed":
            entry = f"media.{file.number}"
            collection(MessageDocument).update_one(
                {"_id": message_id, f"{entry}.refused": "failed"},
                {"$unset": {f"{entry}.refused": "", f"{entry}.reason": ""}},
            )


def note_deleted(file: File) -> None:
    """Note that a file is no longer at the provider."""
    collection(MessageDocument).update_one(
        {"_id": file.message_id, f"media.{file.number}.file_id": file.file_id},
        {"$set": {f"media.{file.number}.deleted_at_twilio": True}},
    )


def open_stored(file: File) -> IO[bytes] | None:
    """Open a stored file, which can seek; None where its bytes are not there. Reading raises StoreUnavailable."""
    try:
        stored = _bucket().open_download_stream(file.file_id)
    except NoFile:
        return None
    return io.BufferedReader(Pieces(stored), stored.chunk_size)


def unqueued(since: datetime, until: datetime) -> Sequence[tuple[str, str]]:
    """List messages stored in this time with files still to be fetched, as session and message."""
    waiting = {"url": {"$nin": ["", None]}, "stored": {"$ne": True}, "refused": {"$exists": False}}
    wanted = {
        "storedAt": {"$gte": since, "$lt": until},
        "direction": "inbound",
        "media": {"$elemMatch": waiting},
        # Its file comes when the recording is over.
        "metadata.RecordingStatus": {"$ne": "in-progress"},
    }
    found = collection(MessageDocument).find(wanted, {"session_id": 1})
    return [(str(row["session_id"]), row["_id"]) for row in found]
