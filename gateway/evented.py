"""gunicorn's worker of threads, whose main thread serves the webhooks that need no thread of their own.

Threads that take turns at one interpreter cost as much again as what they do. A webhook computes, waits once, for the
group it is stored with (`conversation.group_commit`), and answers. So those that are here whole begin in the main
thread, one after the other, each in a greenlet; at the group they stand still. When no more are here the group is
stored, and each goes on with what became of it. Whatever else waits for a disk or for MongoDB is done `aside`, in a
thread, and so is every other request. What that buys: benchmarks/webhooks/README.md.
"""

import contextvars
import logging
import re
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, ParamSpec, TypeVar

from greenlet import getcurrent, greenlet
from gunicorn.workers.gthread import _DEFER, TConn

from gateway.connections import RECEIVE_BYTES, ConnectionsWorker
from gateway.gathering import MOST, Gathering
from gateway.pacing import Paced

P = ParamSpec("P")
T = TypeVar("T")

# Twilio's webhooks have two or three thousand bytes. What has a longer head is read by a thread.
HEAD_BYTES = 8 * 1024
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d{1,5})\r\n", re.IGNORECASE)
_QUOTED = re.compile("[\"'].*[\"']", re.DOTALL)
_FRAMED_OTHERWISE = re.compile(rb"\r\n(?:expect|transfer-encoding|upgrade):", re.IGNORECASE)


class EventedWorker(ConnectionsWorker):
    """Serves small POST requests to `paths` in its main thread as soon as they are there, all others in its threads.

    The app stores with what `gathering` gives, and does `aside` whatever else waits. While a group is stored nothing is
    accepted, so a MongoDB that hangs holds up all that begins in this process, `/healthz` too, until its deadline.
    """

    cfg: Any

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.cfg = _Settled(self.cfg)
        logging.getLogger("gunicorn.error").addFilter(_withhold)
        self._gatherings: list[Gathering[Any, Any]] = []
        self.paths: tuple[str, ...] = ()

    def run(self) -> None:
        """Serve until the end."""
        self._hub = getcurrent()
        # Not those that read requests: their clients may take their time, and a webhook must not wait for them.
        self._aside = ThreadPoolExecutor(self.cfg.threads, thread_name_prefix="aside")
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
        done = self._aside.submit(partial(contextvars.copy_context().run, do, *given, **named))
        done.add_done_callback(lambda _: self.method_queue.defer(self._go_on, here))
        here.parent.switch()
        result: T = done.result()
        return result

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Begin all requests that are here, and those that come meanwhile; then have done what was gathered."""
        super().wait_for_and_dispatch_events(timeout)
        while waiting := self._standing_still():
            super().wait_for_and_dispatch_events(0)
            if self._standing_still() == waiting or waiting >= MOST:
                for gathering in self._gatherings:
                    for here, result in gathering.serve():
                        self._go_on(here, result)

    def _standing_still(self) -> int:
        return sum(len(gathering) for gathering in self._gatherings)

    def enqueue_req(self, conn: TConn) -> None:
        """Serve a connection that something came from; a head or a webhook that is there in part is watched for."""
        try:
            received = None if self.cfg.is_ssl else _receive(conn)
        except OSError:
            self._finish(conn, False)
            return
        missing = -1 if received is None else self._missing(received)
        begun, _ = self.partly.pop(conn, (time.monotonic(), 0))
        if missing == 0:
            self._go_on(_Request(self.handle, self._hub, conn), conn)
        elif missing > 0 and self.alive:
            self.partly[conn] = begun, len(received or b"")
            self._finish(conn, _DEFER)
        else:
            if received is not None:
                conn.parser.unreader.sock = Paced(conn.sock)
            super().enqueue_req(conn)

    def _missing(self, received: bytes) -> int:
        """Give how many bytes, at least, a head or a request to `paths` lacks; below 0 it is all else, or several."""
        head = received.find(b"\r\n\r\n", 0, HEAD_BYTES)
        if head < 0:
            return 1 if len(received) < HEAD_BYTES else -1
        if not received.startswith(self._starts):
            return -1
        length = _LENGTH.search(received, 0, head + 2)
        if length is None or _FRAMED_OTHERWISE.search(received, 0, head):
            return -1
        return head + 4 + int(length[1]) - len(received)

    def handle_request(self, req: Any, conn: TConn) -> Any:
        """Serve a request. In the main thread no client is waited for: one that does not read its answers is let go."""
        if getcurrent().parent is not None:
            conn.sock.setblocking(False)
        return super().handle_request(req, conn)

    def _go_on(self, here: greenlet, *given: Any) -> None:
        kept = here.switch(*given)
        if here.dead:
            self._finish(here.conn, kept)

    def _finish(self, conn: TConn, kept: object) -> None:
        self.finish_request(conn, _Done(kept))


@dataclass(frozen=True, slots=True)
class _Done:
    """What became of a request in the main thread: as much of a future as is asked of one, without its locks."""

    kept: object

    def cancelled(self) -> bool:
        return False

    def exception(self) -> None:
        return None

    def result(self) -> object:
        return self.kept


def _withhold(record: logging.LogRecord) -> bool:
    """Let gunicorn say what is wrong with a request, and not quote it: it may be what somebody wrote."""
    if str(record.msg).startswith("Invalid request"):
        record.msg = _QUOTED.sub("'...'", record.msg)
    return True


class _Settled:
    """gunicorn's settings, each looked up once; it looks up some thirty of them for a request, and none changes."""

    def __init__(self, settings: Any) -> None:
        self._settings = settings

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._settings, name)
        setattr(self, name, found)
        return found


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
        received = conn.sock.recv(RECEIVE_BYTES, socket.MSG_DONTWAIT)
        ended = not received
    except BlockingIOError:
        received, ended = b"", False
    conn.parser.unreader.unread(before + received)
    return None if ended else before + received
