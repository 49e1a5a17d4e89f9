"""Messages that programs send: in a session, to a number, or as the beginning of a session."""

from collections.abc import Callable, Mapping
from typing import Any

from flask import Response

from gateway.api import seen, shown
from gateway.api.auth import access, key, runtime
from gateway.api.blueprint import bp, tag
from gateway.api.problems import Refused, conflict
from gateway.api.schemas import reply
from gateway.api.schemas.messages import (
    IdempotencyHeader,
    OneSessionPath,
    SendBody,
    SendToBody,
    Sent,
    SentMessage,
)
from gateway.conversation import idempotency, operators, outlook, outreach
from gateway.conversation.idempotency import KeyReused
from gateway.conversation.send import Draft, Queued
from gateway.conversation.ways import CannotSend
from gateway.core.jsonlike import unstorable
from gateway.store import messages, outbox, transcripts
from gateway.store.connection import deadline

TAGS = tag("Messages", "What is said in sessions, and what is sent.")
NOT_YOURS = "Their messages come on a channel that this key does not see, so it cannot write to them."


@bp.post("/sessions/<session_id>/messages", tags=TAGS, responses={202: Sent})
def send_message(path: OneSessionPath, header: IdempotencyHeader, body: SendBody) -> Response:
    """Write to the person of a session: a text, files, or a template."""
    session_id = seen.session(path.session_id)["id"]
    if access().channels is not None:
        way = outlook.outlook(runtime(), session_id)
        if not way.refusal and not access().sees(way.channel_id):
            raise Refused(409, "cannot_send", NOT_YOURS)
    return _sent(
        header,
        {"session": session_id} | body.model_dump(),
        lambda message_id: operators.reply(runtime(), session_id, _draft(body), message_id=message_id),
    )


@bp.post("/messages", tags=TAGS, responses={202: Sent})
def send_to_number(header: IdempotencyHeader, body: SendToBody) -> Response:
    """Write to a number from a channel: in their open session, else in a new one."""
    return _write(header, body, anew=False)


@bp.post("/sessions", tags=TAGS, responses={202: Sent})
def begin_session(header: IdempotencyHeader, body: SendToBody) -> Response:
    """Begin a session with a first message; what they had open is closed."""
    return _write(header, body, anew=True)


def _write(header: IdempotencyHeader, body: SendToBody, *, anew: bool) -> Response:
    channel_id = seen.channel(body.channel_id)
    return _sent(
        header,
        {"anew": anew} | body.model_dump(),
        lambda message_id: outreach.write(
            runtime(), channel_id, body.to, _draft(body), message_id=message_id, anew=anew
        ),
    )


def _draft(body: SendBody) -> Draft:
    template = body.template
    if why := unstorable(template.variables if template else {}):
        raise Refused(409, "not_storable", f"body.template.variables: {why}", field="body.template.variables")
    return Draft(
        body.text,
        author=access().name,
        media=body.media,
        content_sid=template.content_sid if template else None,
        content_variables=template.variables if template else {},
    )


def _sent(header: IdempotencyHeader, request: Mapping[str, Any], send: Callable[[str], Queued]) -> Response:
    """Send, once under its key, and tell what is on its way."""
    try:
        return reply(Sent.model_validate(once(header, request, lambda message_id: _told(send(message_id)))), 202)
    except CannotSend as error:
        raise conflict(error, "cannot_send") from None


def once(header: IdempotencyHeader, request: Mapping[str, Any], do: Callable[[str], Any]) -> Any:
    """Do a request under the id of its message, once for its key; Refused where the key stands for another one."""
    try:
        return idempotency.once(runtime(), key().id, header.idempotency_key, request, do)
    except KeyReused as error:
        raise Refused(422, "idempotency_key_reused", str(error), field="header.Idempotency-Key") from None


def _told(queued: Queued) -> dict[str, Any]:
    """Tell of messages on their way, and where: not where that is no session for the key to see."""
    with deadline():
        rows = outbox.states(queued.message_ids)
        statuses = messages.statuses(queued.message_ids)
        seen_in = transcripts.visible({queued.session_id}, access().channels)
    sent = [
        SentMessage(id=one, status=statuses.get(one), outbox=shown.waiting(rows.get(one))) for one in queued.message_ids
    ]
    return Sent(session_id=next(iter(seen_in), None), messages=sent).model_dump(mode="json")
