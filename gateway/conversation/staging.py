"""What another program wrote, put in order on this host's disk before any of it is imported.

Sessions are kept as the source has them, or made of its messages by the very `decide` that files what arrives.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from gateway.conversation import imported
from gateway.conversation.layouts.reading import ORDER, SESSIONS, Reading, Roles, Tables
from gateway.conversation.sources import Record, Table
from gateway.core import emails, foreign
from gateway.core.checking import BadRow
from gateway.core.foreign import Talk, Utterance
from gateway.core.moments import Spelling
from gateway.core.optout import Keyword, keyword
from gateway.core.participant import address
from gateway.core.rethreading import Bare, Threaded, thread
from gateway.core.sessions import Policy
from gateway.core.times import epoch_ms, from_epoch_ms, parse_moment
from gateway.store import numbers, staged_sessions
from gateway.store.staging import Stage

# So many messages of a line after the other are looked for here at once.
_LOOKED_UP = 1000
_TICK = 1000
# A session is often said with each of its messages: so many are not looked for again.
_REMEMBERED = 10_000


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
    some messages, and `tick` hears every now and then how many records were read.
    """

    layout: Tables
    tables: Sequence[Table]
    roles: Roles
    options: Options
    now: datetime
    policy: Callable[[str], Policy]
    homes: Callable[[Sequence[str]], Mapping[str, str]]
    tick: Callable[[int], object] = lambda _records: None


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
    is_whole: bool = True
    lately: set[str] = field(default_factory=set)
    remarks: list[str] = field(default_factory=list)

    def make(self) -> None:
        # Sorting a million rows takes minutes, in which whoever claimed the import must be known to live.
        self.stage.watch(lambda: self.plan.tick(self.records))
        self.stage.function("line_of", self._line, 4)
        self.stage.function("id_of", foreign.session_id, 2)
        self._read()
        if self.plan.options.rethread or self.plan.layout.bare:
            self._make_sessions()
        else:
            self.remarks += staged_sessions.keep(self.stage)
        for remark in self.remarks:
            self.stage.add("remarks", reason=remark)

    def _line(self, kind: str, ours: str, channel: str, person: str) -> str:
        ours = ours or self.plan.options.line or channel.removeprefix(f"{kind}:")
        return foreign.line(kind, ours, person).key

    def _read(self) -> None:
        options = self.plan.options
        reading = Reading(Spelling(options.dates, ZoneInfo(options.zone)))
        wanted = [
            (role, table) for role in ORDER for table in self.plan.tables if self.plan.roles.get(table.name) == role
        ]
        for role, table in wanted:
            record = None
            for record in table.read():
                self.records += 1
                self._take(role, record, reading)
                if not self.records % _TICK:
                    self.plan.tick(self.records)
            # A file that was cut off ends in the middle of a row.
            self.is_whole &= record is None or not record.problem
            self.remarks += table.remarks()
        left_out = [table.name for table in self.plan.tables if table.name not in self.plan.roles]
        self.remarks += [
            f"{name} was left out: it holds nothing of the layout {self.plan.layout.name}." for name in left_out
        ]
        if self.repeated:
            self.remarks.append(f"{self.repeated:,} sessions came more than once; their messages were put together.")

    def _take(self, role: str, record: Record, reading: Reading) -> None:
        self.stage.seen(record.place, record.text)
        if record.problem:
            self._reject(record, record.problem)
            return
        try:
            for found in self.plan.layout.read(role, record.fields, reading):
                match found:
                    case Talk():
                        self._talk(found, record if role == SESSIONS else Record(record.place))
                    case Utterance():
                        self._utterance(found, record)
                    case BadRow():
                        self._reject(record, str(found))
        except BadRow as error:
            self._reject(record, str(error))

    def _reject(self, record: Record, reason: str) -> None:
        self.stage.add("rejected", place=record.place, reason=reason, text=record.text)

    def _talk(self, talk: Talk, record: Record) -> None:
        if talk.ref in self.lately:
            self.repeated += bool(record.text)
            return
        if len(self.lately) == _REMEMBERED:
            self.lately.clear()
        self.lately.add(talk.ref)
        began = talk.document.get("createdAt") or talk.document.get("last_message_at")
        moment = epoch_ms(parse_moment(began)) if began else None
        is_new = self.stage.add(
            "sessions",
            ref=talk.ref,
            kind=talk.kind,
            ours=talk.ours,
            person=talk.person,
            channel=talk.channel,
            previous=talk.previous,
            is_open=talk.document.get("status") == "active",
            first=moment,
            last=moment,
            document=orjson.dumps(talk.document),
            place=record.place,
            text=record.text,
        )
        self.repeated += bool(record.text) and not is_new

    def _utterance(self, said: Utterance, record: Record) -> None:
        if ahead := imported.future(self.plan.now, {"createdAt": said.at}, "createdAt"):
            self._reject(record, ahead)
            return
        self.stage.add_soon(
            "messages",
            id=said.id,
            ref=said.ref,
            at=epoch_ms(said.at),
            outbound=not said.inbound,
            kind=said.kind,
            ours=said.ours,
            person=said.person,
            channel=said.channel,
            says=_says(said),
            document=orjson.dumps(said.document),
            place=record.place,
            text=record.text,
        )

    def _make_sessions(self) -> None:
        """Make sessions of the messages, by the rules that hold here, whatever sessions the source has."""
        waiting: list[_Filed] = []
        for line, rows in staged_sessions.by_sender(self.stage):
            waiting += self._thread(line, rows)
            if len(waiting) >= _LOOKED_UP:
                self._file(waiting)
                waiting = []
        self._file(waiting)
        staged_sessions.settle(self.stage)

    def _thread(self, line: str, rows: Sequence[Mapping[str, Any]]) -> Iterator["_Filed"]:
        """Apply the rules to one sender."""
        bare = (Bare(row["id"], from_epoch_ms(row["at"]), not row["outbound"]) for row in rows)
        named = thread(
            bare, self.plan.policy(line.partition("|")[0]), lambda one: foreign.session_id(f"{line}|{one.id}", "")
        )
        return (_Filed(row, threaded) for row, threaded in zip(rows, named, strict=True))

    def _file(self, filed: Sequence["_Filed"]) -> None:
        """Note which message is in which session; one whose messages are here already is the one they are in."""
        here = self.plan.homes([one.row["id"] for one in filed]) if filed else {}
        self.plan.tick(self.records)
        homes: dict[str, str] = {}
        for one in filed:
            if home := here.get(one.row["id"]):
                homes.setdefault(one.threaded.session_id, home)
        for one in filed:
            ref, row = one.threaded.session_id, one.row
            home, before = homes.get(ref, ref), one.threaded.decision.previous_session_id
            if one.threaded.decision.session_id is None:
                self.stage.add(
                    "sessions",
                    ref=ref,
                    id=home,
                    **{name: row[name] for name in ("kind", "ours", "person", "line", "channel")},
                    previous=before and homes.get(before, before),
                    first=row["at"],
                    last=row["at"],
                    here=home != ref,
                    document=b"{}",
                    place="",
                    text="",
                )
        rows = [(one.threaded.session_id, one.decision(homes), one.row["n"]) for one in filed]
        staged_sessions.file(self.stage, rows)


def _says(said: Utterance) -> str:
    """Tell whether somebody says STOP or START."""
    word = keyword(said.document["content"]) if said.inbound else None
    return str(word) if word in (Keyword.STOP, Keyword.START) else ""


@dataclass(frozen=True, slots=True)
class _Filed:
    row: Mapping[str, Any]
    threaded: Threaded

    def decision(self, homes: Mapping[str, str]) -> bytes | None:
        """Give the decision as it is kept on what was received."""
        if self.row["outbound"]:
            return None
        stored = self.threaded.decision.as_stored()
        before = stored["previous_session_id"]
        return orjson.dumps(stored | {"previous_session_id": before and homes.get(before, before)})
