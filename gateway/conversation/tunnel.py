"""The address of a tunnel, lent to the running gateway: it ends by itself when nobody renews it.

Whoever opens a tunnel holds a lease in MongoDB. Every process of the gateway looks for it from time to time, never in
a webhook, and uses its address instead of PUBLIC_URL. A gateway believes only leases of its own environment: one in
production is not moved by somebody who develops on its database.
"""

import os
import secrets
import socket
from dataclasses import dataclass, replace
from datetime import timedelta

from gateway.conversation.runtime import Runtime
from gateway.core.errors import GatewayError, StoreUnavailable
from gateway.logs import log
from gateway.store import audit, tunnels
from gateway.store.connection import deadline
from gateway.store.tunnels import Tunnel

# What a process that was killed leaves behind is believed no longer than this.
LEASE = timedelta(seconds=15)
RENEW_SECONDS = 4

# How soon the processes of a gateway have heard of a tunnel, and of its end.
LOOK_SECONDS = 2


class TunnelTaken(GatewayError):
    """Somebody else holds the tunnel of this gateway; says who, and until when at the latest."""


@dataclass(frozen=True, slots=True)
class Held:
    """A lease that is ours."""

    env: str
    tunnel: Tunnel


def require_free(runtime: Runtime) -> None:
    """Raise TunnelTaken while somebody lends an address; what a process of this host left behind is cleared away."""
    env = runtime.settings.env
    with deadline():
        other = tunnels.of(env)
        if other is None or other.until <= runtime.clock.now():
            return
        if other.host == socket.gethostname() and not _is_alive(other.pid):
            tunnels.let_go(env, other.owner)
            return
    raise _taken(other)


def lent_elsewhere(runtime: Runtime) -> list[str]:
    """Give the addresses that gateways of other environments on this MongoDB are lent now."""
    now = runtime.clock.now()
    return [other.url for other in tunnels.others(runtime.settings.env) if other.until > now]


def open_(runtime: Runtime, url: str, by: str) -> Held:
    """Lend an address to the running gateway. TunnelTaken where another process does so already."""
    require_free(runtime)
    env, now, host = runtime.settings.env, runtime.clock.now(), socket.gethostname()
    mine = Tunnel(url.rstrip("/"), secrets.token_hex(8), host, os.getpid(), now + LEASE)
    with deadline():
        if not tunnels.hold(env, mine, now):
            raise _taken(tunnels.of(env))
        audit.note(now, by, "tunnel_opened", url=mine.url, host=host)
    return Held(env, mine)


def _taken(other: Tunnel | None) -> TunnelTaken:
    who = f"process {other.pid} on {other.host} listens at {other.url}" if other else "somebody else has just begun"
    return TunnelTaken(
        f"One `gateway listen` at a time: {who}. Stop it; should it be gone, try again in {LEASE.seconds} seconds."
    )


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def renew(runtime: Runtime, held: Held) -> bool:
    """Go on lending it; False where somebody else lends another address meanwhile."""
    now = runtime.clock.now()
    with deadline():
        return tunnels.hold(held.env, replace(held.tunnel, until=now + LEASE), now)


def close(runtime: Runtime, held: Held, by: str) -> None:
    """Take it back: the gateway is reached at PUBLIC_URL again."""
    with deadline():
        if tunnels.let_go(held.env, held.tunnel.owner):
            audit.note(runtime.clock.now(), by, "tunnel_closed", url=held.tunnel.url)


class Watch:
    """What a process knows of the tunnel: asked for in the background, so that no webhook waits for it."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._known: Tunnel | None = None

    def look(self) -> None:
        """Use the address of the tunnel while its lease lasts; while MongoDB is away the lease known last counts."""
        try:
            with deadline():
                self._known = tunnels.of(self._runtime.settings.env)
        except StoreUnavailable:
            pass
        except Exception:
            log.exception("tunnel_unknown")
            self._known = None
        known, public = self._known, self._runtime.line.public
        url = known.url if known and known.until > self._runtime.clock.now() else ""
        if url != public.leased:
            public.leased = url
            log.info("public_url_changed", message=f"Twilio reaches this gateway at {public.url or 'any host'}.")
