"""/api/chat: conversations from a website or an app, as its users see them."""

from flask import Response, request
from flask_openapi3.types import ResponseDict

from gateway.api import chat_auth, chat_places, chat_rows
from gateway.api.auth import runtime
from gateway.api.chat_auth import asker
from gateway.api.chat_blueprint import bp, tags
from gateway.api.chat_said import found, say
from gateway.api.problems import conflict
from gateway.api.schemas import reply
from gateway.api.schemas.chat import (
    Answered,
    ChangeBody,
    ChatHistory,
    ChatMessageBody,
    ChatMessagesQuery,
    ChatSession,
    ChatSessionPath,
    ChatSessions,
    ChatSessionsQuery,
    HistoryQuery,
    News,
    OneSession,
    OpenBody,
    OpenedSession,
    SayBody,
    SayQuery,
    Unanswered,
    WhoQuery,
)
from gateway.conversation import chat, chat_waiting, operators
from gateway.conversation.chat import CREATED, Wanted
from gateway.conversation.operators import CannotDo
from gateway.store import chats
from gateway.store.connection import deadline

NEWEST = 50

_ANSWERS: ResponseDict = {200: Answered, 202: Unanswered}


@bp.get("/sessions", tags=tags, responses={200: ChatSessions})
def list_chat_sessions(query: ChatSessionsQuery) -> Response:
    """List a user's conversations."""
    _, mine = chat_auth.user(query)
    cursor = chat_places.session_cursor(query.cursor)
    with deadline():
        rows = chats.page(mine, limit=query.limit + 1, cursor=cursor)
    more = chat_places.after(rows[query.limit - 1]) if len(rows) > query.limit else None
    return reply(ChatSessions(items=[chat_rows.session(row) for row in rows[: query.limit]], next_cursor=more))


@bp.post("/sessions", tags=tags, responses={200: OpenedSession, 201: OpenedSession})
def open_chat_session(body: OpenBody) -> Response:
    """Begin a conversation, or go on with the one that is open."""
    user, mine = chat_auth.user(body)
    session_id, state = chat.begin(runtime(), user, anew=body.new, context=body.context)
    if state == CREATED and body.session_name:
        chat.change(runtime(), session_id, Wanted(title=body.session_name), asker().name)
    opened = chat_rows.session(found(session_id, mine))
    return reply(
        OpenedSession(**opened.model_dump(), session_state=state),
        201 if state == CREATED else 200,
        {"Location": f"{request.script_root}/api/chat/sessions/{session_id}"},
    )


@bp.get("/sessions/<session_id>", tags=tags, responses={200: OneSession})
def get_chat_session(path: ChatSessionPath, query: WhoQuery) -> Response:
    """Show a conversation, with its newest messages."""
    user, mine = chat_auth.user(query, session_id=path.session_id)
    row = found(path.session_id, mine)
    with deadline():
        said = chats.said([path.session_id], mine.channels, limit=NEWEST)
        pending = chats.is_pending(path.session_id)
        earlier = chat_places.earlier_than(said, mine)
    shown = chat_rows.session(row, chat_rows.messages(said.messages, user.user_id))
    return reply(OneSession(**shown.model_dump(), earlier=chat_rows.moment_cursor(earlier), pending=pending))


@bp.put("/sessions/<session_id>", tags=tags, responses={200: ChatSession})
def change_chat_session(path: ChatSessionPath, body: ChangeBody) -> Response:
    """Name a conversation, end it, or keep something about it."""
    _, mine = chat_auth.user(body, session_id=path.session_id)
    found(path.session_id, mine)
    wanted = Wanted(body.session_name, body.context, body.is_active)
    try:
        chat.change(runtime(), path.session_id, wanted, asker().name)
    except CannotDo as error:
        raise conflict(error) from None
    return reply(chat_rows.session(found(path.session_id, mine)))


@bp.delete("/sessions/<session_id>", tags=tags, responses={204: None})
def delete_chat_session(path: ChatSessionPath, query: WhoQuery) -> Response:
    """End a conversation and put it away."""
    _, mine = chat_auth.user(query, session_id=path.session_id)
    found(path.session_id, mine)
    operators.archive(runtime(), path.session_id, asker().name)
    return Response(status=204)


@bp.post("/sessions/<session_id>/messages", tags=tags, responses=_ANSWERS)
def say_in_chat(path: ChatSessionPath, query: SayQuery, body: SayBody) -> Response:
    """Say something, and wait for the answer."""
    return say(body, path.session_id, query.wait)


@bp.post("/message", tags=tags, responses=_ANSWERS)
def say_to_chat(query: SayQuery, body: ChatMessageBody) -> Response:
    """Say something, with the session in the body or none at all."""
    return say(body, body.session_id or "", query.wait)


@bp.get("/sessions/<session_id>/messages", tags=tags, responses={200: News})
def wait_in_chat(path: ChatSessionPath, query: ChatMessagesQuery) -> Response:
    """Give what was said since, or wait for it."""
    user, mine = chat_auth.user(query, session_id=path.session_id)
    session_id = path.session_id
    found(session_id, mine)
    if query.after:
        seen, beyond = chat_places.read(query.after, session_id, mine)
        rows, seen = chat_waiting.news(
            runtime(), session_id, seen, mine.channels, beyond=beyond, limit=query.limit, seconds=query.wait
        )
    else:
        with deadline():
            rows = chats.said([session_id], mine.channels, limit=query.limit).messages
        seen = chats.seen_all(rows, runtime().clock.now())
    pending, continued_in = chat_places.now(session_id, mine)
    items = chat_rows.messages(rows, user.user_id)
    return reply(News(items=items, cursor=seen.written(), pending=pending, continued_in=continued_in))


@bp.get("/history", tags=tags, responses={200: ChatHistory})
def chat_history(query: HistoryQuery) -> Response:
    """Give what was said before, over all sessions of a user."""
    user, mine = chat_auth.user(query)
    with deadline():
        ids = chats.ids_of(mine)
        before = chat_places.moment(query.before, ids, mine) if query.before else None
        said = chats.said(ids, mine.channels, limit=query.limit, before=before) if ids else None
    if said is None:
        return reply(ChatHistory(items=[]))
    items = chat_rows.messages(said.messages, user.user_id)
    return reply(ChatHistory(items=items, next_cursor=chat_rows.moment_cursor(said.earlier)))
