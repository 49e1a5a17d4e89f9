"""The archive of old conversations: a file of JSON lines that is added to in batches and can be put back.

Each line is one session, message, file or piece of a file in MongoDB's canonical Extended JSON, so that every value
keeps its type. A batch ends with a line that says so; a file named *.gz is one gzip member a batch. What comes after
the last such line was cut off by a crash, and nothing of it was deleted.
"""

import contextlib
import fcntl
import gzip
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Self, cast

from bson import json_util
from bson.json_util import CANONICAL_JSON_OPTIONS

from gateway.core.errors import GatewayError

HEADER, END = "gateway_archive", "batch"
VERSION = 1
# A line holds a piece of a file (255 kB) or a document (at most 16 MB), each somewhat longer as text.
_READ = 1 << 16
_OPTIONS = CANONICAL_JSON_OPTIONS.with_options(tz_aware=True)


class ArchiveFailed(GatewayError):
    """The archive cannot be written or read; what was to be deleted after it stays."""


def lines(path: Path) -> Iterator[tuple[bytes, int]]:
    """Give the lines of an archive, each with how far in the file it is; stops where the file is cut off."""
    with path.open("rb") as file:
        yield from _unpacked(file) if path.suffix == ".gz" else _plain(file)


def _plain(file: IO[bytes]) -> Iterator[tuple[bytes, int]]:
    good = 0
    for line in file:
        if not line.endswith(b"\n"):
            return
        good += len(line)
        yield line, good


def _unpacked(file: IO[bytes]) -> Iterator[tuple[bytes, int]]:
    """Unpack member by member; the last line of each is given only when the member is known to be whole."""
    raw, good = b"", 0
    while True:
        unpack, rest, held = zlib.decompressobj(wbits=31), b"", None
        while not unpack.eof:
            if not (raw := raw or file.read(_READ)):
                return
            try:
                *whole, rest = (rest + unpack.decompress(raw)).split(b"\n")
            except zlib.error:
                return
            raw = unpack.unused_data
            for line in whole:
                if held is not None:
                    yield held, good + 1
                held = line + b"\n"
        good = file.tell() - len(raw)
        if held is not None:
            yield held, good


def read(line: bytes) -> dict[str, Any]:
    """Read a line; ArchiveFailed where it is none of ours."""
    try:
        value = json_util.loads(line, json_options=_OPTIONS)
    except (ValueError, TypeError) as error:
        raise ArchiveFailed(f"A line of the archive is damaged: {type(error).__name__}.") from error
    if not isinstance(value, dict):
        raise ArchiveFailed("A line of the archive is damaged.")
    return value


def complete(path: Path) -> tuple[int, set[Any]]:
    """Check an archive; gives how much of it is good, and the ids in its last batch, which may not be deleted yet.

    ArchiveFailed where the file is no archive of ours.
    """
    good, ids, batch, first = 0, set[Any](), set[Any](), True
    try:
        for line, offset in lines(path):
            if first and not line.startswith(b'{"gateway_archive"'):
                break
            value = read(line) if line.startswith((b'{"batch"', b'{"session"', b'{"message"')) else {}
            if first or END in value:
                good, ids, batch, first = offset, batch, set(), False
            batch |= {document["_id"] for name, document in value.items() if name in ("session", "message")}
    except OSError as error:
        raise _failed(path, error) from error
    if first:
        raise ArchiveFailed(f"{path} is not an archive of the gateway. Name another file.")
    return good, ids


def _failed(path: Path, error: OSError) -> ArchiveFailed:
    return ArchiveFailed(f"The archive {path} cannot be used: {error.strerror or type(error).__name__}.")


class Archive:
    """An archive being written. Leave out what `has` says is in it: a run before died between archive and deletion."""

    def __init__(self, path: Path) -> None:
        self.path, self._batches = path, 0
        self._ids: set[Any] = set()
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
            self._file: IO[bytes] = os.fdopen(descriptor, "r+b")
            self._lock()
            is_new = path.stat().st_size == 0
            self._good = 0
            if not is_new:
                self._good, self._ids = complete(path)
                self._file.truncate(self._good)
            self._file.seek(self._good)
            self._out = self._member()
            if is_new:
                self._write({HEADER: VERSION})
                self._seal()
                _sync_folder(path.absolute().parent)
        except OSError as error:
            raise _failed(path, error) from error

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise ArchiveFailed(f"{self.path} is being written by another process.") from None

    def _member(self) -> IO[bytes]:
        if self.path.suffix != ".gz":
            return self._file
        return cast(IO[bytes], gzip.GzipFile(filename="", mode="wb", fileobj=self._file, mtime=0))

    def has(self, document_id: Any) -> bool:
        """Tell whether a session or message is in the batch that an earlier run wrote last."""
        return document_id in self._ids

    def add(self, kind: str, document: Mapping[str, Any], **beside: Any) -> None:
        """Write one line: a session, a message, a file or a chunk of one."""
        try:
            self._write({kind: document, **beside})
        except OSError as error:
            raise self._broken(error) from error

    def commit(self) -> None:
        """End the batch, and come back only when all of it is on the disk."""
        self._batches += 1
        try:
            self._write({END: self._batches})
            self._seal()
        except OSError as error:
            raise self._broken(error) from error

    def _write(self, value: Mapping[str, Any]) -> None:
        self._out.write(json_util.dumps(value, json_options=_OPTIONS).encode() + b"\n")

    def _seal(self) -> None:
        if self._out is not self._file:
            self._out.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._good = self._file.tell()
        self._out = self._member()

    def _broken(self, error: OSError) -> ArchiveFailed:
        """Give up: what was half written is cut off again, so that a full disk is not kept full by it."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._file.fileno(), self._good)
        reason = error.strerror or type(error).__name__
        return ArchiveFailed(
            f"The archive {self.path} cannot be written: {reason}. Nothing was deleted that is not in it."
        )

    def close(self) -> None:
        """Close the file; what is not committed is cut off."""
        with contextlib.suppress(OSError):
            if self._out is not self._file:
                self._out.close()
            self._file.flush()
        with contextlib.suppress(OSError):
            os.ftruncate(self._file.fileno(), self._good)
        with contextlib.suppress(OSError):
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _sync_folder(folder: Path) -> None:
    """Make sure that the file's name survives a power cut, not only what is in it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
