"""Conversations brought in from a file: taken in here, imported by a worker, looked after here."""

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, cast

import orjson
from flask import Response, request

from gateway.api.auth import access, needs, runtime
from gateway.api.blueprint import bp, tag
from gateway.api.problems import Refused, conflict, not_found
from gateway.api.schemas import reply
from gateway.api.schemas.imports import (
    Import,
    ImportedMessages,
    ImportedOthers,
    ImportedSessions,
    ImportForm,
    ImportPath,
    Imports,
    ImportsQuery,
    InPlace,
)
from gateway.conversation import export, importing
from gateway.conversation.layouts import BadFile
from gateway.core.errors import StoreUnavailable
from gateway.logs import log
from gateway.store import imports, rejections
from gateway.store.connection import deadline
from gateway.store.imports import Import as Stored
from gateway.store.uploads import TooLarge

TAGS = tag("Imports", "Conversations from a file. For keys of all channels, since a file may hold any.")

# What a multipart body has beside the file.
_AROUND = 10_000


@bp.before_request
def _take_large_files() -> None:
    if request.endpoint == f"{bp.name}.{create_import.__name__}":
        request.max_content_length = runtime().settings.imports.max_bytes + _AROUND
        if (request.content_length or 0) > request.max_content_length:
            raise _too_large()


def _too_large() -> Refused:
    most = runtime().settings.imports.max_bytes
    detail = f"The file has more than {most:,} bytes (imports.max_bytes). Use `gateway import`, which has no limit."
    return Refused(413, "too_large", detail)


@bp.post("/imports", tags=TAGS, responses={202: Import})
@needs("admin", every_channel=True)
def create_import(form: ImportForm) -> Response:
    """Take in a file; a worker imports it. What is here already stays as it is, so it may be repeated."""
    stream = cast(BinaryIO, form.file.stream)
    try:
        run = importing.order(runtime(), stream, form.file.filename or "", access().name, layout=form.layout)
    except BadFile as error:
        raise conflict(error, "bad_file") from None
    except TooLarge:
        raise _too_large() from None
    return reply(_shown(run), 202, {"Location": f"{request.script_root}{request.path}/{run.id}"})


@bp.get("/imports", tags=TAGS, responses={200: Imports})
@needs("admin", every_channel=True)
def list_imports(query: ImportsQuery) -> Response:
    """List imports, newest first."""
    with deadline():
        page = imports.page(cursor=query.cursor, limit=query.limit)
    return reply(Imports(items=[_shown(run) for run in page.imports], next_cursor=page.next_cursor))


@bp.get("/imports/<import_id>", tags=TAGS, responses={200: Import})
@needs("admin", every_channel=True)
def get_import(path: ImportPath) -> Response:
    """Show how far an import is, and what came of it."""
    return reply(_shown(_found(path.import_id)))


@bp.delete("/imports/<import_id>", tags=TAGS, responses={200: Import})
@needs("admin", every_channel=True)
def cancel_import(path: ImportPath) -> Response:
    """Stop an import; what it brought in stays."""
    run = _found(path.import_id)
    if not importing.cancel(runtime(), run.id, access().name):
        raise Refused(409, "finished", f"This import is at its end: it is {run.state}.")
    return reply(_shown(_found(run.id)))


_REJECTED = {"description": "A line for each row", "content": {"application/jsonl": {"schema": {"type": "string"}}}}


@bp.get("/imports/<import_id>/rejected", tags=TAGS, responses={200: _REJECTED})
@needs("admin", every_channel=True)
def get_rejected_rows(path: ImportPath) -> Response:
    """Give the rows that were not taken as JSON lines: which, why, and what they are; for thirty days."""
    run = _found(path.import_id)
    headers = {"Content-Disposition": f'attachment; filename="rejected-{run.id}.jsonl"'}
    content_type = "application/jsonl; charset=utf-8"
    return export.SEATS.send(lambda: Response(_lines(run.id), content_type=content_type, headers=headers))


def _lines(import_id: str) -> Iterator[bytes]:
    try:
        for one in rejections.of(import_id):
            yield orjson.dumps(one.as_json()) + b"\n"
    except StoreUnavailable as error:
        log.error("store_unavailable", message=str(error)[:300])
        yield orjson.dumps({"incomplete": "MongoDB did not answer: ask again."}) + b"\n"


def _found(import_id: str) -> Stored:
    with deadline():
        run = imports.get(import_id)
    if run is None:
        raise not_found("import", import_id)
    return run


def _shown(run: Stored) -> Import:
    tally = run.tally
    return Import(
        id=run.id,
        state=run.state,
        layout=run.layout,
        file_name=run.file_name,
        by=run.by,
        created_at=run.created_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
        bytes=run.size,
        bytes_read=run.position.offset,
        rows_read=run.position.rows,
        sessions=ImportedSessions(
            created=tally.sessions_created, existing=tally.sessions_existing, closed=tally.sessions_closed
        ),
        messages=ImportedMessages(imported=tally.messages_imported, duplicate=tally.messages_duplicate),
        channels=ImportedOthers(created=tally.channels_created, existing=tally.channels_existing),
        contacts=ImportedOthers(created=tally.contacts_created, existing=tally.contacts_existing),
        files=ImportedOthers(created=tally.files_imported, existing=tally.files_existing),
        people=run.people,
        rejected=tally.rejected,
        rows_per_second=run.rows_per_second,
        seconds_left=run.seconds_left,
        complete=run.is_complete,
        problems=tally.problems,
        error=run.error or None,
        in_place=_in_place(run.in_place) if run.in_place else None,
    )


def _in_place(known: Mapping[str, Any]) -> InPlace:
    amounts = {name: known.get(name) or 0 for name in ("late", "left")}
    return InPlace(step=known["step"], backup=known.get("backup") or {}, **amounts)
