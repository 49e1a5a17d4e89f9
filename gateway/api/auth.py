"""Who asks: an API key in the header `Authorization: Bearer gw_...`, what it may do, and how often."""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import current_app, g, request

from gateway.api import limits
from gateway.api.problems import Refused
from gateway.conversation.runtime import Runtime
from gateway.core.access import Access
from gateway.logs import log
from gateway.store import api_keys
from gateway.store.api_keys import ApiKey, Scope
from gateway.store.connection import deadline

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="gateway"'}

_View = TypeVar("_View", bound=Callable[..., Any])


def runtime() -> Runtime:
    """Give the runtime of the app that serves this request."""
    return current_app.extensions["gateway"]  # type: ignore[no-any-return]


def key() -> ApiKey:
    """Give the key that asks."""
    return g.api_key  # type: ignore[no-any-return]


def access() -> Access:
    """Give what the key that asks may see and do."""
    return key().access


def needs(scope: Scope, *, every_channel: bool = False) -> Callable[[_View], _View]:
    """Let a view be used by keys of a scope; without this, `read` may GET and `write` may do the rest.

    With `every_channel` keys that are limited to channels may not use it.
    """

    def mark(view: _View) -> _View:
        view.needs = scope  # type: ignore[attr-defined]
        view.every_channel = every_channel  # type: ignore[attr-defined]
        return view

    return mark


def scope_of(view: Callable[..., Any], method: str) -> Scope:
    """Tell which scope a view needs."""
    default: Scope = "read" if method in ("GET", "HEAD") else "write"
    return getattr(view, "needs", default)


def require() -> None:
    """Find out whose key it is, and refuse what it may not do; nothing else is read before that."""
    found = authenticated()
    view = current_app.view_functions[request.endpoint or ""]
    needed = scope_of(view, request.method)
    if not found.allows(needed):
        have = ", ".join(sorted(found.scopes))
        raise Refused(403, "scope_missing", f"This needs a key of scope {needed}; this one has {have}.")
    if getattr(view, "every_channel", False) and found.access.channels is not None:
        raise Refused(403, "key_limited", "This needs a key of all channels; this one is limited to some.")


def authenticated() -> ApiKey:
    """Give the key of this request, counted against its limit."""
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not given.strip():
        detail = "Send an API key: `Authorization: Bearer gw_...`. Make one with `gateway keys add NAME`."
        raise Refused(401, "key_missing", detail, headers=_CHALLENGE)
    with deadline():
        found = api_keys.authenticate(given.strip(), runtime().clock.now())
        if found is None:
            log.warning("api_refused", path=request.path)
            detail = "This key is unknown, expired or revoked. `gateway keys list` shows which there are."
            raise Refused(401, "key_invalid", detail, headers=_CHALLENGE)
        g.api_key = found
        limits.count(found.prefix)
    return found
