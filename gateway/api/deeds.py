"""What is done about a session: each deed of the console, for programs."""

import hashlib
from collections.abc import Callable

from flask import Response, request

from gateway.api import seen, sending, shown
from gateway.api.auth import access, key, runtime
from gateway.api.blueprint import bp, tag
from gateway.api.problems import conflict, not_found
from gateway.api.schemas import reply
from gateway.api.schemas.messages import IdempotencyHeader, Message, NoteBody, OneSessionPath
from gateway.api.schemas.sessions import AssignBody, Regrouping, RegroupingPath, SplitBody, WholeSession
from gateway.api.sessions import TAGS, told
from gateway.conversation import attention, operators, regroup
from gateway.conversation.attention import CannotAssign
from gateway.conversation.operators import CannotDo
from gateway.conversation.regroup import NotThere
from gateway.conversation.regrouping import CannotRegroup
from gateway.conversation.runtime import Runtime
from gateway.store import messages
from gateway.store import regroupings as stored
from gateway.store.connection import deadline

REGROUPED = tag("Splits and merges", "Where sessions begin, changed by hand and changed back.")


def _do(session_id: str, deed: Callable[[Runtime, str, str], object]) -> Response:
    """Do a deed on a session and show what it is then."""
    found = seen.session(session_id)["id"]
    try:
        deed(runtime(), found, access().name)
    except CannotDo as error:
        raise conflict(error) from None
    return told(found)


@bp.post("/sessions/<session_id>/close", tags=TAGS, responses={200: WholeSession})
def close_session(path: OneSessionPath) -> Response:
    """Close a session for good: what comes next begins a new one."""
    return _do(path.session_id, operators.close)


@bp.post("/sessions/<session_id>/reopen", tags=TAGS, responses={200: WholeSession})
def reopen_session(path: OneSessionPath) -> Response:
    """Open a session again; 409 while another one of its sender is open."""
    return _do(path.session_id, operators.reopen)


@bp.post("/sessions/<session_id>/take-over", tags=TAGS, responses={200: WholeSession})
def take_over_session(path: OneSessionPath) -> Response:
    """Let nothing be answered automatically any more, since a person answers."""
    return _do(path.session_id, operators.take_over)


@bp.post("/sessions/<session_id>/hand-back", tags=TAGS, responses={200: WholeSession})
def hand_back_session(path: OneSessionPath) -> Response:
    """Let the session's sender be answered automatically again."""
    return _do(path.session_id, operators.hand_back)


@bp.post("/sessions/<session_id>/assign", tags=TAGS, responses={200: WholeSession})
def assign_session(path: OneSessionPath, body: AssignBody) -> Response:
    """Leave a session to somebody of the console, or to nobody."""
    found = seen.session(path.session_id)["id"]
    try:
        with deadline():
            attention.assign(runtime(), found, body.to or "", by=access().name)
    except CannotAssign as error:
        raise conflict(error) from None
    return told(found)


@bp.post("/sessions/<session_id>/notes", tags=TAGS, responses={201: Message})
def add_note(path: OneSessionPath, header: IdempotencyHeader, body: NoteBody) -> Response:
    """Keep a private note beside a session's messages: never sent, and no activity."""
    session_id = seen.session(path.session_id)["id"]

    def add(message_id: str) -> dict[str, str]:
        operators.add_note(runtime(), session_id, body.text, access().name, message_id=f"note:{message_id}")
        return {"id": f"note:{message_id}"}

    try:
        added = sending.once(header, {"note": session_id, "text": body.text}, add)
    except CannotDo as error:
        raise conflict(error) from None
    with deadline():
        found = messages.one(added["id"], access().channels)
        if found is None:
            raise not_found("session", path.session_id)
        return reply(shown.messages([found])[0], 201)


@bp.post("/sessions/<session_id>/split", tags=REGROUPED, responses={200: Regrouping})
def split_session(path: OneSessionPath, header: IdempotencyHeader, body: SplitBody) -> Response:
    """Let a new session begin at an inbound message: that and what follows moves there."""
    session_id = seen.session(path.session_id)["id"]
    return _regrouped(lambda **who: regroup.split(runtime(), session_id, body.message_id, token=token(header), **who))


@bp.post("/sessions/<session_id>/merge", tags=REGROUPED, responses={200: Regrouping})
def merge_session(path: OneSessionPath, header: IdempotencyHeader) -> Response:
    """Let a session go on in the one before it, which takes all its messages and keeps its id."""
    session_id = seen.session(path.session_id)["id"]
    return _regrouped(lambda **who: regroup.merge(runtime(), session_id, token=token(header), **who))


@bp.post("/regroupings/<regrouping_id>/undo", tags=REGROUPED, responses={200: Regrouping})
def undo_regrouping(path: RegroupingPath) -> Response:
    """Take a split or merge back."""
    return _regrouped(lambda **who: regroup.undo(runtime(), path.regrouping_id, **who))


def token(header: IdempotencyHeader) -> str:
    """Give what tells a request that was sent twice from two, also to two sessions; empty where nothing does."""
    asked = header.idempotency_key
    return hashlib.sha256(f"{key().id}\0{request.path}\0{asked}".encode()).hexdigest()[:32] if asked else ""


def _regrouped(do: Callable[..., stored.Regrouping]) -> Response:
    try:
        done = do(by=access().name, channels=access().channels)
    except NotThere as error:
        raise conflict(error, "not_found", 404) from None
    except CannotRegroup as error:
        raise conflict(error) from None
    return reply(
        Regrouping(
            id=done.id,
            kind=done.kind,
            state=done.state,
            earlier_session_id=done.earlier,
            later_session_id=done.later,
            message_id=done.message_id or None,
            by=done.by,
            at=done.at,
            undone_by=done.undone_by or None,
            undone_at=done.undone_at,
        )
    )
