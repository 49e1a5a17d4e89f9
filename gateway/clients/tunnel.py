"""A tunnel of ngrok's to a port of this machine: by its library, an extra, in an event loop of its own.

https://ngrok.github.io/ngrok-python/. Sessions connect again by themselves; what becomes of them is told.
"""

import asyncio
import contextlib
import re
import threading
from collections.abc import Callable, Coroutine
from importlib import import_module
from typing import Any, TypeVar

from gateway import __version__
from gateway.core.errors import GatewayError

OPEN_SECONDS, CLOSE_SECONDS, HEARTBEAT_SECONDS = 30, 3, 5

# What becomes of an open tunnel.
LOST, BACK, ENDED = "lost", "back", "ended"

TOKEN_PAGE = "https://dashboard.ngrok.com/get-started/your-authtoken"  # noqa: S105 - a page, not a token
_CODE = re.compile(r"ERR_NGROK_\d+")
_WRONG_TOKEN = frozenset(f"ERR_NGROK_{number}" for number in (105, 106, 107, 4018))
_REMEDIES = {
    "ERR_NGROK_108": "Another agent of this ngrok account is connected. Stop it, or give --url for another tunnel.",
    "ERR_NGROK_334": "Something else serves this ngrok address. Stop it, or choose another --domain.",
}

T = TypeVar("T")


class TunnelFailed(GatewayError):
    """The tunnel could not be opened; says why and what to do, never the token."""


class NgrokTunnel:
    """A tunnel to `http://127.0.0.1:port`. `tell` hears LOST, BACK and ENDED, on a thread that is not to wait."""

    def __init__(self, token: str, port: int, *, domain: str = "", tell: Callable[[str, str], None]) -> None:
        self._token, self._port, self._domain, self._tell = token, port, domain, tell
        self._is_lost = False
        self._session: Any = None
        self._listener: Any = None
        self._loop = asyncio.new_event_loop()

    def open(self) -> str:
        """Open it, and give its address. TunnelFailed where that does not work."""
        library = _library()
        threading.Thread(target=self._loop.run_forever, name="ngrok", daemon=True).start()
        try:
            return self._run(self._open(library), OPEN_SECONDS)
        except TimeoutError:
            raise TunnelFailed(f"ngrok did not answer within {OPEN_SECONDS} s. Check this machine's network.") from None
        except (ValueError, RuntimeError, OSError) as error:
            raise TunnelFailed(self._why(error)) from None

    def close(self) -> None:
        """Close it; what cannot be said to ngrok any more ends with this process."""
        for one in (self._listener, self._session):
            if one is not None:
                with contextlib.suppress(Exception):
                    self._run(_awaited(one.close), CLOSE_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _open(self, library: Any) -> str:
        builder = library.SessionBuilder()
        builder.authtoken(self._token).client_info("gateway", __version__)
        builder.heartbeat_interval(HEARTBEAT_SECONDS).handle_heartbeat(self._beat)
        builder.handle_disconnection(self._lost).handle_stop_command(self._ended)
        self._session = await builder.connect()
        endpoint = self._session.http_endpoint()
        if self._domain:
            endpoint.domain(self._domain)
        self._listener = await endpoint.listen_and_forward(f"http://127.0.0.1:{self._port}")
        return str(self._listener.url()).rstrip("/")

    def _run(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    def _lost(self, *said: object) -> None:
        if not self._is_lost:
            self._is_lost = True
            self._tell(LOST, self._hidden(str(said[-1]) if said else ""))

    def _beat(self, *_latency: object) -> None:
        if self._is_lost:
            self._is_lost = False
            self._tell(BACK, "")

    def _ended(self, *_: object) -> None:
        self._tell(ENDED, "ngrok was asked to stop it")

    def _why(self, error: Exception) -> str:
        """Say in one line why a tunnel does not open; ngrok itself would quote the token."""
        said = " ".join(str(part) for part in error.args)
        found = _CODE.search(said)
        code = found[0] if found else ""
        if code in _WRONG_TOKEN:
            return f"ngrok does not take NGROK_AUTHTOKEN ({code}). Copy yours from {TOKEN_PAGE}."
        if code in _REMEDIES:
            return f"{_REMEDIES[code]} ({code})"
        if code:
            return f"ngrok opened no tunnel: {self._hidden(said)}"
        return (
            f"ngrok could not be reached ({self._hidden(said)}). Check this machine's network, or open another tunnel "
            "and give its address: --url https://..."
        )

    def _hidden(self, said: str) -> str:
        words = " ".join(said.replace(self._token, "(hidden)").split()) if self._token else said
        return words[:160]


async def _awaited(close: Callable[[], Any]) -> None:
    await close()


def _library() -> Any:
    """Load ngrok's library, which brings its agent along."""
    try:
        return import_module("ngrok")
    except ImportError as error:
        missing = error.name == "ngrok" and isinstance(error, ModuleNotFoundError)
        why = "is not installed" if missing else f"does not work on this machine ({str(error)[:100]})"
        raise TunnelFailed(
            f"The library of ngrok {why}. Install the extra `tunnel` (pip install 'ngrok>=1.4,<2'), or open another "
            "tunnel and give its address: --url https://..."
        ) from None
