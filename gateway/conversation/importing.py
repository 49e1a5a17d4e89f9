"""Conversations brought in from a file: ordered here or over the API, done by a worker or in the foreground.

A file is read in batches, and after each it is noted how far that was and what came of it. So whoever is killed, or
loses MongoDB, is followed by somebody who goes on there; ids are the claim, so nothing is stored twice, and what was
counted was counted once. One process at a time is at work on an import.
"""

import secrets
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, BinaryIO

from gateway.conversation import adopting, daily, imported, origins, staged, whatif
from gateway.conversation.ahead import ahead
from gateway.conversation.layouts import BEGINNING, OWN, BadFile
from gateway.conversation.origins import Origin, as_stored
from gateway.conversation.runtime import Runtime
from gateway.core.errors import GatewayError, StoreRefused, StoreUnavailable
from gateway.core.imported import Read
from gateway.core.sessions import Scope
from gateway.logs import log
from gateway.store import audit, import_claims, imports, undoing, uploads
from gateway.store.connection import deadline
from gateway.store.import_claims import Step
from gateway.store.imports import Import
from gateway.store.uploads import TooLarge

# Renewed with every batch, which takes a minute at worst: whoever holds an import for longer than this is dead.
LEASE = timedelta(seconds=90)

# A batch is so many rows, or so many bytes: what is held in memory, and done again after a crash.
BATCH_ROWS, BATCH_BYTES = 4000, 2 << 20

# A worker rests after each batch as long as that took, so that webhooks have MongoDB to themselves half of the time.
REST = 1.0

# Whoever gets this far has the wrong file.
MOST_REJECTED = 100_000

UPLOAD_WITHIN = timedelta(hours=6)
NAME_LIMIT = 200


class Busy(GatewayError):
    """Another process is at work on this import."""


class _Lost(Exception):
    """The claim ran out, or the import was canceled."""


class _Stopped(Exception):
    """Whoever runs the process wants it to end; somebody goes on."""


@dataclass(frozen=True)
class Hands:
    """How an import is worked on. `wait` sleeps some seconds and says True to stop; `tell` hears how far it is.

    `read` hears how many records of another program's source were read before any of them is imported.
    """

    wait: Callable[[float], object] = lambda _seconds: False
    tell: Callable[[Import], object] = lambda _run: None
    read: Callable[[int], object] = lambda _records: None
    rest: float = 0


def order(runtime: Runtime, stream: BinaryIO, file_name: str, by: str, *, layout: str = "") -> Import:
    """Take in a file that a worker is to import; gives the import.

    BadFile where it is of no layout, TooLarge where it has too many bytes. It is stored piece by piece.
    """
    beginning, name = stream.read(BEGINNING), _printable(file_name)
    chosen = origins.recognise(layout, name, beginning)
    now = runtime.clock.now()
    with deadline():
        run_id = imports.add(now, state=imports.UPLOADING, layout=chosen, file_name=name, size=0, by=by)
    size = uploads.keep(run_id, _pieces(beginning, stream), runtime.settings.imports.max_bytes)
    with deadline():
        is_queued = imports.queue(run_id, size)
        audit.note(now, by, "import_ordered", import_id=run_id, layout=chosen, bytes=size)
        run = imports.get(run_id)
    if run is None or not is_queued:
        uploads.drop(run_id)
        raise BadFile("The import was canceled while its file was still on its way.")
    log.info("import_ordered", import_id=run_id, layout=chosen, bytes=size, by=by)
    return run


def _pieces(beginning: bytes, rest: BinaryIO) -> Iterator[bytes]:
    """Give what was read of a stream, and then the rest of it."""
    yield beginning
    while piece := rest.read(uploads.PIECE_BYTES):
        yield piece


def _printable(name: str) -> str:
    return "".join(sign for sign in name if sign.isprintable())[:NAME_LIMIT]


def cancel(runtime: Runtime, run_id: str, by: str) -> bool:
    """Stop an import; what it brought in stays. False where it is at its end."""
    now = runtime.clock.now()
    with deadline():
        if not imports.cancel(run_id, now):
            return False
        audit.note(now, by, "import_canceled", import_id=run_id)
        run = imports.get(run_id)
    uploads.drop(run_id)
    if run:
        _count_again(runtime, run, run)
    log.info("import_canceled", import_id=run_id, by=by)
    return True


