"""gunicorn's worker of threads, whose main thread serves the webhooks that need no thread of their own.

Threads that take turns at one interpreter cost as much again as what they do. A webhook computes, waits once, for the
group it is stored with (`conversation.group_commit`), and answers. So those that are here whole begin in the main
thread, one after the other, each in a greenlet; at the group they stand still. When no more are here the group is
stored, and each goes on with what became of it. Whatever else waits for a disk or for MongoDB is done `aside`, in a
thread, and so is every other request. What that buys: benchmarks/webhooks/README.md.
"""

import contextvars
import re
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, ParamSpec, TypeVar

from greenlet import getcurrent, greenlet
from gunicorn.workers.gthread import _DEFER, TConn, ThreadWorker

from gateway.core.combining import Combiner, Item, Result

P = ParamSpec("P")
T = TypeVar("T")

# Twilio's webhooks have two or three thousand bytes. What is much longer is read by a thread.
RECEIVE_BYTES, HEAD_BYTES = 64 * 1024, 8 * 1024
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d{1,5})\r\n", re.IGNORECASE)


class Gathering(Combiner[Item, Result]):
    """Has done for all at once what the requests of the main thread want done; other threads combine as ever."""

    def __init__(self) -> None:
        super().__init__()
        self._gathered: list[tuple[greenlet, Item]] = []

    def do(self, item: Item, serve: Callable[[Sequence[Item]], Sequence[Result]]) -> Result:
        """Stand still until an item is served along with all others that are gathered."""
        here = getcurrent()
        if here.parent is None:
            return super().do(item, serve)
        self._serve = serve
        self._gathered.append((here, item))
        result: Result | BaseException = here.parent.switch()
        if isinstance(result, BaseException):
            raise result
        return result

    def serve(self) -> Sequence[tuple[greenlet, Result | BaseException]]:
        """Serve what was gathered; gives who goes on with what."""
        if not self._gathered:
            return ()
        gathered, self._gathered = self._gathered, []
        results: Sequence[Result | BaseException]
        try:
            results = self._serve([item for _, item in gathered])
        except Exception as error:
            results = [error] * len(gathered)
        return [(here, result) for (here, _), result in zip(gathered, results, strict=True)]


class EventedWorker(ThreadWorker):  # type: ignore[misc]  # the library has no types
    """Serves small POST requests to `paths` in its main thread as soon as they are there, all others in its threads.

    The app stores with what `gathering` gives, and does `aside` whatever else waits.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._gatherings: list[Gathering[Any, Any]] = []
        self.paths: tuple[str, ...] = ()

    def run(self) -> None:
        """Serve until the end."""
        self._hub = getcurrent()
        self._starts = tuple(f"POST {path}{end}".encode() for path in self.paths for end in " ?")
        super().run()

    def gathering(self) -> Gathering[Any, Any]:
        """Give one more place where requests stand still until all that is gathered is done."""
        self._gatherings.append(Gathering())
        return self._gatherings[-1]

    def aside(self, do: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        """Do something in a thread, while the main thread serves others."""
        here = getcurrent()
        if here.parent is None:
            return do(*given, **named)
        done = self.tpool.submit(contextvars.copy_context().run, do, *given, **named)
        done.add_done_callback(lambda _: self.method_queue.defer(self._go_on, here))
        self._hub.switch()
        result: T = done.result()
        return result

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Begin all requests that are here, then have done what was gathered."""
        super().wait_for_and_dispatch_events(timeout)
        for gathering in self._gatherings:
            for here, result in gathering.serve():
                self._go_on(here, result)

    def enqueue_req(self, conn: TConn) -> None:
        """Serve a connection that something came from; what is there in part of a webhook is watched for its rest."""
        try:
            received = None if self.cfg.is_ssl else _receive(conn)
        except OSError:
            self._finish(conn, False)
            return
        missing = -1 if received is None else self._missing(received)
        if missing == 0:
            self._go_on(_Request(self.handle, self._hub, conn), conn)
        elif missing > 0 and self.alive:
            self._finish(conn, _DEFER)
        else:
            super().enqueue_req(conn)

    def _missing(self, received: bytes) -> int:
        """Give how many bytes, at least, a request to `paths` lacks; below 0 it is another one, or several."""
        if not any(start.startswith(received[: len(start)]) for start in self._starts):
            return -1
        head = received.find(b"\r\n\r\n")
        length = _LENGTH.search(received, 0, head + 2)
        if head < 0:
            return 1 if len(received) < HEAD_BYTES else -1
        return head + 4 + int(length[1]) - len(received) if length else -1

    def handle_request(self, req: Any, conn: TConn) -> Any:
        """Serve a request. In the main thread no client is waited for: one that does not read its answers is let go."""
        if getcurrent().parent is not None:
            conn.sock.setblocking(False)
        return super().handle_request(req, conn)

    def finish_request(self, conn: TConn, fs: "Future[Any]") -> None:
        """Watch a connection that is kept; another one's end is waited for in a thread."""
        if fs.cancelled() or fs.exception() or fs.result():
            super().finish_request(conn, fs)
        else:
            self.nr_conns -= 1
            self.tpool.submit(conn.close, graceful=True)

    def _go_on(self, here: greenlet, *given: Any) -> None:
        kept = here.switch(*given)
        if here.dead and isinstance(here, _Request):
            self._finish(here.conn, kept)

    def _finish(self, conn: TConn, kept: object) -> None:
        done = Future[object]()
        done.set_result(kept)
        self.finish_request(conn, done)


class _Request(greenlet):  # type: ignore[misc]  # the library has no types
    """A request that the main thread serves."""

    def __init__(self, run: Callable[[TConn], bool], hub: greenlet, conn: TConn) -> None:
        super().__init__(run, hub)
        self.conn = conn


def _receive(conn: TConn) -> bytes | None:
    """Give what is there of a connection's next request, and leave it to be parsed; None where no more will come."""
    conn.init()
    before: bytes = conn.parser.unreader.take_buffered()
    try:
        received: bytes | None = conn.sock.recv(RECEIVE_BYTES, socket.MSG_DONTWAIT)
    except BlockingIOError:
        received = b""
    else:
        received = received or None
    conn.parser.unreader.unread(before + (received or b""))
    return None if received is None else before + received
