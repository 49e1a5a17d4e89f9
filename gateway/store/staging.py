"""Records of another program on their way in: in a SQLite file on this host, put in order there, then read once.

Sources come in any order and may be larger than memory; an import wants a session before its messages, and those in
the order they were said. The file is only a cache: it is made again from the source whenever it is gone.
"""

import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from gateway.core.errors import GatewayError

# What SQLite keeps of the file in memory is 16 MB; the rest is on the disk, also while it sorts.
_CACHE = "cache_size = -16000"
_AT_ONCE = 1000
# Some milliseconds of work, after which SQLite asks whether to go on.
_STEPS = 100_000
_WATCH_SECONDS = 10

_TABLES = """
CREATE TABLE sessions (n INTEGER PRIMARY KEY, ref TEXT UNIQUE, id TEXT, kind TEXT, ours TEXT, person TEXT,
  channel TEXT, line TEXT, previous TEXT, is_open INTEGER NOT NULL DEFAULT 0, first INTEGER, last INTEGER,
  messages INTEGER NOT NULL DEFAULT 0, out INTEGER NOT NULL DEFAULT 0,
  document BLOB, place TEXT, text TEXT);
CREATE TABLE messages (n INTEGER PRIMARY KEY, id TEXT, ref TEXT, at INTEGER, outbound INTEGER, kind TEXT, ours TEXT,
  person TEXT, channel TEXT, line TEXT, says TEXT, decision TEXT, document BLOB, place TEXT, text TEXT);
CREATE TABLE people (n INTEGER PRIMARY KEY, ref TEXT UNIQUE, id TEXT, phones BLOB, document BLOB, place TEXT,
  text TEXT);
CREATE TABLE rejected (n INTEGER PRIMARY KEY, place TEXT, reason TEXT, text TEXT);
CREATE TABLE remarks (n INTEGER PRIMARY KEY, reason TEXT);
CREATE TABLE facts (name TEXT PRIMARY KEY, value BLOB);
"""

# Sessions in the order they began, each with its messages behind it.
_IN_ORDER = """
INSERT INTO ordered (what, n, session) SELECT what, n, session FROM (
  SELECT 'session' AS what, n, n AS session, first AS began, 0 AS rank, 0 AS at, 0 AS outbound FROM sessions
  UNION ALL
  SELECT 'message', m.n, s.n, s.first, 1, m.at, m.outbound FROM messages m JOIN sessions s ON s.ref = m.ref
) ORDER BY began, session, rank, at, outbound, n
"""

_TABLE_OF = {"message": "messages", "person": "people", "rejected": "rejected", "remark": "remarks"}


class StageFailed(GatewayError):
    """The file cannot be written or read: most likely the disk is full."""


@dataclass(frozen=True, slots=True)
class StagedRow:
    """A row in the order of the import: `what` is person, session, message, rejected, remark, end or cut.

    `fields` are its columns by name, None of the last; `session` those of a message's session.
    """

    number: int
    what: str
    fields: Any = None
    session: Any = None

    @property
    def written(self) -> tuple[str, str]:
        """Tell how the row is written in the source, and where; empty where it is not."""
        if self.what in ("remark", "end", "cut"):
            return "", ""
        return self.fields["text"] or "", self.fields["place"] or ""


