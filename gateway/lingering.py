"""gunicorn's worker of threads, where a thread stays with its connection for a moment after an answer."""

import select
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

# How long a thread waits for the next request: as long as somebody who sends one after the other needs between two.
LINGER_MS = 20


class LingeringWorker(ThreadWorker):  # type: ignore[misc]  # the library has no types
    """Serves what comes next on a connection in the same thread, unless another connection waits for one.

    gunicorn gives a connection that is kept alive back to its main thread, which watches it and hands it to some thread
    again: two switches of threads, a future and five system calls for each request. A proxy that sends request after
    request finds the thread still there. What that buys: benchmarks/webhooks/README.md.
    """

    def handle(self, conn: TConn) -> Any:
        """Serve a connection until it pauses, ends, or others wait; gives what the last request left it at."""
        kept = super().handle(conn)
        while kept is True and self.alive and self.tpool._work_queue.empty() and _has_more(conn):
            kept = super().handle(conn)
        return kept


def _has_more(conn: TConn) -> bool:
    """Wait for more from a connection, for a moment; what was read ahead of it is there already."""
    if conn.parser.unreader.buf.getvalue():
        return True
    poll = select.poll()
    poll.register(conn.sock, select.POLLIN)
    return bool(poll.poll(LINGER_MS))
