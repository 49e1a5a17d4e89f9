"""What an import brought, counted and compared again with what is here: nothing is written.

Where its source is still on this host it is read once more, as the import read it; else what the import noted of each
message is what it is compared with.
"""

import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from gateway.conversation import adopting, carried, origins, rehearsal
from gateway.conversation.import_runs import batches
from gateway.conversation.origins import REHEARSAL, Origin
from gateway.conversation.runtime import Runtime
from gateway.core.carried import CONTACT
from gateway.core.errors import GatewayError
from gateway.core.imported import CarriedRow, MessageRow, Read, SessionRow, digest
from gateway.store import consolidations, imported_batches, imports, rejections, repeated
from gateway.store.connection import deadline
from gateway.store.consolidations import Note
from gateway.store.imported_batches import Brought, Stored
from gateway.store.imports import CANCELED, DONE, FAILED, Import

STEP_SECONDS = 60

# So many differences are named; all are counted.
MOST_NAMED = 100

UNKNOWN = "person missing"
MISSING, CHANGED, MOVED, GONE, MISCOUNTED = "missing", "changed", "moved", "session missing", "count is wrong"
APART, BACK = "apart again", "there twice again"


class CannotVerify(GatewayError):
    """An import that there is nothing to compare of; says why."""


@dataclass
class Verified:
    """What came of a comparison, with its source or else with what the import noted.

    `differences` are what differs, of which message or session, in which session. `extra` is how many messages here say
    that they are of this import, and are not in it; `written_since` how many documents another application wrote into
    our collections after an import in place.
    """

    run: Import
    of_source: bool
    sessions: int = 0
    messages: int = 0
    people: int = 0
    extra: int = 0
    written_since: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    differences: list[tuple[str, str, str]] = field(default_factory=list)
    by_session: Counter[str] = field(default_factory=Counter)

    @property
    def is_same(self) -> bool:
        """Tell whether nothing differs."""
        return not self.counts and not self.extra and not self.written_since

    def differs(self, what: str, about: str, session_id: str) -> None:
        """Count a difference, and name it unless there are too many."""
        self.counts[what] += 1
        if session_id in self.by_session or len(self.by_session) < MOST_NAMED:
            self.by_session[session_id] += 1
        if len(self.differences) < MOST_NAMED:
            self.differences.append((what, about, session_id))


def verify(runtime: Runtime, import_id: str, tell: Callable[[int, int], object] = lambda _done, _of: None) -> Verified:
    """Compare what an import brought with what is here; `tell` hears how many messages were compared, of how many.

    CannotVerify where it is not at its end, or was taken back.
    """
    with deadline():
        run = imports.get(import_id)
    if run is None:
        raise CannotVerify(f"There is no import {import_id}. `gateway import list` shows which there are.")
    if run.state not in (DONE, FAILED, CANCELED):
        raise CannotVerify("The import is not at its end yet.")
    if run.undoing_since:
        raise CannotVerify("The import was taken back. `gateway import show` says what of it is still here.")
    if run.layout == consolidations.LAYOUT:
        return _consolidated(run, tell)
    origin = _origin(runtime, run)
    comparison = _Comparison(Verified(run, origin is not None), tell)
    for sessions, messages, people in _of_source(runtime, run, origin) if origin else _noted(run):
        comparison.add(sessions, messages)
        comparison.add_people(people)
    with deadline(STEP_SECONDS):
        comparison.done.extra = max(0, imported_batches.amount(run.id) - comparison.found)
    if run.in_place:
        comparison.done.written_since = adopting.written_since()
    return comparison.done


def _consolidated(run: Import, tell: Callable[[int, int], object]) -> Verified:
    """Compare what a consolidation made one with what is here."""
    done = Verified(run, of_source=False)
    for kind in (consolidations.PEOPLE, consolidations.SESSIONS):
        pages = consolidations.of(run.id, kind)
        while True:
            with deadline(STEP_SECONDS):
                page = next(pages, None)
                if page is None:
                    break
                _compare_merged(done, page)
            tell(done.sessions, run.consolidated.get("sessions_merged", 0))
    return done


