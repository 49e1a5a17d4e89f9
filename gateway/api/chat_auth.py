"""Who asks at /api/chat: a site's server with an API key, a browser with a token, or (a setting) whoever says so."""

import ipaddress
from dataclasses import dataclass, replace
from typing import Protocol

from flask import Flask, Response, g, request

from gateway.api import auth, limits
from gateway.api.auth import runtime
from gateway.api.problems import Refused
from gateway.channels.chat import DEFAULT_SITE, ChatUser
from gateway.conversation import chat, chat_tokens
from gateway.conversation.chat import NotTheirs
from gateway.conversation.chat_tokens import BadToken, Bearer
from gateway.core.messages import CHAT
from gateway.http import client_address
from gateway.logs import log
from gateway.store import chats
from gateway.store.chats import Whose
from gateway.store.connection import deadline
from gateway.store.isolation import Channels

# One address stands for so many visitors: behind an office's are many, and one who makes tokens is none of them.
VISITORS_PER_ADDRESS = 10

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="gateway"'}


class Named(Protocol):
    """What a request says of the user it is about."""

    user_id: str | None
    email: str | None
    channel: str | None


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks. `bearer` is there for a token; `is_believed` where an e-mail address they name is proved by that."""

    name: str
    channels: Channels = None
    bearer: Bearer | None = None
    is_believed: bool = False


def asker() -> Asker:
    """Give who asks."""
    return g.asker  # type: ignore[no-any-return]


def require() -> Response | None:
    """Find out who asks, before anything else is read; a browser's question whether it may ask is answered."""
    if request.method == "OPTIONS":
        return Response(status=204)
    if request.endpoint != "chat.visit":
        g.asker = _identified()
    return None


def _identified() -> Asker:
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    given = given.strip() if kind.lower() == "bearer" else ""
    if given.startswith("gw_"):
        auth.require()
        return Asker(auth.access().name, auth.access().channels, is_believed=True)
    if given:
        return _with_token(given)
    if runtime().settings.chat.legacy_auth:
        _count(f"chat address {network()}")
        return Asker("chat without a credential", frozenset({f"{CHAT}:{DEFAULT_SITE}"}))
    detail = (
        "Send `Authorization: Bearer ...` with an API key or a user token (POST /api/v1/chat-tokens). Old front ends "
        "that send neither are admitted with GATEWAY_CHAT__LEGACY_AUTH=true. See docs/api/chat.md."
    )
    raise Refused(401, "unauthorized", detail, headers=_CHALLENGE)


def _with_token(token: str) -> Asker:
    try:
        bearer = chat_tokens.read(runtime(), token)
    except BadToken as error:
        log.warning("api_refused", path=request.path, reason=error.code)
        raise Refused(401, error.code, str(error), headers=_CHALLENGE) from None
    user = bearer.user
    if bearer.is_visitor:
        _count(f"chat visitors {network()}", VISITORS_PER_ADDRESS)
    _count(f"chat user {user.site}:{user.user_id}")
    return Asker(f"chat user {user.site}:{user.user_id}", bearer.channels, bearer)


def _count(who: str, people: int = 1) -> None:
    most, what = people * runtime().settings.chat.requests_per_minute, "chat.requests_per_minute"
    with deadline():
        limits.count(who, most, what if people == 1 else f"{people} times {what} for the visitors at one address")


def network() -> str:
    """Give the address of whoever asks; of IPv6 the network, which is one household's."""
    given = client_address(request.environ, runtime().settings.trusted_proxies)
    try:
        ip = ipaddress.ip_address(given)
    except ValueError:
        ip = ipaddress.ip_address("0.0.0.0")  # noqa: S104 - a name for all who have none
    return str(ipaddress.ip_network((ip, 64 if ip.version == 6 else 32), strict=False))


def user(named: Named, *, session_id: str = "") -> tuple[ChatUser, Whose]:
    """Tell whom a request is about, and which sessions are theirs. With a session's id an API key need name nobody."""
    who = asker()
    about = _of_token(who.bearer, named) if who.bearer else _named(who, named, session_id)
    try:
        with deadline():
            about = chat.proved(runtime(), about, who.channels)
            return about, chat.whose(about, who.channels)
    except NotTheirs as error:
        raise Refused(404, "not_found", str(error)) from None


def _of_token(bearer: Bearer, named: Named) -> ChatUser:
    mine = bearer.user
    if named.user_id not in (None, mine.user_id) or named.channel not in (None, mine.site):
        raise Refused(403, "other_user", "This token is another user's. Leave `user_id` and `channel` out.")
    email, name = (named.email or "").lower(), getattr(named, "name", None)
    return replace(mine, claimed_email="" if email == mine.email else email, name=mine.name or name or None)


def _named(who: Asker, named: Named, session_id: str) -> ChatUser:
    email, user_id = (named.email or "").lower(), named.user_id or (named.email or "").lower()
    if not user_id:
        return _of_session(who, session_id)
    proved, claimed = (email, "") if who.is_believed else ("", email)
    name = getattr(named, "name", None) or None
    return ChatUser(named.channel or DEFAULT_SITE, user_id, proved, claimed, name)


def _of_session(who: Asker, session_id: str) -> ChatUser:
    """Tell whose session it is, for an API key that names nobody."""
    with deadline():
        found = chats.user_of(session_id, who.channels) if who.is_believed else None
    if found is None:
        raise Refused(403, "user_missing", "Name the user this is about: `user_id`, or `email`.")
    return ChatUser(found["channel_id"].removeprefix(f"{CHAT}:"), found["metadata"]["userId"])


def warn(app: Flask) -> None:
    """Say at the start that anybody may speak for anybody."""
    serving = app.extensions.get("gateway")
    if serving and serving.settings.chat.legacy_auth:
        log.warning(
            "chat_legacy_auth",
            message="GATEWAY_CHAT__LEGACY_AUTH is on: whoever reaches /api/chat may read and write the chats of any "
            "user_id they name. Give the site's server an API key, and turn it off.",
        )
