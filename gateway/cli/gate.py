"""What a tunnel leads to: a small server on the loopback that passes webhooks on to the gateway, and nothing else.

Target and body reach the gateway byte for byte, since the signature is over them. Whoever calls cannot say where they
came to: what is told of host and scheme is what the tunnel is known by. Size, time and number of requests are bounded.
"""

import contextlib
import http.client
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from gateway.cli.bodies import Unusable, read_body
from gateway.core.errors import ConfigError

# What a webhook may be; a console takes files. All of it is in memory here, of `AT_ONCE` callers.
WEBHOOK_BYTES, ANY_BYTES = 1_100_000, 8_000_000
# A whole request must be here by then; Twilio itself waits 15 seconds for an answer.
REQUEST_SECONDS, ANSWER_SECONDS = 15, 20
AT_ONCE = 64
# What a developer's gateway tells the tools of this machine, and nobody else.
DECISION = "X-Gateway-Decision"

# Neither `..` nor anything that could be read as such: what passes here cannot lead out of /webhooks.
_WEBHOOK = re.compile(r"/webhooks(?:/[A-Za-z0-9_-]+)+/?(?:\?[!-~]*)?")
# What HTTP knows of; control characters would be taken for the gateway's absence further on.
_ANY = re.compile(r"/[!-~]*")
_HOP_BY_HOP = frozenset(
    ["connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding",
     "upgrade", "expect", "content-length"]
)  # fmt: skip
# What only a proxy of ours may say; that of the tunnel says who called in X-Forwarded-For, which stays.
_OURS_TO_SAY = frozenset(
    ["host", "forwarded", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "x-forwarded-prefix",
     "x-original-host", "x-real-ip", "x-request-id"]
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Passed:
    """A request from the tunnel, and what became of it; one that was `stopped` never reached the gateway."""

    at: datetime
    method: str
    target: str
    status: int
    milliseconds: float
    body: bytes = b""
    request_id: str = ""
    decision: str = ""
    stopped: bool = False
    unreachable: bool = False


@dataclass
class _Asked:
    """A request under way."""

    started: float = field(default_factory=time.perf_counter)
    id: str = field(default_factory=lambda: uuid4().hex[:16])
    target: str = ""
    body: bytes = b""


class Gate(ThreadingHTTPServer):
    """Passes requests on to `upstream`, and tells `seen` of each. With `everything` the console is let through too.

    `public_url` is what the tunnel is known by, set as soon as it is open. ConfigError where the port is taken.
    """

    daemon_threads = True
    request_queue_size = AT_ONCE

    def __init__(self, port: int, upstream: str, seen: Callable[[Passed], None], *, everything: bool = False) -> None:
        self.upstream, self.seen, self.everything = urlsplit(upstream), seen, everything
        self.public_url = ""
        self._is_serving = False
        self.proof = f"/webhooks/listening-{uuid4().hex}"
        self._seats = threading.BoundedSemaphore(AT_ONCE)
        self._reading: dict[int, tuple[float, socket.socket]] = {}
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise ConfigError(
                f"Port {port}: {error.strerror}. Stop what listens there, or choose another: --port {port + 1}."
            ) from None

    def start(self) -> None:
        """Serve on a thread of its own."""
        self._is_serving = True
        threading.Thread(target=self.serve_forever, args=(0.1,), name="gate", daemon=True).start()

    def stop(self) -> None:
        """Serve no longer."""
        if self._is_serving:
            self.shutdown()
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection as soon as there is room."""
        while not self._seats.acquire(timeout=0.5):
            self.service_actions()
        self._reading[id(request)] = (time.monotonic() + REQUEST_SECONDS, request)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._reading.pop(id(request), None)
            self._seats.release()

    def service_actions(self) -> None:
        """Hang up on whoever takes too long over a request."""
        now = time.monotonic()
        for until, request in list(self._reading.values()):
            if now > until:
                with contextlib.suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)

    def has_read(self, request: Any) -> None:
        """Note that a request is here as a whole."""
        self._reading.pop(id(request), None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: callers that hang up are nobody's fault here."""

    def lets_through(self, target: str) -> bool:
        """Tell whether a request may reach the gateway."""
        return bool((_ANY if self.everything else _WEBHOOK).fullmatch(target))

    def forwarded(self) -> Iterator[tuple[str, str]]:
        """Give what the gateway is told of the address that was called."""
        public = urlsplit(self.public_url)
        yield "Host", public.netloc or self.upstream.netloc
        if public.netloc:
            yield "X-Forwarded-Host", public.netloc
            yield "X-Forwarded-Proto", public.scheme


class _Handler(BaseHTTPRequestHandler):
    server: Gate
    protocol_version = "HTTP/1.1"
    timeout = REQUEST_SECONDS

    def _pass(self) -> None:
        asked = _Asked()
        # `self.path` would have lost slashes at its beginning.
        asked.target = self.requestline.split(" ")[1]
        self.close_connection = True
        if asked.target == self.server.proof:
            self._answer(204)
            return
        try:
            if not self.server.lets_through(asked.target):
                raise Unusable(404)
            most = WEBHOOK_BYTES if _WEBHOOK.fullmatch(asked.target) else ANY_BYTES
            asked.body = read_body(self.rfile, self.headers, most)
            self.server.has_read(self.request)
            self._forward(asked)
        except Unusable as error:
            self._tell(asked, error.status, stopped=True)
            self._answer(error.status)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _pass  # noqa: N815 - http.server's

    def _forward(self, asked: _Asked) -> None:
        upstream = http.client.HTTPConnection(self.server.upstream.netloc, timeout=ANSWER_SECONDS)
        with contextlib.closing(upstream):
            try:
                response = self._ask(upstream, asked)
            except ValueError:
                raise Unusable(400) from None
            except (OSError, http.client.HTTPException) as error:
                status = 504 if isinstance(error, TimeoutError) else 502
                self._tell(asked, status, unreachable=True)
                self._answer(status)
                return
            self._tell(asked, response.status, decision=response.headers.get(DECISION, ""))
            self._hand_back(response)

    def _ask(self, upstream: http.client.HTTPConnection, asked: _Asked) -> http.client.HTTPResponse:
        upstream.putrequest(self.command, asked.target, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _HOP_BY_HOP | _OURS_TO_SAY:
                upstream.putheader(name, value)
        for name, value in self.server.forwarded():
            upstream.putheader(name, value)
        upstream.putheader("X-Request-Id", asked.id)
        if asked.body or self.command in ("POST", "PUT", "PATCH"):
            upstream.putheader("Content-Length", str(len(asked.body)))
        upstream.endheaders(asked.body)
        return upstream.getresponse()

    def _hand_back(self, response: http.client.HTTPResponse) -> None:
        self.send_response_only(response.status, response.reason)
        for name, value in response.headers.items():
            if name.lower() not in _HOP_BY_HOP and name != DECISION:
                self.send_header(name, value)
        bodiless = self.command == "HEAD" or response.status in (204, 304)
        chunked = response.length is None and not bodiless
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif length := response.headers.get("Content-Length"):
            self.send_header("Content-Length", length)
        self.send_header("Connection", "close")
        self.end_headers()
        if not bodiless:
            self._copy(response, chunked)

    def _copy(self, response: http.client.HTTPResponse, chunked: bool) -> None:
        """Hand on what comes as it comes: the console's pages are told of changes for as long as they are open."""
        while piece := response.read1(65_536):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _answer(self, status: int) -> None:
        self.send_response_only(status)
        # Twilio would text a body of type text/plain to the customer.
        self.send_header("Content-Type", "text/xml; charset=utf-8")
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()

    def send_error(self, code: int, *_: Any) -> None:
        """Answer what is no HTTP, or a method nobody uses, without a page."""
        self.close_connection = True
        self._answer(code)

    def _tell(self, asked: _Asked, status: int, **more: Any) -> None:
        spent = (time.perf_counter() - asked.started) * 1000
        body = asked.body if _WEBHOOK.fullmatch(asked.target) else b""
        self.server.seen(Passed(datetime.now(UTC), self.command, asked.target, status, spent, body, asked.id, **more))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Print nothing: `listen` shows what came."""
