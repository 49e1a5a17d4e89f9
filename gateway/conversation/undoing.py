"""An import taken back: what it brought is deleted, and what it changed of what was here is as it was.

Every step may be repeated, so whoever is killed is followed by whoever does it again. What somebody said since in a
session that the import brought is never deleted: such a session stays, as a whole, with its person and channel. What
consolidations made of what the import brought comes apart first; a consolidation is taken back by that alone.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.conversation import adopting, daily, emptying, separating, whatif
from gateway.conversation.import_runs import LEASE
from gateway.conversation.layouts import OWN
from gateway.conversation.runtime import Runtime
from gateway.core.errors import GatewayError
from gateway.logs import log
from gateway.store import (
    audit,
    consolidations,
    contacts,
    import_changes,
    import_claims,
    importing,
    imports,
    retention,
    undoing,
)
from gateway.store.connection import deadline
from gateway.store.imports import CANCELED, DONE, FAILED, Import

STEP_SECONDS = emptying.STEP_SECONDS


class CannotUndo(GatewayError):
    """An import that cannot be taken back now; says why, and what would do."""


@dataclass(frozen=True)
class Hands:
    """How it is worked on. `wait` sleeps some seconds; `tell` hears how many sessions are gone, of how many."""

    wait: Callable[[float], object] = time.sleep
    tell: Callable[[int, int], object] = lambda _gone, _of: None


@dataclass
class _Work:
    runtime: Runtime
    run: Import
    hands: Hands
    hold: Callable[[], None]
    kept: set[Any] = field(default_factory=set)
    apart: int = 0
    gone: int = 0

    def through(self, pages: Iterator[list[Any]], do: Callable[[list[Any]], object]) -> None:
        """Do something with each page, in bounded time."""
        while True:
            with deadline(STEP_SECONDS):
                page = next(pages, None)
                if page is None:
                    return
                do(page)
            self.hold()


def undo(runtime: Runtime, import_id: str, by: str, hands: Hands) -> Import:
    """Take an import back; gives it, with what became of it. One that was taken back already stays as it is.

    CannotUndo where it is not at its end, Busy while another process deletes conversations. It may be ended in the
    middle, and is gone on with when it is done again.
    """
    run = _ready(runtime, import_id)
    if run.undone_at:
        return run
    with emptying.held(runtime) as hold:
        now = runtime.clock.now()
        _keep_imports_out(run, now)
        # A million messages are counted in a second, and more on a busy machine.
        with deadline(STEP_SECONDS):
            if undoing.begin(run.id, now, _amounts(run)):
                audit.note(now, by, "import_undo_ordered", import_id=run.id)
        log.info("import_undo_started", import_id=run.id, by=by)
        work = _Work(runtime, run, hands, hold)
        _take_apart(work, by)
        if run.layout != consolidations.LAYOUT:
            _take_back(work)
        _end(work, by)
    with deadline():
        return imports.get(run.id) or run


def _ready(runtime: Runtime, import_id: str) -> Import:
    with deadline():
        run = imports.get(import_id)
    if run is None:
        raise CannotUndo(f"There is no import {import_id}. `gateway import list` shows which there are.")
    if run.state not in (DONE, FAILED, CANCELED):
        raise CannotUndo("The import is not at its end. Let it finish, or cancel it first.")
    if run.state == CANCELED and run.finished_at and runtime.clock.now() < run.finished_at + LEASE:
        raise CannotUndo("The import was canceled just now, and may still be storing something. Wait two minutes.")
    if run.in_place and not run.undone_at and not adopting.can_be_put_back(run):
        raise CannotUndo("Its backup is not whole any more, so there is nothing to put back. What it brought stays.")
    if not run.undoing_since:
        _refuse_while_consolidating(run)
    if run.layout == consolidations.LAYOUT and (later := separating.built_on(run)):
        raise CannotUndo(
            f"A later consolidation built on this one. Take that back first: `gateway import undo {later}`."
        )
    return run


def _refuse_while_consolidating(run: Import) -> None:
    """Refuse to begin in the middle of one. One that came after this was begun gave way to it."""
    with deadline():
        if imports.unfinished_at(consolidations.PLACE):
            undoing.let_go(run.id)
            raise CannotUndo("A consolidation is not at its end. Let `gateway import consolidate` finish first.")


def _keep_imports_out(run: Import, now: datetime) -> None:
    """Let nobody begin to import until this is done; CannotUndo where somebody is at it."""
    with deadline():
        undoing.hold(run.id, now)
        if other := import_claims.under_way(now):
            undoing.let_go(run.id)
            raise CannotUndo(f"Import {other} is under way. Let it finish, or cancel it first.")


def _amounts(run: Import) -> dict[str, int]:
    return consolidations.amounts(run.id) if run.layout == consolidations.LAYOUT else undoing.amounts(run.id)


def _take_apart(work: _Work, by: str) -> None:
    """Let come apart what consolidations made one."""
    run, hands = work.run, work.hands
    is_own = run.layout == consolidations.LAYOUT
    notes = separating.made_by(run) if is_own else separating.made_of(run.id)
    done = separating.take_apart(
        work.runtime, notes, by, wait=hands.wait, hold=work.hold, tell=hands.tell if is_own else lambda _done, _of: None
    )
    if done.waiting:
        named = f"{done.waiting[0]} {len(done.waiting):,} in all." if len(done.waiting) > 1 else done.waiting[0]
        raise CannotUndo(f"{named} Then take it back again: it goes on.")
    work.apart = len(done.apart)
    if is_own:
        work.kept |= {note.id for note in done.kept}


def _take_back(work: _Work) -> None:
    """Delete what an import brought, and put back what it changed."""
    run = work.run
    if run.in_place:
        adopting.keep_what_came_since(run, work.hold)
    _sessions(work)
    _changed(work)
    _people(work)
    if run.in_place:
        adopting.put_back(run, work.hold)
        work.runtime.channels.forget()


def _sessions(work: _Work) -> None:
    """Hide all sessions, wait until nobody writes into them, and delete those that are the import's alone."""
    now = work.runtime.clock.now

    def hide(page: list[Any]) -> None:
        used = undoing.in_use(page, work.run.id)
        work.kept |= used
        undoing.hide([one for one in page if one not in used], now())

    work.through(undoing.sessions_of(work.run.id), hide)
    while _is_any_hidden(work):
        work.hands.wait(emptying.GRACE.total_seconds())
        _empty(work)
        work.hands.wait(emptying.GRACE.total_seconds())
        with deadline(STEP_SECONDS):
            # What got something even now is looked at again.
            retention.drop(now() - emptying.GRACE)


