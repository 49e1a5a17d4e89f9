"""An import tried out: everything is read, checked and looked up, and nothing is written."""

import secrets
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from gateway.conversation import carried, imported, imported_people, origins, staged
from gateway.conversation.import_runs import batches
from gateway.conversation.layouts import OWN
from gateway.conversation.origins import Origin
from gateway.conversation.runtime import Runtime
from gateway.core.carried import CHANNEL, CONTACT
from gateway.core.imported import (
    CarriedRow,
    MessageRow,
    PieceRow,
    Position,
    Read,
    Rejected,
    Remark,
    SessionRow,
    Tally,
    future,
)
from gateway.core.sessions import Scope
from gateway.store import adopted, importing, numbers, senders
from gateway.store.connection import deadline
from gateway.store.contacts import Sender
from gateway.store.rejections import Rejection
from gateway.store.staging import Seen


@dataclass
class Rehearsal:
    """What would come of an import. `people_new` of the `people` are not here yet; `reasons` count rejected rows."""

    layout: str
    name: str
    rows: int = 0
    people: int = 0
    people_new: int = 0
    is_complete: bool = False
    tally: Tally = field(default_factory=Tally)
    reasons: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Told:
    """Who hears of a rehearsal: `rejected` of the rows that would not be taken, the others of how far it is.

    `read` is given how many records were read of another program's source, `judged` the position of the last row.
    """

    rejected: Callable[[Rejection], object] = lambda _rejection: None
    read: Callable[[int], object] = lambda _records: None
    judged: Callable[[Position], object] = lambda _position: None


def rehearse(runtime: Runtime, origin: Origin, told: Told) -> Rehearsal:
    """Say what would come of an import. Nothing is written, but a file on this host that is deleted again."""
    path = origins.stage_path(runtime, f"{origins.REHEARSAL}{secrets.token_hex(6)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    seen = Seen(path.with_suffix(".seen.sqlite3"))
    done = Rehearsal(origin.layout, origin.name)
    judge = _Judge(done, seen, runtime.clock.now(), told.rejected, in_place=origin.in_place)
    try:
        with closing(rows_of(runtime, origin, path, told.read)) as rows:
            for batch in batches(rows, 0):
                judge.batch(batch)
                told.judged(batch[-1].position)
    finally:
        seen.drop()
        path.unlink(missing_ok=True)
    return done


def rows_of(runtime: Runtime, origin: Origin, path: Path, tick: Callable[[int], object]) -> Generator[Read, None, None]:
    """Read a whole source; `path` is where one of another program is put in order, and deleted by the caller."""
    if origin.stream:
        with origin.stream() as stream:
            yield from OWN.read(stream, Position())
        return
    with closing(origins.stage(runtime, origin, path, tick)) as stage:
        size, scope = origin.size or stage.facts()["rows"], Scope(runtime.settings.sessions.scope)
        yield from staged.reads(stage, 0, size, scope, origin.options.line)


@dataclass(frozen=True)
class _Known:
    """What of a batch is here, and what of it came before: `seen` has sessions and messages, each with its letter."""

    sessions: set[str]
    messages: set[str]
    homes: set[str]
    carried: set[str]
    seen: set[str]


@dataclass
class _Judge:
    done: Rehearsal
    seen: Seen
    now: datetime
    reject: Callable[[Rejection], object]
    in_place: bool = False

    def batch(self, reads: Sequence[Read]) -> None:
        known = {name: set(ids) for name, ids in imported.look(reads).items()}
        self.done.rows = reads[-1].position.rows
        sessions = [read.row for read in reads if isinstance(read.row, SessionRow)]
        messages = [read.row for read in reads if isinstance(read.row, MessageRow)]
        homes = {row.session_id for row in messages}
        before = self.seen.among({f"s{one.id}" for one in sessions} | {f"s{one}" for one in homes})
        before |= self.seen.among({f"m{one.id}" for one in messages})
        with deadline(imported.BATCH_SECONDS):
            also = carried.known(reads)
            theirs = set[str]()
            if self.in_place:
                # The source lies here itself, under the same ids.
                known = {name: ids - adopted.still_theirs(name, ids) for name, ids in known.items()}
                theirs = adopted.still_theirs(adopted.SESSIONS, homes)
            here = importing.sessions_here(homes).keys() - theirs | {one for one in homes if f"s{one}" in before}
            judged = _Known(known["sessions"], known["messages"], here, also, before)
            self._judge(reads, judged)
            self._people([row for row in sessions if f"s{row.id}" in judged.seen])

    def _judge(self, reads: Sequence[Read], known: "_Known") -> None:
        for read in reads:
            match read.row:
                case SessionRow() as row:
                    self._session(read, row, known)
                    known.homes.add(row.id)
                case MessageRow() as row:
                    self._message(read, row, known)
                case CarriedRow() as row:
                    self._carried(row.kind, is_here=row.id in known.carried)
                case PieceRow() as piece if piece.number == piece.pieces - 1:
                    self.done.tally.files_existing += piece.file_id in known.carried
                    self.done.tally.files_imported += piece.file_id not in known.carried
                case Rejected(reason):
                    self._reject(read, reason)
                case Remark(problem, ends):
                    self.done.tally.problems += [problem] if problem else []
                    self.done.is_complete |= ends
        self.seen.add_all(known.seen)

    def _carried(self, kind: str, *, is_here: bool) -> None:
        tally = self.done.tally
        if kind == CHANNEL:
            tally.channels_existing += is_here
            tally.channels_created += not is_here
        elif kind == CONTACT:
            tally.contacts_existing += is_here
            tally.contacts_created += not is_here

    def _session(self, read: Read, row: SessionRow, known: "_Known") -> None:
        if row.id in known.sessions or f"s{row.id}" in known.seen:
            self.done.tally.sessions_existing += 1
        elif reason := future(self.now, row.document, *imported.MOMENTS):
            self._reject(read, reason)
            return
        else:
            self.done.tally.sessions_created += 1
        known.seen.add(f"s{row.id}")

    def _people(self, rows: Sequence[SessionRow]) -> None:
        """Count those behind sessions whom no session before named."""
        people: dict[str, Sender] = {}
        asked = list(dict.fromkeys(imported_people.sender(row.document) for row in rows))
        named = imported_people.with_emails(asked, self.done.layout)
        for sender in (named.get(one, one) for one in asked):
            # Whoever is called by an e-mail is the one who has it.
            form = next(reversed(numbers.forms(sender.person, sender.line).values()), "")
            people.setdefault(f"p{form}", sender)
        people.pop("p", None)
        before = self.seen.among(people.keys())
        new = {form: sender for form, sender in people.items() if form not in before}
        self.done.people += len(new)
        self.done.people_new += len(senders.unknown(new.values()))
        self.seen.add_all(new.keys())

    def _message(self, read: Read, row: MessageRow, known: "_Known") -> None:
        if row.id in known.messages or f"m{row.id}" in known.seen:
            self.done.tally.messages_duplicate += 1
        elif row.session_id not in known.homes:
            self._reject(read, imported.not_here(row.session_id))
        elif reason := future(self.now, row.document, *imported.SAID):
            self._reject(read, reason)
        else:
            known.seen.add(f"m{row.id}")
            self.done.tally.messages_imported += 1

    def _reject(self, read: Read, reason: str) -> None:
        self.done.tally.rejected += 1
        self.done.reasons[reason] += 1
        written = read.written.decode("utf-8", "replace").strip()
        number = read.position.rows
        self.reject(Rejection(number, reason, written, read.place or f"row {number}"))
