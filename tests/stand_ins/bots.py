"""HTTP servers of a test's own: one that answers from a list and keeps what it was asked, and any WSGI app."""

import contextlib
import itertools
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response


@dataclass(frozen=True)
class Asked:
    """One request that reached the stand-in, and when (monotonic)."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class StandIn:
    """Give `answers` in turn, the last one for ever: a Response, or what becomes JSON."""

    url: str = ""
    answers: list[Any] = field(default_factory=lambda: [{}])
    asked: list[Asked] = field(default_factory=list)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        request = Request(environ)
        now = time.monotonic()
        self.asked.append(Asked(request.method, request.path, dict(request.headers), request.get_data(), now))
        answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
        response = answer if isinstance(answer, Response) else Response(json.dumps(answer), mimetype="application/json")
        return response(environ, start_response)

    @property
    def pauses(self) -> list[float]:
        """Give the seconds between the requests."""
        moments = [one.at for one in self.asked]
        return [later - earlier for earlier, later in itertools.pairwise(moments)]


@contextlib.contextmanager
def serve(app: Any) -> Iterator[str]:
    """Serve a WSGI app on a free port and give its URL."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        # The standard library would wait here for requests that a test left hanging.
        server.block_on_close = False
        server.server_close()


@contextlib.contextmanager
def stand_in() -> Iterator[StandIn]:
    """Serve a StandIn."""
    bot = StandIn()
    with serve(bot) as url:
        bot.url = url
        yield bot


@contextlib.contextmanager
def speaking_raw(*answers: list[tuple[float, bytes]]) -> Iterator[str]:
    """Answer connections one after the other with bytes, each after a pause; an empty list hangs up at once."""
    listening = socket.create_server(("127.0.0.1", 0))

    def speak() -> None:
        for answer in answers:
            with contextlib.suppress(OSError):
                connection, _ = listening.accept()
                with connection:
                    # Hanging up on a request that was not read is a reset; one that was read is an end.
                    connection.recv(65536)
                    for pause, chunk in answer:
                        time.sleep(pause)
                        connection.sendall(chunk)

    threading.Thread(target=speak, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.close()


def unused_url() -> str:
    """Give a URL at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"http://127.0.0.1:{listening.getsockname()[1]}"
