"""One POST to whoever answers for us: bounded in time and size, tried again where that can help."""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from time import monotonic
from typing import Any, cast
from urllib.parse import urlsplit

import orjson
import requests
import urllib3
from requests.auth import HTTPBasicAuth
from requests.utils import get_auth_from_url
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_exponential, wait_random

from gateway.core.errors import ResponderFailed
from gateway.logs import log

MOST_BYTES = 256 * 1024
MOST_SECONDS_AFTER = 10.0
_CONNECT_SECONDS = 5.0
_BACKOFF = wait_exponential(multiplier=0.5, max=5) + wait_random(0, 0.5)


class TryAgain(ResponderFailed):
    """A failure that may pass. `after` is how long the other side asked us to wait, in seconds."""

    def __init__(self, text: str, after: float | None = None) -> None:
        super().__init__(text)
        self.after = after


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a responder asks. `whom` and `variable` are how errors name it; `remedies` are by status.

    `seconds` bounds one try from the connection to the last byte, except that a server which drips its headers
    may take longer.
    """

    responder: str
    whom: str
    variable: str
    url: str
    seconds: float
    tries: int = 3
    remedies: Mapping[int, str] = field(default_factory=dict)

    def post(self, body: bytes, headers: Callable[[], Mapping[str, str]]) -> bytes:
        """Give the body of the answer; `headers` is asked anew for each try.

        Tried again are 5xx, 429 and lost connections. Not tried again is a request that ran out of time: whoever
        is slow once is slow again, and a person waits. Raises ResponderFailed.
        """
        trying = Retrying(
            stop=stop_after_attempt(self.tries),
            wait=_pause,
            retry=retry_if_exception_type(TryAgain),
            before_sleep=self._tell,
            reraise=True,
        )
        return trying(self._try, body, headers)

    def failed(self, what: str) -> ResponderFailed:
        """Make the error that says what was wrong with an answer."""
        return ResponderFailed(f"{self} {what}")

    def __str__(self) -> str:
        """Name the host alone: paths and queries may hold keys."""
        with suppress(ValueError):
            parts = urlsplit(self.url)
            return f"{self.whom} at {(parts.netloc.rpartition('@')[2])[:80]}"
        return self.whom

    def _try(self, body: bytes, headers: Callable[[], Mapping[str, str]]) -> bytes:
        deadline = monotonic() + self.seconds
        # Errors are raised `from None`: those of requests quote the URL with its query.
        try:
            with requests.Session() as session, self._send(session, body, headers()) as response:
                self._judge(response)
                return self._read(response.raw, deadline)
        except requests.ReadTimeout:
            raise self._late() from None
        except requests.ConnectionError as error:
            raise TryAgain(
                f"{self} could not be reached ({_kind(error)}). Is it running? See {self.variable}."
            ) from None
        except (requests.RequestException, UnicodeError, ValueError):
            raise self.failed(
                f"cannot be called: {self.variable} or a header made from the settings is wrong."
            ) from None

    def _send(self, session: requests.Session, body: bytes, headers: Mapping[str, str]) -> requests.Response:
        timeout = urllib3.Timeout(connect=min(self.seconds, _CONNECT_SECONDS), total=self.seconds)
        common = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "identity"}
        return session.post(
            self.url,
            data=body,
            headers=common | dict(headers),
            auth=_auth(self.url),
            # requests hands it on as it is; its types do not say so.
            timeout=cast(Any, timeout),
            allow_redirects=False,
            stream=True,
        )

    def _judge(self, response: requests.Response) -> None:
        """Let only 2xx pass. Bodies of refusals are not read: they like to quote what was asked."""
        status = response.status_code
        if 200 <= status < 300:
            return
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= 500:
            remedy = self.remedies.get(status, "Its own log says why.")
            after = seconds_after(response.headers.get("Retry-After"), datetime.now(UTC))
            raise TryAgain(f"{self} answered {status}. {remedy}", after)
        if 300 <= status < 400:
            raise self.failed(f"answered {status}. Redirects are not followed: put the final URL into {self.variable}.")
        raise self.failed(f"answered {status}. {self.remedies.get(status, 'Its own log says why.')}")

    def _read(self, raw: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
        """Read the body. A socket's timeout starts anew with every byte, so a drip is ended by shutting the socket."""
        watchdog = threading.Timer(max(0.0, deadline - monotonic()), _shut, [raw])
        watchdog.daemon = True
        watchdog.start()
        body, broke_off = b"", False
        try:
            body = raw.read(MOST_BYTES + 1, decode_content=True)
        except (urllib3.exceptions.HTTPError, OSError, ValueError):
            broke_off = True
        finally:
            watchdog.cancel()
        if monotonic() >= deadline:
            raise self._late()
        if broke_off:
            raise TryAgain(f"{self} broke off its answer. Its own log says why.")
        if len(body) > MOST_BYTES:
            raise self.failed(f"answered more than {MOST_BYTES // 1024} kB. That is not for a message; shorten it.")
        return body

    def _late(self) -> ResponderFailed:
        limit = self.variable.rpartition("__")[0] + "__TIMEOUT_SECONDS"
        return self.failed(f"did not answer within {self.seconds:g} s. Make it faster, or raise {limit}.")

    def _tell(self, state: RetryCallState) -> None:
        reason = str(state.outcome.exception()) if state.outcome else ""
        pause = round(state.upcoming_sleep, 1)
        log.warning("responder_retried", responder=self.responder, reason=reason, pause_seconds=pause)


def parse_object(endpoint: Endpoint, body: bytes) -> dict[str, Any]:
    """Read the JSON object of an answer."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        # Its message is harmless, but its `doc` holds the whole answer.
        raise endpoint.failed("answered something that is not JSON.") from None
    if not isinstance(answer, dict):
        raise endpoint.failed(f"answered a JSON {kind_of(answer)} where an object is expected.")
    return answer


def kind_of(value: object) -> str:
    """Name the JSON type of a value."""
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number"}
    return names.get(type(value), "null")


def seconds_after(header: str | None, now: datetime) -> float | None:
    """Read Retry-After, seconds or a date (RFC 9110, 10.2.3), as seconds from now; at most 10, None for nonsense."""
    if not header:
        return None
    try:
        seconds = float(header) if header.strip().isdecimal() else _until(header, now)
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), MOST_SECONDS_AFTER)


def _until(header: str, now: datetime) -> float:
    moment = parsedate_to_datetime(header)
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds()


def _pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.after if isinstance(error, TryAgain) else None
    return _BACKOFF(state) if asked is None else asked


def _auth(url: str) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    """Take a login from the URL only. Left alone, requests would let ~/.netrc replace the key of the settings."""
    user, password = get_auth_from_url(url)
    return HTTPBasicAuth(user, password) if user or password else lambda request: request


def _kind(error: requests.ConnectionError) -> str:
    """Name what went wrong, e.g. NameResolutionError; the text of the error may hold the URL."""
    first = error.args[0] if error.args else error
    return type(getattr(first, "reason", first)).__name__


def _shut(raw: urllib3.BaseHTTPResponse) -> None:
    # It may have ended by itself a moment ago.
    with suppress(OSError, ValueError, RuntimeError):
        raw.shutdown()
