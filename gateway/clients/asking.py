"""One request to a provider's JSON API: bounded in time and size, never redirected, with a token that is never told."""

import contextlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, cast

import orjson
import requests
import urllib3

from gateway.core.errors import GatewayError

MOST_BYTES = 2 * 1024 * 1024
_CONNECT_SECONDS = 5.0


class NoAnswer(GatewayError):
    """Nothing that can be read came back; it may have been done or not."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the status, headers by any spelling, and the JSON object, empty where there is none."""

    status: int
    headers: Mapping[str, str]
    body: Mapping[str, Any] = field(default_factory=dict)


class Api:
    """An API below a base URL, asked with a bearer token. `seconds` bound one request from begin to end."""

    def __init__(self, base_url: str, token: str, seconds: float) -> None:
        self._base, self._token, self._seconds = base_url.rstrip("/"), token, seconds
        self._own = threading.local()

    def ask(self, method: str, path: str, *, query: Mapping[str, str] | None = None, send: Any = None) -> Answer:
        """Ask once; gives the answer whatever its status is. Raises NoAnswer."""
        until = monotonic() + self._seconds
        # Errors are raised `from None`: those of requests quote the URL, and that may hold an address of somebody's.
        try:
            with self._session().request(
                method,
                self._base + path,
                params=query,
                data=None if send is None else orjson.dumps(send),
                headers={"Content-Type": "application/json", "Accept": "application/json"},
                auth=self._authorize,
                # requests hands it on as it is; its types do not say so.
                timeout=cast(Any, urllib3.Timeout(connect=_CONNECT_SECONDS, total=self._seconds)),
                allow_redirects=False,
                stream=True,
            ) as response:
                return Answer(response.status_code, response.headers, _object(_read(response.raw, until)))
        except requests.Timeout:
            raise NoAnswer(f"it did not answer within {self._seconds:g} s") from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise NoAnswer(f"it could not be reached ({type(error).__name__})") from None

    def _session(self) -> requests.Session:
        """Keep a connection for each thread: shaking hands takes longer than most requests."""
        if not hasattr(self._own, "session"):
            self._own.session = requests.Session()
        return cast(requests.Session, self._own.session)

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        # As a function, so that requests does not take a login for this host from ~/.netrc instead.
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _read(raw: urllib3.BaseHTTPResponse, until: float) -> bytes:
    """Read a body. A socket's timeout starts anew with every byte, so a drip is ended by shutting the socket."""
    watchdog = threading.Timer(max(0.0, until - monotonic()), _shut, [raw])
    watchdog.daemon = True
    watchdog.start()
    try:
        body = raw.read(MOST_BYTES + 1, decode_content=True)
    finally:
        watchdog.cancel()
    if monotonic() >= until:
        raise requests.Timeout
    if len(body) > MOST_BYTES:
        raise NoAnswer(f"it answered more than {MOST_BYTES // 1024} kB")
    return bytes(body)


def _object(body: bytes) -> Mapping[str, Any]:
    """Read a JSON object; what is none (an error page of a proxy's) says nothing."""
    with contextlib.suppress(orjson.JSONDecodeError):
        found = orjson.loads(body)
        return found if isinstance(found, dict) else {}
    return {}


def _shut(raw: urllib3.BaseHTTPResponse) -> None:
    # It may have ended by itself a moment ago.
    with contextlib.suppress(OSError, ValueError, RuntimeError):
        raw.shutdown()
