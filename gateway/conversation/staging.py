"""What another program wrote, put in order on this host's disk before any of it is imported.

Sessions are kept as the source has them, or made of its messages by the very `decide` that files what arrives.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, islice, tee
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from gateway.conversation.crew import Crew
from gateway.conversation.interpreting import (
    OF_MESSAGES,
    OF_PEOPLE,
    OF_REJECTED,
    OF_SESSIONS,
    Interpreted,
    Interpreter,
    Plain,
)
from gateway.conversation.layouts.reading import ORDER, SESSIONS, Reading, Roles, Tables
from gateway.conversation.sources import Table
from gateway.core import emails, foreign_ids, foreign_lines
from gateway.core.moments import Spelling
from gateway.core.participant import address
from gateway.core.rethreading import Bare, Threaded, thread
from gateway.core.sessions import Policy
from gateway.core.times import from_epoch_ms
from gateway.store import numbers, staged_people, staged_sessions
from gateway.store.staging import Stage

# So many messages of a line after the other are looked for here at once.
_LOOKED_UP = 1000
# So much is read at once: records, or signs of them.
_AT_ONCE, _SIGNS_AT_ONCE = 2000, 1 << 20


@dataclass(frozen=True, slots=True)
class Options:
    """How a source is read. `dates` is us or eu, `zone` where its clocks are, `line` our number where it names none.

    `threshold_ms` of None never begins a session anew; "" leaves it to the settings.
    """

    rethread: bool = False
    threshold_ms: int | str | None = ""
    dates: str = ""
    zone: str = "UTC"
    line: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be put in order: tables with what they hold, and how it is asked what is here already.

    What lies after `now` is not taken. `policy` gives how to judge a type's pauses, `homes` the session here of each of
    some messages, and `tick` hears every now and then how many records were read. Whoever is `is_alone` has one
    processor for it, for others serve.
    """

    layout: Tables
    tables: Sequence[Table]
    roles: Roles
    options: Options
    now: datetime
    policy: Callable[[str], Policy]
    homes: Callable[[Sequence[str]], Mapping[str, str]]
    tick: Callable[[int], object] = lambda _records: None
    is_alone: bool = False


def put_in_order(plan: Plan, path: Path) -> Stage:
    """Read a whole source; gives its rows in order. What is there under this name, finished, is used again."""
    if path.exists():
        return Stage(path)
    # A name of its own: whoever lost the import may still be at it.
    stage = Stage(path.with_suffix(f".{secrets.token_hex(4)}.partial"))
    try:
        stage.begin()
        order = _Order(plan, stage)
        order.make()
        stage.finish(path, {"people": _people(stage)}, is_whole=order.is_whole)
    except BaseException:
        stage.drop()
        raise
    return stage


def _people(stage: Stage) -> int:
    stage.function("who", _who, 1)
    (amount,) = next(iter(stage.each("SELECT COUNT(DISTINCT who(line)) FROM sessions WHERE person <> ''")))
    return int(amount)


def _who(line: str) -> str:
    """Give the form of whoever is at the other end of a line, in which they are one person however it is written."""
    *_, ours, person = line.split("|", 2)
    return emails.user_email([person]) or numbers.form(person, address(ours).number)