def run_here(runtime: Runtime, origin: Origin, by: str, hands: Hands) -> Import:
    """Import what this host can read, or go on with it where a process before was stopped. Busy where one is at it."""
    now, owner = runtime.clock.now(), secrets.token_hex(8)
    with deadline():
        give_way_to_undo()
        if imports.unfinished_at(origin.place) is None:
            run_id = imports.add(
                now,
                state=imports.QUEUED,
                layout=origin.layout,
                file_name=_printable(origin.name),
                size=origin.size,
                by=by,
                place=origin.place,
                options=as_stored(origin.options),
                sources=origin.given,
                in_place=adopting.BEGUN if origin.in_place else None,
            )
            audit.note(now, by, "import_ordered", import_id=run_id, layout=origin.layout, bytes=origin.size)
        run = import_claims.claim(owner, now, now + LEASE, place=origin.place)
        if run:
            give_way_to_undo(run)
        first = imports.in_place_unfinished() if origin.in_place else run
        if run and first and first.id != run.id:
            import_claims.finish(run, imports.CANCELED, now, error=f"Import {first.id} does it.")
            run = None
    if run is None:
        named = f"{origin.name} is being imported by another process."
        raise Busy(f"{named} Should that be dead, try again in two minutes.")
    _sweep_stages(runtime)
    _do(runtime, run, origin, hands)
    with deadline():
        return imports.get(run.id) or run


def give_way_to_undo(run: Import | None = None) -> None:
    """Raise Busy where an import is being taken back; whoever claimed a run at that moment asks again, and loses it."""
    if undone := undoing.being_undone():
        if run:
            import_claims.release(run)
        goes_on = f"`gateway import undo {undone}` goes on with it if nobody does"
        raise Busy(f"Import {undone} is being taken back. Try again when that is done; {goes_on}.")


def _sweep_stages(runtime: Runtime) -> None:
    with deadline():
        held = imports.unfinished()
    origins.sweep(runtime, held)


def work_off(runtime: Runtime, wait: Callable[[float], object]) -> int:
    """Import what was uploaded, one file after the other, if nobody else does; gives how many files were worked on."""
    worked = 0
    _sweep(runtime)
    while not wait(0):
        now, owner = runtime.clock.now(), secrets.token_hex(8)
        with deadline():
            run = None if undoing.being_undone() else import_claims.claim(owner, now, now + LEASE)
            if run and undoing.being_undone():
                import_claims.release(run)
                run = None
        if run is None:
            break
        worked += 1
        origin = origins.of_upload(run)
        if origin is None:
            _finish(runtime, run, imports.FAILED, error="Its file is not here any more. Upload it again.")
            continue
        _do(runtime, run, origin, Hands(wait, rest=REST))
    return worked


def _sweep(runtime: Runtime) -> None:
    """Delete what uploads left that broke off, and files whose import is at its end."""
    now, here = runtime.clock.now(), uploads.every()
    with deadline():
        broken = imports.give_up_uploads(now - UPLOAD_WITHIN, now, "Its file never came to its end. Upload it again.")
        # Asked after the files: each of those that are on their way has an import by now.
        held = imports.unfinished()
    for run_id in {*broken, *here} - held:
        uploads.drop(run_id)
    origins.sweep(runtime, held)


def _do(runtime: Runtime, run: Import, origin: Origin, hands: Hands) -> None:
    """Go on with an import to its end, or until told to stop."""
    log.info("import_started", import_id=run.id, layout=run.layout, offset=run.position.offset)
    try:
        _read(runtime, run, origin, hands)
    except _Lost:
        log.info("import_left", import_id=run.id)
    except _Stopped:
        with deadline():
            import_claims.release(run)
    except StoreRefused as error:
        _fail(runtime, run, f"MongoDB cannot hold one of the rows that come next: {error}")
    except StoreUnavailable:
        raise  # the claim ends by itself, and somebody goes on
    except GatewayError as error:
        _fail(runtime, run, str(error))
    except Exception:
        log.exception("import_failed", import_id=run.id)
        _fail(runtime, run, "Something unforeseen happened in the rows that come next; it is in the log.")
    except BaseException:
        with deadline():
            import_claims.release(run)
        raise


def _fail(runtime: Runtime, run: Import, error: str) -> None:
    """End an import before its end; what it brought in stays."""
    with deadline():
        now = imports.get(run.id) or run
    _finish(runtime, replace(now, owner=run.owner), imports.FAILED, error=error)


def _read(runtime: Runtime, run: Import, origin: Origin, hands: Hands) -> None:
    offset = run.position.offset
    with closing(_rows(runtime, run, origin, hands)) as rows, closing(ahead(batches(rows, offset))) as read:
        for reads in read:
            run, seconds = _step(runtime, run, reads)
            hands.tell(run)
            if run.tally.rejected > MOST_REJECTED:
                raise BadFile(f"More than {MOST_REJECTED:,} rows were rejected. Is this the right file?")
            if hands.wait(seconds * hands.rest):
                raise _Stopped
    _finish(runtime, run, imports.DONE, is_complete=bool(run.is_complete))


