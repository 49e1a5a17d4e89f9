"""The spool: what arrives while MongoDB is away, on this host's disk and fsynced before Twilio gets its answer.

One SQLite file for all processes of a host (WAL, synchronous=FULL). Records leave it in the order they were
received, one drainer at a time; what cannot be read or applied is set aside and never thrown away.
"""

import fcntl
import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.core.errors import SpoolUnavailable
from gateway.core.events import Event, from_plain, key_of, kind_of, to_plain
from gateway.store.spool_file import SpoolFile

LOCK = "drain.lock"

STANDSTILL_NS = 100_000_000

# What a text takes.
_USUAL_BYTES = 2_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    sender TEXT NOT NULL,
    received_at TEXT NOT NULL,
    event TEXT NOT NULL,
    webhooks TEXT NOT NULL,
    told TEXT NOT NULL,
    refused_at REAL,
    tries INTEGER NOT NULL DEFAULT 0,
    set_aside INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX IF NOT EXISTS in_order ON events (set_aside, received_at, number);
CREATE INDEX IF NOT EXISTS by_sender ON events (sender);
CREATE INDEX IF NOT EXISTS refused ON events (refused_at) WHERE refused_at IS NOT NULL;
"""
_COLUMNS = "number, key, kind, received_at, event, webhooks, told, tries, error"


@dataclass(frozen=True, slots=True)
class Record:
    """One event in the spool; `event` is None where it cannot be read.

    `webhooks` are the requests it came with, none of which was answered with more than `told`.
    """

    number: int
    key: str
    kind: str
    received_at: datetime
    event: Event | None
    webhooks: tuple[str, ...] = ()
    told: str = ""
    tries: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Depth:
    """How much is in the spool; `oldest` is when the first of what waits was received."""

    waiting: int
    set_aside: int
    oldest: datetime | None
    bytes: int


class Spool(SpoolFile):
    """The events of this host that wait for MongoDB, and those that could not be applied."""

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        super().__init__(folder, _SCHEMA)
        self._max_bytes = max_bytes
        self._empty_since: int | None = None

    def put(self, event: Event, *, webhook: str, told: str = "", refused: bool = False, error: str = "") -> bool:
        """Keep an event, on disk when this returns; False where it is there already. SpoolUnavailable if it failed.

        `refused` says that MongoDB did not take it, rather than that others wait. With an `error` it is set aside.
        """
        plain = json.dumps(to_plain(event), ensure_ascii=True, separators=(",", ":"))
        sender = event.sender.identities[0] if hasattr(event, "sender") else ""
        row = (key_of(event), kind_of(event), sender, event.received_at.isoformat(timespec="milliseconds"), plain)
        with self.using() as database:
            self._require_room(database, len(plain))
            kept = database.execute(
                "INSERT INTO events "
                "(key, kind, sender, received_at, event, webhooks, told, refused_at, set_aside, error) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (key) DO UPDATE SET webhooks = webhooks || ' ' || excluded.webhooks RETURNING webhooks",
                (*row, webhook, told, time.time() if refused else None, bool(error), error[:500]),
            ).fetchone()
            return bool(kept[0] == webhook)

    def prove_room(self) -> None:
        """Prove that it takes another event; SpoolUnavailable where it does not."""
        self.prove_writable()
        with self.using() as database:
            self._require_room(database, _USUAL_BYTES)

    def _require_room(self, database: sqlite3.Connection, more: int) -> None:
        if self.size(database) + more > self._max_bytes:
            raise SpoolUnavailable(f"{self.path} has reached its limit (GATEWAY_SPOOL__MAX_BYTES)")

    def is_known_empty(self) -> bool:
        """Tell whether nothing waits, as far as the file's time tells: nobody is waited for."""
        changed = self.changed_ns()
        return changed is not None and changed == self._empty_since

    def is_empty(self) -> bool:
        """Tell whether nothing waits. Every webhook asks, so nothing is believed to wait until the file changes."""
        if self.is_known_empty():
            return True
        changed = self.changed_ns()
        with self.using() as database:
            empty = database.execute("SELECT 1 FROM events WHERE set_aside = 0 LIMIT 1").fetchone() is None
        # A file's time stands still for some milliseconds, in which it may change again.
        is_over = changed is not None and time.time_ns() - changed > STANDSTILL_NS
        self._empty_since = changed if empty and is_over else None
        return empty

    def holds(self, key: str) -> bool:
        """Tell whether an event is here."""
        with self.using() as database:
            return database.execute("SELECT 1 FROM events WHERE key = ?", (key,)).fetchone() is not None

    def holds_from(self, sender: str) -> bool:
        """Tell whether something of a sender waits."""
        with self.using() as database:
            found = database.execute("SELECT 1 FROM events WHERE sender = ? AND set_aside = 0 LIMIT 1", (sender,))
            return found.fetchone() is not None

    def holds_about(self, subjects: Sequence[str]) -> bool:
        """Tell whether something waits that comes from one of these, or is a delivery or a status of it."""
        with self.using() as database:
            return any(
                database.execute(
                    "SELECT 1 FROM events WHERE set_aside = 0 "
                    "AND (sender = :it OR key = :it OR (key > :it || ':' AND key < :it || ';')) LIMIT 1",
                    {"it": subject},
                ).fetchone()
                for subject in subjects
            )

    def seconds_since_refused(self) -> float | None:
        """Tell how long ago MongoDB last did not take one of the events that wait; None where it is long ago."""
        with self.using() as database:
            (at,) = database.execute("SELECT max(refused_at) FROM events WHERE refused_at IS NOT NULL").fetchone()
            return None if at is None else time.time() - at

    def depth(self) -> Depth:
        """Count what is in the spool."""
        with self.using() as database:
            waiting, aside, oldest = database.execute(
                "SELECT count(*) FILTER (WHERE set_aside = 0), count(*) FILTER (WHERE set_aside = 1), "
                "min(received_at) FILTER (WHERE set_aside = 0) FROM events"
            ).fetchone()
            return Depth(waiting, aside, _moment(oldest) if oldest else None, self.size(database))

    def oldest(self, limit: int, *, set_aside: bool = False) -> list[Record]:
        """Give the records that were received first."""
        with self.using() as database:
            rows = database.execute(
                f"SELECT {_COLUMNS} FROM events WHERE set_aside = ? ORDER BY received_at, number LIMIT ?",  # noqa: S608
                (set_aside, limit),
            ).fetchall()
        return [_record(row) for row in rows]

    def remove(self, records: Sequence[Record]) -> None:
        """Let go of what is in MongoDB by now, unless it was delivered once more meanwhile."""
        with self.changing() as database:
            database.execute("BEGIN IMMEDIATE")
            database.executemany(
                "DELETE FROM events WHERE number = ? AND webhooks = ?",
                [(record.number, " ".join(record.webhooks)) for record in records],
            )
            database.execute("COMMIT")

    def note_failure(self, record: Record, error: str, *, set_aside: bool) -> None:
        """Note that a record could not be applied; with `set_aside` the others no longer wait for it."""
        with self.changing() as database:
            database.execute(
                "UPDATE events SET tries = tries + 1, error = ?, set_aside = ? WHERE number = ?",
                (error[:500], set_aside, record.number),
            )

    def retry(self) -> int:
        """Let everything that was set aside be tried again; gives how many that is."""
        with self.changing() as database:
            return database.execute("UPDATE events SET set_aside = 0, tries = 0 WHERE set_aside = 1").rowcount

    @contextmanager
    def draining(self) -> Iterator[bool]:
        """Be the host's only drainer meanwhile; False where somebody else is. One that dies lets go by dying."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.folder / LOCK).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _record(row: tuple[Any, ...]) -> Record:
    number, key, kind, received_at, plain, webhooks, told, tries, error = row
    event: Event | None = None
    try:
        event = from_plain(kind, json.loads(plain))
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        error = f"unreadable: {type(problem).__name__}"
    return Record(number, key, kind, _moment(received_at), event, tuple(webhooks.split()), told, tries, error)