@dataclass
class _Order:
    plan: Plan
    stage: Stage
    records: int = 0
    repeated: int = 0
    twice: int = 0
    is_whole: bool = True
    remarks: list[str] = field(default_factory=list)

    def make(self) -> None:
        # Sorting a million rows takes minutes, in which whoever claimed the import must be known to live.
        self.stage.watch(lambda: self.plan.tick(self.records))
        self.stage.function("line_of", self._line, 4)
        self.stage.function("id_of", foreign_ids.session_id, 2)
        self._read()
        if self.plan.options.rethread or self.plan.layout.bare:
            self._make_sessions()
        else:
            self.remarks += staged_sessions.keep(self.stage)
        self.remarks += staged_people.settle(self.stage, self.plan.options.line, self.plan.now)
        for remark in self.remarks:
            self.stage.add("remarks", reason=remark)

    def _line(self, kind: str, ours: str, channel: str, person: str) -> str:
        ours = ours or self.plan.options.line or channel.removeprefix(f"{kind}:")
        return foreign_lines.line(kind, ours, person).key

    def _read(self) -> None:
        options = self.plan.options
        reading = Reading(Spelling(options.dates, ZoneInfo(options.zone)))
        wanted = [
            (role, table) for role in ORDER for table in self.plan.tables if self.plan.roles.get(table.name) == role
        ]
        with Crew(self.plan.is_alone) as crew:
            for role, table in wanted:
                by = Interpreter(self.plan.layout, role, reading, self.plan.now)
                for done in crew.interpret(by, self._some(table)):
                    self._add(role, done)
                self.remarks += table.remarks()
        left_out = [table.name for table in self.plan.tables if table.name not in self.plan.roles]
        self.remarks += [
            f"{name} was left out: it holds nothing of the layout {self.plan.layout.name}." for name in left_out
        ]
        if self.twice:
            self.remarks.append(f"People who came more than once: {self.twice:,}. The first of each counts.")
        if self.repeated:
            self.remarks.append(f"{self.repeated:,} sessions came more than once; their messages were put together.")

    def _some(self, table: Table) -> Iterator[list[Plain]]:
        """Read a table, some records at a time."""
        some, size, is_whole = list[Plain](), 0, True
        for record in table.read():
            self.stage.seen(record.place, record.text)
            some.append((record.place, record.fields, record.problem, record.text))
            size += len(record.text)
            # A file that was cut off ends in the middle of a row.
            is_whole = not record.problem
            if len(some) == _AT_ONCE or size > _SIGNS_AT_ONCE:
                yield self._told(some)
                some, size = [], 0
        self.is_whole &= is_whole
        if some:
            yield self._told(some)

    def _told(self, some: list[Plain]) -> list[Plain]:
        self.records += len(some)
        self.plan.tick(self.records)
        return some

    def _add(self, role: str, done: Interpreted) -> None:
        self.stage.add_all("rejected", OF_REJECTED, done.rejected)
        self.stage.add_all("messages", OF_MESSAGES, done.messages)
        new = self.stage.add_all("people", OF_PEOPLE, done.people)
        self.twice += len(done.people) - new
        new = self.stage.add_all("sessions", OF_SESSIONS, done.sessions)
        self.repeated += len(done.sessions) - new if role == SESSIONS else 0

    def _make_sessions(self) -> None:
        """Make sessions of the messages, by the rules that hold here, whatever sessions the source has."""
        lines = staged_sessions.by_sender(self.stage)
        filed = chain.from_iterable(self._thread(line, rows) for line, rows in lines)
        while some := list(islice(filed, _LOOKED_UP)):
            self._file(some)
        staged_sessions.settle(self.stage)

    def _thread(self, line: str, rows: Iterator[Mapping[str, Any]]) -> Iterator["_Filed"]:
        """Apply the rules to one sender, however much they wrote: no more than a message of it is in memory."""
        read, rows = tee(rows)
        bare = (Bare(row["id"], from_epoch_ms(row["at"]), not row["outbound"]) for row in read)
        named = thread(
            bare, self.plan.policy(line.partition("|")[0]), lambda one: foreign_ids.session_id(f"{line}|{one.id}", "")
        )
        return (_Filed(row, threaded) for row, threaded in zip(rows, named, strict=True))

    def _file(self, filed: Sequence["_Filed"]) -> None:
        """Note which message is in which session, and which messages are here already, where."""
        here = self.plan.homes([one.row["id"] for one in filed])
        self.plan.tick(self.records)
        homes = [(one.threaded.session_id, home) for one in filed if (home := here.get(one.row["id"]))]
        begun = [one.session() for one in filed if one.threaded.decision.session_id is None]
        messages = [(one.threaded.session_id, one.decision(), one.row["n"]) for one in filed]
        staged_sessions.file(self.stage, begun, messages, homes)


@dataclass(frozen=True, slots=True)
class _Filed:
    row: Mapping[str, Any]
    threaded: Threaded

    def session(self) -> tuple[Any, ...]:
        """Give the session that begins with this message, in the columns of `staged_sessions.BEGUN`."""
        ref, row = self.threaded.session_id, self.row
        line = tuple(row[name] for name in ("kind", "ours", "person", "line", "channel"))
        return (ref, ref, *line, self.threaded.decision.previous_session_id, row["at"], row["at"], b"{}", "", "")

    def decision(self) -> str | None:
        """Give the decision as it is kept on what was received."""
        return None if self.row["outbound"] else orjson.dumps(self.threaded.decision.as_stored()).decode()
