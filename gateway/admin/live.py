"""What changes, told to open pages as it happens: Server-Sent Events, as many as leave threads for everybody else."""

import json
import random
import threading
import time
from collections.abc import Iterator
from queue import Empty

from flask import Response, request
from flask.typing import ResponseReturnValue

from gateway import jobs
from gateway.admin import login
from gateway.admin.blueprint import bp
from gateway.admin.login import access
from gateway.core.access import Access
from gateway.core.errors import StoreUnavailable
from gateway.settings import WEB_THREADS
from gateway.store import users
from gateway.store.changes import Batch, Told, changes
from gateway.store.connection import deadline

# A stream holds a thread, so most of them stay free for webhooks and pages.
MOST = WEB_THREADS // 4

# Nobody tells a server that a browser has gone: a write that fails does.
HEARTBEAT_SECONDS = 3.0
LOGIN_SECONDS = 20.0
LONGEST_SECONDS = 300.0
TICK_SECONDS = 1.0

_seats = threading.BoundedSemaphore(MOST)


@bp.get("/live")
def live() -> ResponseReturnValue:
    """Tell of sessions that changed, on the channels the reader sees; 204 where the page is to ask by itself."""
    operator = login.current()
    if request.method == "HEAD":
        return "", 204  # such a response is never closed, so it would keep its seat for ever
    if operator is None or not _seats.acquire(blocking=False):
        return "", 204, {"Retry-After": "60"}
    response = Response(_events(operator.get_id(), access()), mimetype="text/event-stream")
    response.call_on_close(_seats.release)
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _events(token: str, reader: Access) -> Iterator[str]:
    began = checked = spoke = time.monotonic()
    # Not all at once, or all come back at once.
    ends = began + LONGEST_SECONDS * random.uniform(0.8, 1)  # noqa: S311 - no secret hangs on it
    yield "retry: 1000\n\n"
    with changes.listen() as told:
        while jobs.is_serving() and time.monotonic() < ends:
            batch = _next(told)
            now = time.monotonic()
            if now - checked > LOGIN_SECONDS:
                renewed, checked = _renewed(token), now
                if renewed is None:
                    return
                reader = renewed
            if words := _words(batch, reader):
                spoke = now
                yield words
            elif now - spoke > HEARTBEAT_SECONDS:
                spoke = now
                yield ":\n\n"


def _next(told: Told) -> Batch:
    try:
        return told.get(timeout=TICK_SECONDS)
    except Empty:
        return frozenset()


def _renewed(token: str) -> Access | None:
    """Give what whoever listens may see by now; None where the login ended, or nobody can tell."""
    try:
        with deadline():
            user = users.find(token)
    except StoreUnavailable:
        return None
    return user.access if user else None


def _words(batch: Batch, reader: Access) -> str:
    """Write an event; an empty list of sessions says that changes were missed."""
    seen = sorted({one.session_id for one in batch or () if reader.sees(one.channel_id)})
    return f"event: changed\ndata: {json.dumps(seen)}\n\n" if seen or batch is None else ""
