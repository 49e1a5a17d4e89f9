"""API keys as people make and end them: checked, and written into the audit."""

from collections.abc import Collection
from datetime import datetime, timedelta

from gateway.core.errors import GatewayError
from gateway.logs import log
from gateway.store import api_keys, audit, channels
from gateway.store.api_keys import SCOPES, ApiKey
from gateway.store.connection import deadline

NAME_LIMIT = 80
LONGEST_DAYS = 3650


class CannotMakeKey(GatewayError):
    """A key that would be of no use; the text says why."""


def create(
    name: str,
    scopes: Collection[str],
    now: datetime,
    *,
    by: str,
    limited_to: Collection[str] | None = None,
    days: int | None = None,
) -> tuple[ApiKey, str]:
    """Make a key; gives it and, this once, the secret. `limited_to` are the channels it knows of, None is all.

    `days` is how long it works, None is for ever.
    """
    name = " ".join(name.split())
    if not name or len(name) > NAME_LIMIT:
        raise CannotMakeKey(f"Give the key a name of 1 to {NAME_LIMIT} characters: what it is for.")
    if not scopes or not set(scopes) <= set(SCOPES):
        raise CannotMakeKey(f"Give the key at least one scope: {', '.join(SCOPES)}.")
    if days is not None and not 1 <= days <= LONGEST_DAYS:
        raise CannotMakeKey(f"A key lasts 1 to {LONGEST_DAYS:,} days, or for ever.")
    with deadline():
        _require_known(limited_to)
        expires_at = None if days is None else now + timedelta(days=days)
        key, secret = api_keys.add(name, scopes, now, by=by, channels=limited_to, expires_at=expires_at)
        audit.note(
            now, by, "api_key_added", key=key.prefix, name=name, scopes=sorted(scopes),
            channels=None if limited_to is None else sorted(limited_to), expires_at=expires_at,
        )  # fmt: skip
    log.info("api_key_added", key=key.prefix, scopes=sorted(scopes), by=by)
    return key, secret


def _require_known(limited_to: Collection[str] | None) -> None:
    if limited_to is None:
        return
    unknown = set(limited_to) - set(channels.by_id())
    if unknown:
        raise CannotMakeKey(f"There is no channel {', '.join(sorted(unknown))[:200]}.")
    if not limited_to:
        raise CannotMakeKey("A key that is limited to no channel sees nothing. Choose some, or all.")


def revoke(prefix: str, now: datetime, *, by: str) -> ApiKey | None:
    """End a key for good; None where there is none of that prefix, or it was ended before."""
    with deadline():
        key = api_keys.revoke(prefix, now, by=by)
        if key:
            audit.note(now, by, "api_key_revoked", key=prefix, name=key.name)
    if key:
        log.info("api_key_revoked", key=prefix, by=by)
    return key
