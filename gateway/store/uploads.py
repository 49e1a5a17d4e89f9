"""Files that were uploaded to be imported: in GridFS, since the worker that reads them may be on another host."""

import contextlib
import io
from collections.abc import Iterable
from typing import BinaryIO, cast

from gridfs import GridFSBucket
from gridfs.errors import NoFile

from gateway.core.errors import StoreUnavailable
from gateway.store.connection import collection, deadline
from gateway.store.documents import ImportDocument
from gateway.store.media import Pieces

BUCKET = "uploads"

# A piece is what is held in memory of a file, and waited for at once.
PIECE_BYTES = 1 << 20
PIECE_SECONDS = 30


class TooLarge(Exception):
    """More bytes came than a file may have."""


def _bucket() -> GridFSBucket:
    return GridFSBucket(collection(ImportDocument).database, BUCKET)


def keep(import_id: str, pieces: Iterable[bytes], most: int) -> int:
    """Store a file piece by piece; gives its size. TooLarge where it has more than `most` bytes: nothing stays then."""
    size = 0
    stored = _bucket().open_upload_stream_with_id(import_id, import_id)
    try:
        for piece in pieces:
            if (size := size + len(piece)) > most:
                raise TooLarge
            with deadline(PIECE_SECONDS):
                stored.write(piece)
        with deadline(PIECE_SECONDS):
            stored.close()
    except BaseException:
        with contextlib.suppress(StoreUnavailable):
            drop(import_id)
        raise
    return size


def open_at(import_id: str, offset: int) -> BinaryIO | None:
    """Open a stored file at a place in it; None where it is not there. Reading raises StoreUnavailable."""
    with deadline(PIECE_SECONDS):
        try:
            stored = _bucket().open_download_stream(import_id)
        except NoFile:
            return None
    stream = io.BufferedReader(Pieces(stored), stored.chunk_size)
    stream.seek(offset)
    return cast(BinaryIO, stream)


def every() -> list[str]:
    """Give the ids of the imports whose files are here, whole."""
    with deadline(PIECE_SECONDS):
        return [str(stored._id) for stored in _bucket().find({})]


def drop(import_id: str) -> None:
    """Delete a file, whole or half."""
    database = collection(ImportDocument).database
    with deadline(PIECE_SECONDS):
        database[f"{BUCKET}.files"].delete_many({"_id": import_id})
        database[f"{BUCKET}.chunks"].delete_many({"files_id": import_id})
