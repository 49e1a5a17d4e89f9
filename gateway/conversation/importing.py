"""Conversations brought in from a file: ordered here or over the API, done by a worker or in the foreground.

One process at a time is at work on an import.
"""

import secrets
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import BinaryIO

from gateway.conversation import adopting, origins
from gateway.conversation.import_runs import LEASE, REST, Hands, count_again, finish, go_on
from gateway.conversation.layouts import BEGINNING, BadFile
from gateway.conversation.origins import Origin, as_stored
from gateway.conversation.runtime import Runtime
from gateway.core.errors import GatewayError
from gateway.logs import log
from gateway.store import audit, import_claims, imports, undoing, uploads
from gateway.store.connection import deadline
from gateway.store.imports import Import

UPLOAD_WITHIN = timedelta(hours=6)
NAME_LIMIT = 200


class Busy(GatewayError):
    """Another process is at work on this import."""


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
        count_again(runtime, run, run)
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
    go_on(runtime, run, origin, hands)
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
            finish(runtime, run, imports.FAILED, error="Its file is not here any more. Upload it again.")
            continue
        go_on(runtime, run, origin, Hands(wait, rest=REST))
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