def _rows(runtime: Runtime, run: Import, origin: Origin, hands: Hands) -> Generator[Read, None, None]:
    """Read what comes after the rows that were imported."""
    if origin.stream:
        with origin.stream() as stream:
            stream.seek(run.position.offset)
            yield from OWN.read(stream, run.position)
        return

    def tick(records: int) -> None:
        _hold(lambda run, _, lease: import_claims.renew(run, lease), runtime, run, None)
        hands.read(records)
        if hands.wait(0):
            raise _Stopped

    if origin.in_place:
        origin = adopting.kept_aside(runtime, run, origin, _noted(runtime, run), tick)
    path, is_alone = origins.stage_path(runtime, run.id), bool(hands.rest)
    with closing(origins.stage(runtime, origin, path, tick, is_alone=is_alone)) as stage:
        facts = stage.facts()
        if run.fingerprint not in ("", facts["fingerprint"]):
            raise BadFile("What is imported has changed since it was begun. Import it again: nothing comes in twice.")
        size = run.size or facts["rows"]
        known = {"fingerprint": facts["fingerprint"], "people": facts["people"], "size": size}
        _hold(import_claims.note_source, runtime, run, known)
        scope = Scope(runtime.settings.sessions.scope)
        yield from staged.reads(stage, run.position.rows, size, scope, origin.options.line)


def _noted(runtime: Runtime, run: Import) -> Callable[[Mapping[str, Any]], None]:
    """Give what notes how far an import in place is, which holds on to it too."""
    return lambda facts: _hold(import_claims.note_in_place, runtime, run, facts)


def batches(reads: Iterator[Read], offset: int) -> Iterator[list[Read]]:
    """Give rows as they are stored together, from a place in the source on."""
    batch: list[Read] = []
    for read in reads:
        batch.append(read)
        if len(batch) == BATCH_ROWS or read.position.offset - offset >= BATCH_BYTES:
            yield batch
            batch, offset = [], read.position.offset
    if batch:
        yield batch


def _step(runtime: Runtime, run: Import, reads: list[Read]) -> tuple[Import, float]:
    """Store a batch and note it; gives how the import stands, and how long that took."""
    known = run.intent
    if known.get("rows") != run.position.rows:
        known = imported.look(reads)
        _hold(import_claims.intend, runtime, run, {**known, "rows": run.position.rows})
    step = imported.put(runtime, run, reads, {name: known[name] for name in ("sessions", "messages")})
    try:
        _hold(import_claims.advance, runtime, run, step)
    except _Lost:
        _count_again(runtime, run, step)  # canceled after it was stored
        raise
    with deadline():
        whatif.pause_counting(runtime, run.id)
        now = imports.get(run.id)
    if now is None or now.owner != run.owner:
        raise _Lost
    return now, step.seconds


def _hold(note: Callable[..., bool], runtime: Runtime, run: Import, what: object) -> None:
    with deadline(imported.BATCH_SECONDS):
        if not note(run, what, runtime.clock.now() + LEASE):
            raise _Lost


def _finish(runtime: Runtime, run: Import, state: str, *, is_complete: bool | None = None, error: str = "") -> None:
    _count_again(runtime, run, run)
    now = runtime.clock.now()
    with deadline():
        if not import_claims.finish(run, state, now, is_complete=is_complete, error=error):
            return
        counted = _amounts(run)
        audit.note(now, run.by, "import_finished", import_id=run.id, state=state, **counted)
    log.info("import_finished", import_id=run.id, state=state, rows=run.position.rows, **counted)
    if not run.place:
        uploads.drop(run.id)
    origins.stage_path(runtime, run.id).unlink(missing_ok=True)


def _amounts(run: Import) -> dict[str, Any]:
    tally = run.tally
    return {
        "sessions": tally.sessions_created,
        "messages": tally.messages_imported,
        "duplicates": tally.messages_duplicate,
        "rejected": tally.rejected,
    }


def _count_again(runtime: Runtime, run: Import, stored: Import | Step) -> None:
    """Let the days and pauses be counted again that an import put something into."""
    if stored.days:
        daily.count_again(runtime, stored.days)
    with deadline(imported.BATCH_SECONDS):
        if stored.oldest_stored:
            whatif.count_again_from(stored.oldest_stored, run.id)


__all__ = ["BadFile", "Busy", "Hands", "TooLarge", "batches", "cancel", "order", "run_here", "work_off"]
