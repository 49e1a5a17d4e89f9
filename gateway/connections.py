"""The connections of gunicorn's worker of threads: how many are accepted at once, how long each may take, its end.

gunicorn bears with whoever sends byte by byte, for ever, though others find no room.
"""

import errno
import os
import socket
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from selectors import EVENT_READ
from typing import Any, Protocol

from gunicorn.workers.gthread import TConn, ThreadWorker

from gateway.pacing import RECEIVE_SECONDS, SLOWEST_BYTES_A_SECOND

# As much as is read of a connection at once.
RECEIVE_BYTES = 64 * 1024

# How many connections a process accepts before it gives way to another one, which then accepts some as well. Without
# that one process often has all that come together, and the other one has nothing to do.
ACCEPTS = 4
# macOS has no such call.
_give_way: Callable[[], None] = getattr(os, "sched_yield", lambda: None)
_NOT_NOW = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED})
_FULL = frozenset({errno.EMFILE, errno.ENFILE})
FULL_PAUSE_SECONDS = 0.05

# How long a process that has all the connections it may have waits for who is silent, or sends a request in pieces, and
# how often it looks for those. What is genuine comes at once, and whoever comes next needs the room.
CROWDED_SECONDS, LOOK_SECONDS = 2.0, 0.5

# How long a connection that was closed on our side is read from still: closed while it sends, it could lose its answer.
LINGER_SECONDS = 2.0


class Served(Protocol):
    """What became of a request: as much of a future as gunicorn asks of one."""

    def cancelled(self) -> bool:
        """Tell whether it was not begun."""

    def exception(self) -> BaseException | None:
        """Give what went wrong."""

    def result(self) -> object:
        """Tell whether the connection is kept."""


class ConnectionsWorker(ThreadWorker):  # type: ignore[misc]  # the library has no types
    """Makes room for others where it is crowded, and lets go of who is too slow.

    `partly` has of each request that is here in part when it began, and how many bytes of it are here.
    """

    worker_connections: int
    nr_conns: int

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.partly: dict[TConn, tuple[float, int]] = {}
        self._closing: deque[TConn] = deque()
        self._looked = 0.0
        self._full = False

    def accept(self, listener: socket.socket) -> None:
        """Accept some of the connections that wait; the rest are accepted before their group is stored, too."""
        for _ in range(min(ACCEPTS, self.worker_connections - self.nr_conns)):
            try:
                client, address = listener.accept()
            except OSError as error:
                if error.errno in _FULL:
                    self._full = True
                elif error.errno not in _NOT_NOW:
                    raise
                break
            self.nr_conns += 1
            self.enqueue_req(TConn(self.cfg, client, address, listener.getsockname()))
        _give_way()

    def murder_keepalived(self, force: bool = False) -> None:
        """Close what was not used for too long; where there is no room for another connection all that nobody uses."""
        full, self._full = self._full, False
        if full:
            self.log.error("Too many open files, with %s connections: idle ones are closed.", self.nr_conns)
            time.sleep(FULL_PAUSE_SECONDS)
        super().murder_keepalived(force=force or full or self._is_crowded())

    def finish_request(self, conn: TConn, fs: Served) -> None:
        """Watch a connection that is kept, for its next request, and another one for its end."""
        if fs.cancelled() or fs.exception() or fs.result():
            super().finish_request(conn, fs)
            return
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
            self.poller.register(conn.sock, EVENT_READ, partial(self._look_for_end, conn))
        except (OSError, ValueError):
            self.nr_conns -= 1
            conn.close()
        else:
            conn.timeout = time.monotonic() + LINGER_SECONDS
            self._closing.append(conn)

    def _look_for_end(self, conn: TConn, client: socket.socket) -> None:
        try:
            more = client.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            more = b""
        if not more:
            self._end(conn)

    def _end(self, conn: TConn) -> None:
        self._closing.remove(conn)
        self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()

    def murder_pending(self) -> None:
        """Close who said nothing for too long or said it too slowly, what was read to its end, and at the end all.

        gunicorn waits as long again for each byte, so a few thousand clients could take all connections for ever.
        """
        now = time.monotonic()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            self._let_go_of_slow(now)
        while self._closing and self._closing[0].timeout <= now:
            self._end(self._closing[0])
        if not self.alive:
            for conn in self.pending_conns:
                conn.timeout = min(conn.timeout, now + LINGER_SECONDS)
        super().murder_pending()

    def _is_crowded(self) -> bool:
        return self.nr_conns >= self.worker_connections

    def _let_go_of_slow(self, now: float) -> None:
        crowded, slow = self._is_crowded(), list[TConn]()
        for conn in self.pending_conns:
            begun, size = self.partly.get(conn, (conn.timeout - self.cfg.keepalive, 0))
            patience = CROWDED_SECONDS if crowded else RECEIVE_SECONDS + size / SLOWEST_BYTES_A_SECOND
            if now - begun > patience and (crowded or conn in self.partly):
                slow.append(conn)
        for conn in slow:
            self.pending_conns.remove(conn)
            self.poller.unregister(conn.sock)
            self.nr_conns -= 1
            conn.close()
        self.partly = {conn: known for conn in self.pending_conns if (known := self.partly.get(conn))}