def _compare_merged(done: Verified, page: Sequence[Note]) -> None:
    is_session = page[0].kind == consolidations.SESSIONS
    for note in page:
        done.sessions += is_session
        if not consolidations.is_in(note):
            done.differs(APART, note.id, note.into)
        elif is_session:
            aside = repeated.aside(note.run_id, note.mark, note.into)
            done.messages += len(aside)
            for message_id in imported_batches.here(aside):
                done.differs(BACK, message_id, note.into)
    for session_id in imported_batches.miscounted(sorted({note.into for note in page})) if is_session else ():
        done.differs(MISCOUNTED, session_id, session_id)


def _origin(runtime: Runtime, run: Import) -> Origin | None:
    # A source of which only a part came in differs from what is here, and so do rows that were rejected, which are
    # known for thirty days.
    rejected = sum(1 for _ in rejections.of(run.id)) if run.tally.rejected else 0
    if run.state != DONE or rejected != run.tally.rejected:
        return None
    return adopting.again(runtime, run) if run.in_place else origins.again(run)


# Sessions, messages, and the rows of people: those are compared with the source only.
_Batch = tuple[Sequence[str], Sequence[Brought], Sequence[Read]]


def _noted(run: Import) -> Iterator[_Batch]:
    noted = imported_batches.of(run.id)
    while True:
        with deadline(STEP_SECONDS):
            batch = next(noted, None)
        if batch is None:
            return
        yield *batch, ()


def _of_source(runtime: Runtime, run: Import, origin: Origin) -> Iterator[_Batch]:
    """Read the source again, but for the rows that the import rejected."""
    rejected = {one.row for one in rejections.of(run.id)}
    path = origins.stage_path(runtime, f"{REHEARSAL}{secrets.token_hex(6)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(rehearsal.rows_of(runtime, origin, path, lambda _records: None)) as rows:
            for batch in batches(rows, 0):
                kept = [read for read in batch if read.position.rows not in rejected]
                yield _expected(kept)
    finally:
        path.unlink(missing_ok=True)


def _expected(reads: Sequence[Read]) -> _Batch:
    sessions = [read.row.id for read in reads if isinstance(read.row, SessionRow)]
    rows = [read.row for read in reads if isinstance(read.row, MessageRow)]
    people = [read for read in reads if isinstance(read.row, CarriedRow) and read.row.kind == CONTACT]
    return sessions, [Brought(row.id, row.session_id, digest(row.document)) for row in rows], people


@dataclass
class _Comparison:
    done: Verified
    tell: Callable[[int, int], Any]
    found: int = 0

    def add(self, sessions: Sequence[str], messages: Sequence[Brought]) -> None:
        done = self.done
        with deadline(STEP_SECONDS):
            here = imported_batches.stored([one.id for one in messages])
            miscounted = imported_batches.miscounted(sessions)
        for one in {one.id: one for one in messages}.values():
            done.messages += 1
            self._compare(one, here.get(one.id))
        done.sessions += len(set(sessions))
        for session_id, (said, _) in miscounted.items():
            done.differs(GONE if said is None else MISCOUNTED, session_id, session_id)
        self.tell(done.messages, done.run.tally.messages_imported)

    def add_people(self, reads: Sequence[Read]) -> None:
        """Count people, each of whom is here as a contact of their own or as one who has what they are known by."""
        with deadline(STEP_SECONDS):
            here = carried.known(reads) if reads else set()
        ids = {read.row.id for read in reads if isinstance(read.row, CarriedRow)}
        self.done.people += len(ids)
        for one in sorted(ids - here):
            self.done.differs(UNKNOWN, one, one)

    def _compare(self, one: Brought, here: Stored | None) -> None:
        if here is None:
            self.done.differs(MISSING, one.id, one.session_id)
            return
        is_ours = here.import_id == self.done.run.id
        self.found += is_ours
        # What was here before the import stayed as it was.
        if is_ours and here.digest != one.digest:
            self.done.differs(CHANGED, one.id, one.session_id)
        if is_ours and here.session_id != one.session_id:
            self.done.differs(MOVED, one.id, one.session_id)
