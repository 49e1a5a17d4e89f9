"""An import tried out: everything is read, checked and looked up, and nothing is written."""

import secrets
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from gateway.conversation import carried, imported, origins, staged
from gateway.conversation.importing import batches
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
)
from gateway.core.sessions import Scope
from gateway.store import adopted, contacts, importing, numbers
from gateway.store.connection import deadline
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
        homes = {read.row.session_id for read in reads if isinstance(read.row, MessageRow)}
        with deadline(imported.BATCH_SECONDS):
            also = carried.known(reads)
            theirs = set[str]()
            if self.in_place:
                # The source lies here itself, under the same ids.
                known = {name: ids - adopted.still_theirs(name, ids) for name, ids in known.items()}
                theirs = adopted.still_theirs(adopted.SESSIONS, homes)
            here = importing.sessions_here(homes).keys() - theirs | self.seen.among([f"s{one}" for one in homes])
            for read in reads:
                match read.row:
                    case SessionRow() as row:
                        self._session(read, row, known["sessions"])
                        here |= {row.id}
                    case MessageRow() as row:
                        self._message(read, row, known["messages"], here)
                    case CarriedRow() as row:
                        self._carried(row.kind, is_here=row.id in also)
                    case PieceRow() as piece if piece.number == piece.pieces - 1:
                        self.done.tally.files_existing += piece.file_id in also
                        self.done.tally.files_imported += piece.file_id not in also
                    case Rejected(reason):
                        self._reject(read, reason)
                    case Remark(problem, ends):
                        self.done.tally.problems += [problem] if problem else []
                        self.done.is_complete |= ends

    def _carried(self, kind: str, *, is_here: bool) -> None:
        tally = self.done.tally
        if kind == CHANNEL:
            tally.channels_existing += is_here
            tally.channels_created += not is_here
        elif kind == CONTACT:
            tally.contacts_existing += is_here
            tally.contacts_created += not is_here

    def _session(self, read: Read, row: SessionRow, known: set[str]) -> None:
        if row.id in known or f"s{row.id}" in self.seen.among([f"s{row.id}"]):
            self.done.tally.sessions_existing += 1
        elif reason := imported.future(self.now, row.document, *imported.MOMENTS):
            self._reject(read, reason)
            return
        else:
            self.done.tally.sessions_created += 1
        self.seen.add(f"s{row.id}")
        sender = imported.sender(row.document)
        person = imported.with_emails([sender], self.done.layout).get(sender, sender).person
        # Whoever is called by an e-mail is the one who has it.
        form = next(reversed(numbers.forms(person, sender.line).values()), "")
        if form and self.seen.add(f"p{form}"):
            self.done.people += 1
            self.done.people_new += contacts.find(person, line=sender.line) is None

    def _message(self, read: Read, row: MessageRow, known: set[str], here: set[str]) -> None:
        if row.id in known or f"m{row.id}" in self.seen.among([f"m{row.id}"]):
            self.done.tally.messages_duplicate += 1
        elif row.session_id not in here and f"s{row.session_id}" not in here:
            self._reject(read, imported.not_here(row.session_id))
        elif reason := imported.future(self.now, row.document, *imported.SAID):
            self._reject(read, reason)
        else:
            self.seen.add(f"m{row.id}")
            self.done.tally.messages_imported += 1

    def _reject(self, read: Read, reason: str) -> None:
        self.done.tally.rejected += 1
        self.done.reasons[reason] += 1
        written = read.written.decode("utf-8", "replace").strip()
        number = read.position.rows
        self.reject(Rejection(number, reason, written, read.place or f"row {number}"))
