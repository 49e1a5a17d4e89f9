"""Sessions with all their messages as a file, written while it is read."""

from flask import Response
from flask_openapi3.types import ResponseDict

from gateway.api import filters
from gateway.api.auth import access, runtime
from gateway.api.blueprint import bp, tag
from gateway.api.problems import not_found
from gateway.api.schemas.filters import ExportQuery
from gateway.conversation import export
from gateway.conversation.export import Order
from gateway.store import listing
from gateway.store.connection import deadline
from gateway.store.exporting import Selected

TAGS = tag("Exports", "Sessions with all their messages as a file, with the filters of the list.")
READ_SECONDS = 5


def _described(file_format: str) -> ResponseDict:
    content = {export.TYPES[file_format]: {"schema": {"type": "string"}}}
    return {200: {"description": "The file; docs/console/export.md says what is in it", "content": content}}


@bp.get("/export.jsonl", tags=TAGS, responses=_described("jsonl"))
def export_jsonl(query: ExportQuery) -> Response:
    """Export sessions as JSON lines, which `POST /imports` takes back; a file without its last line is not whole."""
    return _file(query, "jsonl")


@bp.get("/export.csv", tags=TAGS, responses=_described("csv"))
def export_csv(query: ExportQuery) -> Response:
    """Export messages as CSV, a line each, for a spreadsheet."""
    return _file(query, "csv")


def _file(query: ExportQuery, file_format: str) -> Response:
    order = Order(_selected(query), file_format, access().name)
    filename = f"sessions-{runtime().clock.now():%Y%m%d-%H%M%S}.{file_format}"
    headers = {"Content-Disposition": f'attachment; filename="{filename}"'}
    content_type = f"{export.TYPES[file_format]}; charset=utf-8"
    return export.SEATS.send(
        lambda: Response(export.export(runtime(), order), content_type=content_type, headers=headers)
    )


def _selected(query: ExportQuery) -> Selected:
    channels = access().channels
    with deadline(READ_SECONDS):
        if not query.session:
            return Selected(channels, filters.wanted(query, channels)[0])
        if listing.one(query.session, channels) is None:
            raise not_found("session", query.session)
    return Selected(channels, session_id=query.session)
