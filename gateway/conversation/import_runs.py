"""An import that somebody claimed, gone on with to its end: read, stored batch by batch, and noted.

After each batch it is noted how far the file was read and what came of it. So whoever is killed, or loses MongoDB, is
followed by somebody who goes on there; ids are the claim, so nothing is stored twice, and what was counted was counted
once.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from gateway.conversation import adopting, daily, imported, origins, staged, whatif
from gateway.conversation.ahead import ahead
from gateway.conversation.layouts import OWN, BadFile
from gateway.conversation.origins import Origin
from gateway.conversation.runtime import Runtime
from gateway.core.errors import GatewayError, StoreRefused, StoreUnavailable
from gateway.core.imported import Read
from gateway.core.sessions import Scope
from gateway.logs import log
from gateway.store import audit, import_claims, imports, uploads
from gateway.store.connection import deadline
from gateway.store.import_claims import Step
from gateway.store.imports import Import

# Renewed with every batch, which takes a minute at worst: whoever holds an import for longer than this is dead.
LEASE = timedelta(seconds=90)

# A batch is so many rows, or so many bytes: what is held in memory, and done again after a crash.
BATCH_ROWS, BATCH_BYTES = 4000, 2 << 20

# A worker rests after each batch as long as that took, so that webhooks have MongoDB to themselves half of the time.
REST = 1.0

# Whoever gets this far has the wrong file.
MOST_REJECTED = 100_000


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


def go_on(runtime: Runtime, run: Import, origin: Origin, hands: Hands) -> None:
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
    finish(runtime, replace(now, owner=run.owner), imports.FAILED, error=error)


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
    finish(runtime, run, imports.DONE, is_complete=bool(run.is_complete))


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
        count_again(runtime, run, step)  # canceled after it was stored
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


def finish(runtime: Runtime, run: Import, state: str, *, is_complete: bool | None = None, error: str = "") -> None:
    count_again(runtime, run, run)
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


def count_again(runtime: Runtime, run: Import, stored: Import | Step) -> None:
    """Let the days and pauses be counted again that an import put something into."""
    if stored.days:
        daily.count_again(runtime, stored.days)
    with deadline(imported.BATCH_SECONDS):
        if stored.oldest_stored:
            whatif.count_again_from(stored.oldest_stored, run.id)
