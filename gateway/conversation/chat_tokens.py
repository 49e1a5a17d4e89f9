"""Tokens with which a browser speaks for one user of one site, and for nobody else.

`ut_<key's prefix>_...` is made by a site's server with its API key, and ends with that key. `vt_<site>_...` is made by
a page with the site's publishable key, for a visitor nobody knows, and ends with that one. `st_...` is what
`gateway simulate chat` makes: only whoever has SECRET_KEY can, and only a gateway in development takes it.

A token must be checked without its maker's secret, of which we keep only a hash. So it is signed with what only we
have: our SECRET_KEY, mixed with the prefix and the hash of the API key (or with the publishable key). Who reads the
database cannot sign without SECRET_KEY; who replaces or revokes the key ends all its tokens; and a token of one key is
never one of another.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from itsdangerous import BadData, URLSafeSerializer

from gateway.channels import chat
from gateway.channels.chat import ChatUser
from gateway.conversation import chat_sites
from gateway.conversation.runtime import Runtime
from gateway.core.errors import GatewayError
from gateway.core.times import epoch_ms, from_epoch_ms
from gateway.settings import Settings
from gateway.store import api_keys
from gateway.store.api_keys import ApiKey
from gateway.store.connection import deadline
from gateway.store.isolation import Channels

SHORTEST, LONGEST, USUAL = 60, 30 * 86_400, 3600
USER, VISITOR, SIMULATED = "ut", "vt", "st"
SIMULATES = timedelta(minutes=5)
VISITS = timedelta(days=30)


class BadToken(GatewayError):
    """A token that is none, or none any more; `code` says which."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whom a token speaks for, and on which channels. A visitor is known by nothing but the token.

    Of somebody simulated `at` may say when what they say is to be taken as received.
    """

    user: ChatUser
    channels: Channels
    is_visitor: bool = False
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Issued:
    """A token, whose it is, and until when."""

    token: str
    user: ChatUser
    expires_at: datetime


def issue(runtime: Runtime, key: ApiKey, user: ChatUser, seconds: int) -> Issued:
    """Make a token for a user of a site, with an API key. BadToken where the key has just ended."""
    now = runtime.clock.now()
    with deadline():
        known = api_keys.issuer(key.prefix, now)
    if known is None:
        raise BadToken("key_invalid", "This key has ended.")
    until = now + timedelta(seconds=seconds)
    return _issue(runtime.settings, USER, key.prefix, known[1], user, until)


def visit(runtime: Runtime, publishable: str, *, again: str = "") -> Issued:
    """Make a token for a visitor with a publishable key; for the same one as before with a token that still works."""
    site = chat_sites.by_key(publishable)
    if site is None:
        raise BadToken("key_invalid", "This publishable key is unknown, or was ended. `gateway chat publish` shows it.")
    user = ChatUser(site[0], f"{chat.VISITOR}{secrets.token_hex(8)}")
    if again:
        before = read(runtime, again)
        if not before.is_visitor or before.user.site != user.site:
            raise BadToken("token_invalid", "This token is of another site, or no visitor's.")
        user = before.user
    return _issue(runtime.settings, VISITOR, site[0], publishable, user, runtime.clock.now() + VISITS)


def simulate(settings: Settings, user: ChatUser, now: datetime, at: datetime | None) -> Issued:
    """Make a token for somebody who is simulated, and for the moment at which they speak."""
    return _issue(settings, SIMULATED, user.site, "", user, now + SIMULATES, at=None if at is None else epoch_ms(at))


def read(runtime: Runtime, token: str) -> Bearer:
    """Tell whom a token speaks for. BadToken where it is none of ours, over, or its key ended."""
    kind, _, rest = token.partition("_")
    issuer, _, signed = rest.partition("_")
    if kind not in (USER, VISITOR, SIMULATED) or len(token) > 2000:
        raise BadToken("token_invalid", "This is no token of ours. Ask your site's server for one.")
    secret, channels = _secret(runtime, kind, issuer)
    try:
        given = _serializer(runtime.settings, kind, issuer, secret).loads(signed)
    except BadData:
        raise BadToken("token_invalid", "This token is not ours, or its key was ended. Get a new one.") from None
    if from_epoch_ms(given["exp"]) <= runtime.clock.now():
        raise BadToken("token_expired", "This token has expired. Get a new one.")
    user = ChatUser(given["site"], given["user"], given.get("email", ""), name=given.get("name"))
    at = given.get("at")
    return Bearer(user, channels, is_visitor=kind == VISITOR, at=None if at is None else from_epoch_ms(at))


def _secret(runtime: Runtime, kind: str, issuer: str) -> tuple[str, Channels]:
    """Give what a token's maker is known by, and the channels that one may use."""
    if kind == SIMULATED and runtime.settings.is_development:
        return "", None
    with deadline():
        if kind == USER:
            known = api_keys.issuer(issuer, runtime.clock.now())
            if known and known[0].allows("write"):
                return known[1], known[0].access.channels
        elif (
            kind == VISITOR and (site := chat_sites.find(issuer)) and (publishable := chat_sites.key_of(site.settings))
        ):
            return publishable, frozenset({site.id})
    raise BadToken("token_invalid", "The key that made this token has ended. Get a new one.")


def _issue(
    settings: Settings,
    kind: str,
    issuer: str,
    secret: str,
    user: ChatUser,
    expires_at: datetime,
    *,
    at: int | None = None,
) -> Issued:
    given: dict[str, Any] = {"site": user.site, "user": user.user_id, "exp": epoch_ms(expires_at)}
    given |= {} if at is None else {"at": at}
    given |= {"email": user.email} if user.email else {}
    given |= {"name": user.name} if user.name else {}
    signed = _serializer(settings, kind, issuer, secret).dumps(given)
    return Issued(f"{kind}_{issuer}_{signed}", user, expires_at)


def _serializer(settings: Settings, kind: str, issuer: str, secret: str) -> URLSafeSerializer:
    ours = settings.secret_key.get_secret_value()
    # SHA-1, the usual of itsdangerous, is no weakness in an HMAC; SHA-256 needs no such explanation.
    signer = {"digest_method": hashlib.sha256}
    return URLSafeSerializer(f"{ours}:{issuer}:{secret}", salt=f"chat {kind}", signer_kwargs=signer)
