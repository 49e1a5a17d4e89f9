"""Messages: those of a session, one by its id, and the files that came with it."""

from flask import Response
from flask_openapi3.types import ResponseDict

from gateway import downloads
from gateway.api import problems, seen, shown
from gateway.api.auth import access, runtime
from gateway.api.blueprint import bp
from gateway.api.problems import Refused, no_such_page, not_found
from gateway.api.schemas import reply
from gateway.api.schemas.messages import FilePath, Message, MessagePage, MessagePath, OneSessionPath, TranscriptQuery
from gateway.api.sending import TAGS
from gateway.conversation import media
from gateway.core.fetching import MediaFailed, MediaNotThere, MediaRefused
from gateway.store import exporting, listing, messages, outbox, transcripts
from gateway.store.connection import deadline

_BYTES = {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}
_FILE: ResponseDict = {
    200: {"description": "The file.", **_BYTES},
    206: {"description": "The range of it that was asked for.", **_BYTES},
    304: {"description": "It has not changed."},
    **problems.documented(416, 502),
}


@bp.get("/sessions/<session_id>/messages", tags=TAGS, responses={200: MessagePage})
def list_messages(path: OneSessionPath, query: TranscriptQuery) -> Response:
    """List a session's messages, newest or oldest first; those of one moment stay on one page."""
    session_id = seen.session(path.session_id)["id"]
    try:
        beyond = shown.read_cursor(query.cursor)
    except ValueError as error:
        raise no_such_page(error) from None
    with deadline():
        walked = transcripts.walk(
            session_id,
            access().channels,
            limit=query.limit,
            oldest_first=not query.sort.startswith("-"),
            beyond=beyond,
            after=query.after,
        )
        return reply(shown.page(walked))


@bp.get("/messages/<message_id>", tags=TAGS, responses={200: Message})
def get_message(path: MessagePath) -> Response:
    """Show a message with its status history, its decision and how far it is on its way."""
    with deadline():
        found = messages.one(path.message_id, access().channels)
        if found is None:
            raise not_found("message", path.message_id)
        (row,) = exporting.as_shown([found], access().channels)
        if not transcripts.visible({row["session_id"]}, access().channels):
            row = row | {"session_id": None}
        waiting = outbox.states([path.message_id]) if row.get("direction") == "outbound" else {}
        return reply(shown.message(row, waiting.get(path.message_id)))


@bp.get("/messages/<message_id>/media/<number>", tags=TAGS, responses=_FILE)
def get_file(path: FilePath) -> Response:
    """Download a file that came with a message; ranges of it too."""
    with deadline():
        if not listing.has_message(path.message_id, access().channels):
            raise not_found("message", path.message_id)

    def missing() -> Response:
        raise Refused(404, "not_found", "There is no such file here. It was not kept, or is not fetched yet.")

    try:
        return downloads.send(lambda: media.read(runtime(), path.message_id, path.number), missing)
    except (MediaRefused, MediaNotThere) as error:
        raise Refused(404, "not_found", str(error)) from None
    except MediaFailed as error:
        raise Refused(502, "provider_failed", f"{error} Try again in a moment.") from None
