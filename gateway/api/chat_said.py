"""What a user says at /api/chat, and how long its answer is waited for."""

from flask import Response

from gateway.api import chat_auth, chat_rows
from gateway.api.auth import runtime
from gateway.api.problems import Refused, not_found
from gateway.api.schemas import reply
from gateway.api.schemas.chat import Answered, SayBody, Unanswered
from gateway.channels.chat import ChatMessage, ChatUser
from gateway.conversation import chat, chat_waiting
from gateway.conversation.chat import NotTheirs, Taken
from gateway.core.errors import SpoolUnavailable, StoreUnavailable
from gateway.store import chats
from gateway.store.answers import QUEUED
from gateway.store.chats import Row, Whose
from gateway.store.connection import deadline


def found(session_id: str, mine: Whose) -> Row:
    """Give a session of somebody's; 404 where it is not theirs."""
    with deadline():
        row = chats.get(session_id, mine)
    if row is None:
        raise not_found("session", session_id)
    return row


def say(body: SayBody, session_id: str, wait: float | None) -> Response:
    """Take what a user says, and answer with the answer where it comes in time."""
    user, mine = chat_auth.user(body, session_id=session_id)
    said = ChatMessage(body.content, body.id or "", body.metadata)
    try:
        bearer = chat_auth.asker().bearer
        taken = chat.say(runtime(), user, said, mine, named=session_id, at=bearer.at if bearer else None)
    except NotTheirs:
        raise not_found("session", session_id) from None
    except SpoolUnavailable:
        detail = "Neither MongoDB nor the gateway's disk takes it. Nothing is lost: send the same `id` again."
        raise Refused(503, "store_unavailable", detail, headers={"Retry-After": "5"}) from None
    if taken.kept:
        return reply(Unanswered(session_id=None, session_state=None, reply="kept", user_message=None), 202)
    return _answered(taken, user, runtime().settings.chat.wait_seconds if wait is None else wait)


def _answered(taken: Taken, user: ChatUser, wait: float) -> Response:
    answer = chat_waiting.answer(runtime(), taken.message_id, taken.session_id, wait)
    with deadline():
        row = chats.get_message(taken.message_id)
    if row is None:
        raise StoreUnavailable("what was said is stored, and not readable yet")
    asked = chat_rows.message(row, user.user_id)
    if answer.message and (shown := chat_rows.messages([answer.message], user.user_id)):
        return reply(
            Answered(
                **shown[0].model_dump(),
                session_id=taken.session_id,
                session_state=taken.state,
                in_reply_to=taken.message_id,
                user_message=asked,
            )
        )
    what = "pending" if answer.state == QUEUED else "none"
    return reply(
        Unanswered(session_id=taken.session_id, session_state=taken.state, reply=what, user_message=asked), 202
    )