def _is_any_hidden(work: _Work) -> bool:
    with deadline(STEP_SECONDS):
        return undoing.is_any_hidden(work.run.id)


def _empty(work: _Work) -> None:
    """Delete what was hidden long enough; what got something after all is given back."""
    since = None
    while True:
        with deadline(STEP_SECONDS):
            batch = undoing.hidden(work.run.id, since, work.runtime.clock.now() - emptying.GRACE)
            used = undoing.in_use([one["_id"] for one in batch], work.run.id)
            for session in batch:
                if session["_id"] in used:
                    undoing.give_back(session)
        if not batch:
            return
        since = batch[-1]["retired"]["at"]
        work.kept |= used
        _delete(work, [one for one in batch if one["_id"] not in used])
        work.hold()


def _delete(work: _Work, batch: Sequence[dict[str, Any]]) -> None:
    with deadline(STEP_SECONDS):
        undoing.forget_alerts(batch)
        undoing.forget_regroupings([one["_id"] for one in batch])
    emptying.empty(batch, work.runtime.clock.now())
    work.gone += len(batch)
    work.hands.tell(work.gone, work.run.tally.sessions_created)


def _changed(work: _Work) -> None:
    """Take the import's messages out of sessions that were here, and put back what it changed of them and people."""

    def counts(page: list[Any]) -> None:
        undoing.delete_messages([one["ref"] for one in page], work.run.id)
        import_changes.restore_counts(page)
        import_changes.done(page)

    def people(page: list[Any]) -> None:
        for one in page:
            import_changes.restore_contact(one)
        import_changes.done(page)

    def crm(page: list[Any]) -> None:
        for one in page:
            import_changes.restore_crm(one)
        import_changes.done(page)

    def opted_out(page: list[Any]) -> None:
        contact_of = importing.contacts_of([str(one["ref"]) for one in page])
        for one in page:
            contact_id = contact_of.get(str(one["ref"]))
            import_changes.restore_opted_out(one, contacts.opted_out(contact_id) if contact_id else ())
        import_changes.done(page)

    for kind, restore in (
        (import_changes.COUNTS, counts),
        (import_changes.CONTACT, people),
        (import_changes.CRM, crm),
        (import_changes.OPTED_OUT, opted_out),
    ):
        work.through(import_changes.of(work.run.id, kind), restore)


def _people(work: _Work) -> None:
    """Delete people, files and channels that the import brought, unless something that stays is of them."""
    run_id, ended = work.run.id, work.run.finished_at or work.run.created_at
    work.through(undoing.contacts_of(run_id), lambda page: undoing.delete_contacts(page, run_id, ended))
    with deadline(STEP_SECONDS):
        if work.run.layout == OWN.name:
            undoing.delete_files(run_id)
        undoing.delete_rest(run_id)
    work.runtime.channels.forget()


def _end(work: _Work, by: str) -> None:
    now, run = work.runtime.clock.now(), work.run
    daily.count_again(work.runtime, run.days)
    with deadline(STEP_SECONDS):
        if run.oldest_stored:
            whatif.count_again_from(run.oldest_stored, run.id)
        facts: dict[str, Any] = {"import_id": run.id, "sessions_kept": len(work.kept), "taken_apart": work.apart}
        if undoing.end(run.id, now, _amounts(run), kept=len(work.kept), apart=work.apart):
            audit.note(now, by, "import_undone", **facts)
    log.info("import_undone", by=by, **facts)