class Stage:
    """A stage under construction, or finished. StageFailed for whatever the disk does not do."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._file = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._file.row_factory = sqlite3.Row
            # It is made anew after a crash, so nothing is waited for.
            for pragma in ("journal_mode = OFF", "synchronous = OFF", "temp_store = FILE", _CACHE):
                self._file.execute(f"PRAGMA {pragma}")
        except sqlite3.Error as error:
            raise _failed(path, error) from None
        self._hash = hashlib.sha256()
        self._stopped: Exception | None = None

    def watch(self, call: Callable[[], object]) -> None:
        """Let something be called every few seconds, also while a statement takes long; what it raises ends that."""
        called = time.monotonic()

        def progress() -> int:
            nonlocal called
            if time.monotonic() - called < _WATCH_SECONDS:
                return 0
            called = time.monotonic()
            try:
                call()
            except Exception as error:
                self._stopped = error
                return 1
            return 0

        self._file.set_progress_handler(progress, _STEPS)

    def begin(self) -> None:
        """Make the tables."""
        self._do(lambda: self._file.executescript(f"BEGIN; {_TABLES}"))

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def drop(self) -> None:
        """Delete the file."""
        self.close()
        self.path.unlink(missing_ok=True)

    def seen(self, place: str, text: str) -> None:
        """Count a record in for the name of the whole: the same source has the same."""
        self._hash.update(f"{place}\0{text}\0".encode(errors="surrogatepass"))

    def add(self, table: str, **row: Any) -> bool:
        """Add a row; False where a session is there already."""
        statement, values = _insert(table, tuple(row)), tuple(row.values())
        return bool(self._do(lambda: self._file.execute(statement, values)).rowcount)

    def add_all(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> int:
        """Add rows that have these columns; gives how many of them were not there yet."""
        statement = _insert(table, tuple(columns))
        return int(self._do(lambda: self._file.executemany(statement, rows)).rowcount) if rows else 0

    def do(self, statement: str, *values: Any) -> int:
        """Change rows; gives how many."""
        return int(self._do(lambda: self._file.execute(statement, values)).rowcount)

    def change(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Make the same change with other values."""
        self._do(lambda: self._file.executemany(statement, rows))

    def each(self, query: str, *values: Any) -> Iterator[sqlite3.Row]:
        """Give rows one after the other; what they are read from may not change meanwhile."""
        with closing(self._do(lambda: self._file.execute(query, values))) as cursor:
            while rows := self._do(lambda: cursor.fetchmany(_AT_ONCE)):
                yield from rows

    def function(self, name: str, call: Callable[..., Any], arguments: int) -> None:
        """Let statements use a function of ours."""
        self._file.create_function(name, arguments, call, deterministic=True)

    def facts(self) -> dict[str, Any]:
        """Give what was noted of the whole."""
        return {row["name"]: orjson.loads(row["value"]) for row in self.each("SELECT * FROM facts")}

    def finish(self, path: Path, facts: Mapping[str, Any], *, is_whole: bool) -> None:
        """Put the rows in order, note what is true of the whole, and give the file its name."""
        self.do("CREATE TABLE ordered (number INTEGER PRIMARY KEY, what TEXT, n INTEGER, session INTEGER)")
        for what, table in (("remark", "remarks"), ("rejected", "rejected"), ("person", "people")):
            self.do(f"INSERT INTO ordered (what, n) SELECT '{what}', n FROM {table} ORDER BY n")  # noqa: S608
        self.do(_IN_ORDER)
        self.do("INSERT INTO ordered (what) VALUES (?)", "end" if is_whole else "cut")
        (rows,) = next(iter(self.each("SELECT COUNT(*) FROM ordered")))
        noted = {"fingerprint": self._hash.hexdigest(), "rows": rows, **facts}
        self.change("INSERT INTO facts VALUES (?, ?)", [(name, orjson.dumps(value)) for name, value in noted.items()])
        self._do(lambda: self._file.execute("COMMIT"))
        # Nothing was waited for so far; a name is only given to what is on the disk.
        with self.path.open("rb") as written:
            os.fsync(written.fileno())
        self.path.replace(path)
        self.path = path

    def rows(self, after: int) -> Iterator[StagedRow]:
        """Give the rows behind a number, in order."""
        ordered = iter(self.each("SELECT * FROM ordered WHERE number > ? ORDER BY number", after))
        while some := list(islice(ordered, _AT_ONCE)):
            wanted: dict[str, set[int]] = {"sessions": {one["session"] for one in some if one["session"] is not None}}
            for one in some:
                if table := _TABLE_OF.get(one["what"]):
                    wanted.setdefault(table, set()).add(one["n"])
            found = {table: self._rows(table, numbers) for table, numbers in wanted.items()}
            for one in some:
                session = found["sessions"].get(one["session"])
                table = _TABLE_OF.get(one["what"])
                fields = found[table][one["n"]] if table else session if one["what"] == "session" else None
                yield StagedRow(one["number"], one["what"], fields, session)

    def _rows(self, table: str, numbers: Collection[int]) -> dict[int, sqlite3.Row]:
        within = f"SELECT * FROM {table} WHERE n IN (SELECT value FROM json_each(?))"  # noqa: S608 - our own words
        return {row["n"]: row for row in self.each(within, orjson.dumps(list(numbers)))}

    def _do(self, what: Callable[[], Any]) -> Any:
        try:
            return what()
        except sqlite3.Error as error:
            raise self._stopped or _failed(self.path, error) from None


@cache
def _insert(table: str, names: tuple[str, ...]) -> str:
    # The names are those of this module's callers, never of a source.
    return f"INSERT OR IGNORE INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608


def _failed(path: Path, error: Exception) -> StageFailed:
    needed = "It takes about three times the size of the source."
    return StageFailed(f"{path.parent} cannot hold what is to be imported ({error}). {needed}")


class Seen:
    """Ids that came before, however many: on the disk."""

    def __init__(self, path: Path) -> None:
        self._stage = Stage(path)
        self._stage.do("CREATE TABLE ids (id TEXT PRIMARY KEY) WITHOUT ROWID")
        self._stage.do("BEGIN")

    def add_all(self, ids: Collection[str]) -> None:
        """Remember ids."""
        self._stage.change("INSERT OR IGNORE INTO ids (id) VALUES (?)", [(one,) for one in ids])

    def among(self, ids: Collection[str]) -> set[str]:
        """Tell which of these came before."""
        found = self._stage.each(
            "SELECT id FROM ids WHERE id IN (SELECT value FROM json_each(?))", orjson.dumps(list(ids))
        )
        return {row["id"] for row in found}

    def drop(self) -> None:
        """Forget them all."""
        self._stage.drop()
