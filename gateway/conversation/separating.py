"""What consolidations made one comes apart again: all of a run, or what they made of what an import brought.

Every merge is undone as a person would, the last first, and what was taken out goes back to where it was. Then nothing
is left of them: the database is as if they had never been.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.conversation import consolidated, merging, regroup
from gateway.conversation.emptying import GRACE
from gateway.conversation.merging import CannotMerge, NoContact
from gateway.conversation.regroup import NotThere
from gateway.conversation.regrouping import BUSY, CannotRegroup
from gateway.conversation.runtime import Runtime
from gateway.store import consolidations, merges, regroupings, repeated
from gateway.store.connection import deadline
from gateway.store.consolidations import PEOPLE, SESSIONS, Note
from gateway.store.imports import Import

STEP_SECONDS = 60

# Refusals that end by themselves: whoever comes again can do it.
_PASSING = (BUSY, merging.BUSY, regroup.ON_A_CALL, merging.ON_A_CALL)


@dataclass
class Apart:
    """What came of it: what is apart again, what stays one for good, and why some of it cannot come apart now."""

    apart: list[Note] = field(default_factory=list)
    kept: list[Note] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)


def made_by(run: Import) -> list[Note]:
    """Give what a run made one, in the order it is to come apart."""
    with deadline(STEP_SECONDS):
        notes = [note for kind in (SESSIONS, PEOPLE) for page in consolidations.of(run.id, kind) for note in page]
        return consolidations.in_order(notes)


def made_of(import_id: str) -> list[Note]:
    """Give what consolidations made of what an import brought, and later ones of that, in the order it is undone.

    A group that has something of the import comes apart as a whole: before the import, there was none.
    """
    touched, into, found = set[str](), set[str](), list[Note]()
    for run in consolidations.runs():
        notes = made_by(run)
        into |= {one.into for one in notes if import_id in one.imports or {one.id, one.into} & touched}
        mine = [one for one in notes if one.into in into]
        touched |= {which for one in mine for which in (one.id, one.into)}
        found = [*mine, *found]
    return _sorted(found)


def built_on(run: Import) -> str:
    """Give the id of a later consolidation that built on this one; empty where none did."""
    mine = {which for note in made_by(run) for which in (note.id, note.into)}
    for later in reversed(consolidations.runs()):
        if later.id > run.id and any({one.id, one.into} & mine for one in made_by(later)):
            return later.id
    return ""


def _sorted(notes: Sequence[Note]) -> list[Note]:
    with deadline(STEP_SECONDS):
        return consolidations.in_order(notes)


def take_apart(
    runtime: Runtime,
    notes: Sequence[Note],
    by: str,
    *,
    wait: Callable[[float], object],
    hold: Callable[[], object],
    tell: Callable[[int, int], object],
) -> Apart:
    """Undo merges in this order; may be repeated. `hold` is called now and then, `tell` hears how many are undone."""
    done = Apart()
    for number, note in enumerate(notes, 1):
        with deadline(STEP_SECONDS):
            _undo(runtime, note, by, done)
        hold()
        tell(number, len(notes))
    if done.apart:
        # Who saw them as one a moment ago may still be writing.
        wait(GRACE.total_seconds())
        _forget(runtime, done.apart, hold)
    return done


def _undo(runtime: Runtime, note: Note, by: str, done: Apart) -> None:
    try:
        is_apart = _part(runtime, note, by) if note.kind == PEOPLE else _split(runtime, note, by)
    except (CannotMerge, CannotRegroup) as refusal:
        if str(refusal) in _PASSING:
            done.waiting.append(f"{note.id} is still a part of {note.into}: {refusal}")
        else:
            done.kept.append(note)
        return
    (done.apart if is_apart else done.kept).append(note)


def _split(runtime: Runtime, note: Note, by: str) -> bool:
    if regroupings.get(note.mark) is None:
        return True
    try:
        regroup.undo(runtime, note.mark, by=by)
    except NotThere:
        return True
    # Where a person undid it before.
    repeated.put_back(note.mark, note.into, runtime.clock.now())
    return True


def _part(runtime: Runtime, note: Note, by: str) -> bool:
    merge, now = merges.get(note.mark), merges.of_contact(note.id)
    if merge is None or merge.is_undone:
        return True
    if now is None or now.id != note.mark:
        return False
    try:
        merging.unmerge(runtime, note.id, by=by)
    except NoContact:
        return True
    return True


def _forget(runtime: Runtime, notes: Sequence[Note], hold: Callable[[], object]) -> None:
    with deadline(STEP_SECONDS):
        if any(note.kind == PEOPLE for note in notes):
            merging.settle(runtime)
    for note in notes:
        if note.kind == SESSIONS:
            consolidated.settle(runtime, note.mark)
            hold()
    for start in range(0, len(notes), 200):
        some = notes[start : start + 200]
        with deadline(STEP_SECONDS):
            consolidations.forget_merges([note.mark for note in some])
            consolidations.tidy(some)
            consolidations.restore_times(some)
            # The notes go last: until then whoever does it again finds all of it.
            consolidations.drop(some)
        hold()
