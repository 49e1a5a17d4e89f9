"""Sessions: listed, read, changed, deleted and given back."""

from flask import Response

from gateway.api import filters, seen, shown
from gateway.api.auth import access, runtime
from gateway.api.blueprint import bp, tag
from gateway.api.problems import Refused, conflict, no_such_page, not_found
from gateway.api.schemas import reply
from gateway.api.schemas.messages import OneSessionPath
from gateway.api.schemas.sessions import (
    RolledOver,
    RolloverBody,
    SessionBody,
    SessionListQuery,
    SessionPage,
    SessionQuery,
    WholeSession,
)
from gateway.conversation import deleting, operators, outreach
from gateway.conversation.operators import CannotDo
from gateway.conversation.regroup import NotThere
from gateway.core.jsonlike import unstorable
from gateway.store import channels as lines
from gateway.store import listing, transcripts
from gateway.store.connection import deadline
from gateway.store.isolation import Channels

TAGS = tag("Sessions", "Conversations: which message belongs to which is decided by the session finder.")

# MongoDB reads what nobody asked for lately from its disk.
READ_SECONDS = 5


@bp.get("/sessions", tags=TAGS, responses={200: SessionPage})
def list_sessions(query: SessionListQuery) -> Response:
    """List sessions by their last message."""
    with deadline(READ_SECONDS):
        channels = _among(query)
        wanted, more = filters.wanted(query, channels)
        try:
            page = listing.page(
                wanted,
                cursor=query.cursor,
                limit=query.limit,
                channels=channels,
                fields=listing.TOLD,
                oldest_first=not query.sort.startswith("-"),
            )
        except ValueError as error:
            raise no_such_page(error) from None
        return reply(SessionPage(items=shown.sessions(page.sessions), next_cursor=page.next_cursor, more_matches=more))


def _among(query: SessionListQuery) -> Channels:
    """Leave of the channels those of the type that is asked for: no index says that the others have none of it."""
    if not query.type or (access().channels is None and not query.channel):
        return access().channels
    ours = [line for line in lines.by_id().values() if access().sees(line.id)]
    return [line.id for line in ours if line.communication_type == query.type]


@bp.get("/sessions/<session_id>", tags=TAGS, responses={200: WholeSession})
def get_session(path: OneSessionPath, query: SessionQuery) -> Response:
    """Show a session, with its newest messages where they are asked for."""
    found = seen.session(path.session_id)
    with deadline():
        said = None
        if query.messages:
            said = shown.page(transcripts.walk(found["id"], access().channels, limit=query.messages))
        return reply(shown.session(found, said))


def told(session_id: str) -> Response:
    """Show a session as it is now."""
    found = seen.session(session_id)
    with deadline():
        return reply(shown.session(found))


@bp.patch("/sessions/<session_id>", tags=TAGS, responses={200: WholeSession})
def change_session(path: OneSessionPath, body: SessionBody) -> Response:
    """Change a session's title, status, tags or context."""
    session_id, by = seen.session(path.session_id)["id"], access().name
    if why := unstorable(body.context):
        raise Refused(409, "not_storable", f"body.context: {why}", field="body.context")
    try:
        if body.status:
            _set_status(session_id, body.status, by)
        if body.context is not None:
            operators.set_context(runtime(), session_id, body.context, by)
        if body.tags is not None:
            operators.set_tags(runtime(), session_id, body.tags, by)
        if body.title is not None:
            operators.retitle(runtime(), session_id, body.title, by)
    except CannotDo as error:
        raise conflict(error) from None
    return told(session_id)


def _set_status(session_id: str, status: str, by: str) -> None:
    if status == "active":
        operators.reopen(runtime(), session_id, by)
    elif status == "archived":
        operators.archive(runtime(), session_id, by)
    elif not operators.unarchive(runtime(), session_id, by):
        operators.close(runtime(), session_id, by)


@bp.delete("/sessions/<session_id>", tags=TAGS, responses={204: None})
def delete_session(path: OneSessionPath) -> Response:
    """Delete a session: hidden everywhere at once, and removed after retention.deleted_days."""
    session_id = seen.session(path.session_id)["id"]
    try:
        deleting.delete(runtime(), session_id, access().name)
    except CannotDo as error:
        raise conflict(error) from None
    return Response(status=204)


@bp.post("/sessions/<session_id>/restore", tags=TAGS, responses={200: WholeSession})
def restore_session(path: OneSessionPath) -> Response:
    """Give a deleted session back, closed."""
    try:
        deleting.restore(runtime(), path.session_id, access().name, channels=access().channels)
    except NotThere:
        raise not_found("deleted session", path.session_id) from None
    return told(path.session_id)


@bp.post("/rollovers", tags=TAGS, responses={200: RolledOver})
def roll_over(body: RolloverBody) -> Response:
    """Force a rollover: whatever a number says next on a channel begins a new session."""
    channel_id = seen.channel(body.channel_id)
    try:
        closed = outreach.roll_over(runtime(), channel_id, body.number, access().name, among=access().channels)
    except CannotDo as error:
        raise conflict(error) from None
    return reply(RolledOver(closed=closed))
