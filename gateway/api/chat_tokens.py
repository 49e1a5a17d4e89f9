"""Tokens for browsers: for a user whom the site's server knows, and for a visitor whom nobody does."""

from flask import Response, request

from gateway.api import chat_auth, limits
from gateway.api.auth import access, key, runtime
from gateway.api.blueprint import bp as v1
from gateway.api.chat_blueprint import bp, tags
from gateway.api.problems import Refused, not_found
from gateway.api.schemas import reply
from gateway.api.schemas.chat import ChatToken, TokenBody, VisitBody
from gateway.channels.chat import ChatUser
from gateway.conversation import chat, chat_sites, chat_tokens
from gateway.conversation.chat import NotTheirs
from gateway.conversation.chat_tokens import BadToken, Issued
from gateway.http import own_base_url
from gateway.store.connection import deadline

VISITS_PER_MINUTE = 10


@v1.post("/chat-tokens", tags=tags, responses={201: ChatToken})
def create_chat_token(body: TokenBody) -> Response:
    """Make a token with which a browser speaks for one user."""
    try:
        with deadline():
            chat.site(body.channel, access().channels)
    except NotTheirs:
        raise not_found("chat site", body.channel) from None
    user = ChatUser(body.channel, body.user_id, (body.email or "").lower(), name=body.name or None)
    try:
        return _shown(chat_tokens.issue(runtime(), key(), user, body.ttl))
    except BadToken as error:
        raise Refused(401, error.code, str(error)) from None


@bp.post("/tokens", tags=tags, responses={201: ChatToken}, security=[])
def visit(body: VisitBody) -> Response:
    """Make a token for a visitor of a page, or renew theirs."""
    _count()
    if chat_sites.by_key(body.key) is None:
        raise Refused(401, "key_invalid", "This publishable key is unknown, or was ended: `gateway chat publish`.")
    _require_own_page()
    kind, _, again = request.headers.get("Authorization", "").partition(" ")
    try:
        return _shown(chat_tokens.visit(runtime(), body.key, again=again.strip() if kind.lower() == "bearer" else ""))
    except BadToken as error:
        raise Refused(401, error.code, str(error)) from None


def _require_own_page() -> None:
    """Refuse pages of others: whoever copies a publishable key from a page gets no tokens in theirs."""
    settings, origin = runtime().settings, request.headers.get("Origin", "")
    # Of an address with a path only the beginning is the page's origin. In development the demo page is often opened
    # at another one than the tunnel's that PUBLIC_URL names.
    own = {"/".join(settings.public_url.split("/")[:3])}
    if settings.is_development or not settings.public_url:
        own.add(own_base_url(request.environ, settings.trusted_proxies))
    if origin and (origin in settings.chat.origins or origin in own):
        return
    pages = f"Pages of {origin[:200]!r}" if origin else "Requests without an Origin, as pages send it,"
    detail = f"{pages} get no tokens here. Add the site to GATEWAY_CHAT__ORIGINS."
    raise Refused(403, "origin_refused", detail)


def _count() -> None:
    with deadline():
        limits.count(f"chat visits {chat_auth.network()}", VISITS_PER_MINUTE, "tokens for visitors")


def _shown(issued: Issued) -> Response:
    user = issued.user
    return reply(
        ChatToken(token=issued.token, user_id=user.user_id, channel=user.site, expires_at=issued.expires_at), 201
    )
