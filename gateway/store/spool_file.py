"""The spool's file on this host's disk: one SQLite database for all its processes, and what makes it safe.

WAL and synchronous=FULL put a record on the disk before a commit returns; kill -9 and power cuts take nothing back.
"""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.core.errors import ConfigError, SpoolUnavailable

FILE, RESERVE = "spool.sqlite3", "reserve"

# A writer waits this long for another one, whose write takes a few milliseconds.
BUSY_SECONDS = 2.0

# SQLite writes ahead what it changes, also what it deletes; this much of it before that goes into the file itself.
WAL_PAGES = 64

# Kept free of records: on a full disk nothing could be deleted either. It takes all that was written ahead, and more.
RESERVE_BYTES = 524_288


class SpoolFile:
    """The threads of a process share one connection, opened when it is first needed, with the tables of a schema."""

    def __init__(self, folder: Path, schema: str) -> None:
        self.folder, self._schema = folder, schema
        # Whatever is written comes here first.
        self._ahead = folder / f"{FILE}-wal"
        self._guard = threading.RLock()
        self._opened: sqlite3.Connection | None = None

    @property
    def path(self) -> Path:
        """Say where it is."""
        return self.folder / FILE

    def require_writable(self) -> None:
        """Raise a ConfigError where what arrives could not be kept. Leaves nothing open, so a fork may follow."""
        try:
            self.prove_writable()
            self._keep_reserve()
            self.close()
        except (SpoolUnavailable, OSError) as error:
            raise ConfigError(
                f"The spool cannot be written: {error}. Make its folder writable, or set GATEWAY_SPOOL__DIR."
            ) from None

    def prove_writable(self) -> None:
        """Write, and keep nothing of it; SpoolUnavailable where that is not possible."""
        with self.using() as database:
            database.execute("PRAGMA user_version = 1")

    @contextmanager
    def using(self) -> Iterator[sqlite3.Connection]:
        """Use the database; SpoolUnavailable for whatever goes wrong."""
        with self._guard:
            try:
                yield self._connection()
            except (sqlite3.Error, OSError) as error:
                self.close()
                raise SpoolUnavailable(f"{self.path}: {error}") from error

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """Change what is there; on a full disk with the space that was kept for that."""
        with self.using() as database:
            if _is_full(self.folder):
                (self.folder / RESERVE).unlink(missing_ok=True)
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            yield database

    def changed_ns(self) -> int | None:
        """Say when anybody last wrote to it, in ns since 1970; None where nobody has it open yet."""
        try:
            return self._ahead.stat().st_mtime_ns
        except OSError:
            return None

    def size(self, database: sqlite3.Connection) -> int:
        """Give how many bytes its records take."""
        (pages,) = database.execute("PRAGMA page_count").fetchone()
        (free,) = database.execute("PRAGMA freelist_count").fetchone()
        (size,) = database.execute("PRAGMA page_size").fetchone()
        return int((pages - free) * size)

    def shrink(self) -> None:
        """Give the disk back what an outage took, and keep the reserve again."""
        with contextlib.suppress(SpoolUnavailable, OSError):
            with self.using() as database:
                database.execute("VACUUM")
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._keep_reserve()

    def _connection(self) -> sqlite3.Connection:
        if self._opened:
            return self._opened
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileExistsError):
            # Made by us first, so that nobody else may ever read it.
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL, 0o600))
        database = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=FULL")
            database.execute(f"PRAGMA wal_autocheckpoint={WAL_PAGES}")
            database.executescript(self._schema)
        except sqlite3.Error:
            database.close()
            raise
        self._opened = database
        return database

    def _keep_reserve(self) -> None:
        reserve = self.folder / RESERVE
        if reserve.exists() or _is_full(self.folder):
            return
        with reserve.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)

    def close(self) -> None:
        """Close the connection; the next use opens it again."""
        with self._guard:
            opened, self._opened = self._opened, None
            if opened:
                opened.close()


def _is_full(folder: Path) -> bool:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize < RESERVE_BYTES
