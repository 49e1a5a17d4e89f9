"""The websites people chat on: each a channel, some with a key that may stand in their pages.

A publishable key reads nothing. It makes tokens for visitors whom nobody knows, each with a random user id, so all
that its finder can do is begin conversations of their own.
"""

import re
import secrets
from collections.abc import Mapping
from typing import Any

from gateway.conversation.runtime import Runtime
from gateway.core.errors import GatewayError
from gateway.core.messages import CHAT, Channel
from gateway.core.participant import address
from gateway.store import audit, channels
from gateway.store.connection import deadline

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
FIELD = "publishable_key"


class NoSite(GatewayError):
    """A site that cannot be, or is not there; the text says why."""


def add(runtime: Runtime, name: str, by: str) -> Channel:
    """Make the channel of a site, or give the one that is there."""
    if not NAME.fullmatch(name):
        raise NoSite(f"{name[:60]!r} is no name for a site: use up to 40 of a-z, 0-9 and -.")
    with deadline():
        known = find(name)
        made = known or runtime.channels.resolve(CHAT, address(name), None)
        if not known:
            audit.note(runtime.clock.now(), by, "chat_site_added", channel=made.id)
    return made


def publish(runtime: Runtime, name: str, by: str) -> str:
    """Give the publishable key of a site, which is made where it has none."""
    site = add(runtime, name, by)
    if known := key_of(site.settings):
        return known
    key = f"pk_{name}_{secrets.token_hex(12)}"
    with deadline():
        if not channels.set_once(site.id, FIELD, key):
            return publish(runtime, name, by)  # somebody else just did
        audit.note(runtime.clock.now(), by, "chat_site_published", channel=site.id)
    runtime.channels.forget()
    return key


def unpublish(runtime: Runtime, name: str, by: str) -> bool:
    """End the publishable key of a site and all tokens made with it; False where it has none."""
    with deadline():
        site = find(name)
        if site is None:
            raise NoSite(f"There is no chat site {name[:60]!r}. `gateway chat sites` shows which there are.")
        if not key_of(site.settings):
            return False
        channels.change(site.id, {}, [f"settings.{FIELD}"])
        audit.note(runtime.clock.now(), by, "chat_site_unpublished", channel=site.id)
    runtime.channels.forget()
    return True


def find(name: str) -> Channel | None:
    """Find the channel of a site; None where there is none."""
    return channels.find(CHAT, address(name))


def key_of(settings: Mapping[str, Any]) -> str:
    """Give the publishable key that a channel's settings hold; empty where they hold none."""
    return str(settings.get(FIELD) or "")


def by_key(key: str) -> tuple[str, Channel] | None:
    """Find the site a publishable key is of, by name; None where it is none, or none any more."""
    kind, _, rest = key.partition("_")
    name = rest.partition("_")[0]
    if kind != "pk" or not NAME.fullmatch(name):
        return None
    with deadline():
        site = find(name)
    known = key_of(site.settings) if site else ""
    return (name, site) if site and known and secrets.compare_digest(known.encode(), key.encode()) else None
