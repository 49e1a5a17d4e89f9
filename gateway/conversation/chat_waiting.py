"""Waiting for what is said in a chat: an answer that takes its time, an operator's words, another device's.

Whoever waits holds a thread of the web server, so a quarter of them may; everybody else is told at once what there is.
One stream of changes wakes all who wait, and each looks by itself every second in case that stream is down.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty
from typing import TypeVar

from gateway import jobs
from gateway.conversation.runtime import Runtime
from gateway.settings import WEB_THREADS
from gateway.store import chats
from gateway.store.answers import DONE, QUEUED
from gateway.store.changes import Told, changes
from gateway.store.chats import Row, Seen
from gateway.store.connection import deadline
from gateway.store.isolation import Channels

MOST = WEB_THREADS // 4
LOOK_SECONDS = 1.0

_seats = threading.BoundedSemaphore(MOST)

_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class Answered:
    """What a message was answered by now. `state` is that of `store.answers`."""

    state: str
    message: Row | None = None


def answer(runtime: Runtime, message_id: str, session_id: str, seconds: float) -> Answered:
    """Wait for the answer to a message; what there is when the time is over, or no seat is free."""

    def look() -> Answered | None:
        with deadline():
            state, found = chats.answer_to(message_id)
        return None if state == QUEUED else Answered(state if found or state != DONE else QUEUED, found)

    return _wait(look, session_id, _bounded(runtime, seconds)) or Answered(QUEUED)


def news(
    runtime: Runtime, session_id: str, seen: Seen, channels: Channels, *, beyond: Row | None, limit: int, seconds: float
) -> tuple[list[Row], Seen]:
    """Wait for what is said in a session after what was seen, and after the message `beyond` where one is named."""

    def look() -> tuple[list[Row], Seen] | None:
        with deadline():
            rows, now_seen = chats.since(session_id, seen, channels, limit=limit)
        after = [row for row in rows if beyond is None or chats.place(row) > chats.place(beyond)]
        return (after, now_seen) if after else None

    return _wait(look, session_id, _bounded(runtime, seconds)) or ([], seen)


def _bounded(runtime: Runtime, seconds: float) -> float:
    return min(seconds, runtime.settings.chat.wait_seconds)


def _wait(look: Callable[[], _Found | None], session_id: str, seconds: float) -> _Found | None:
    """Look until there is something, or time is over."""
    found = look()
    if found is not None or seconds <= 0 or not jobs.is_serving():
        return found
    with _seat() as seated:
        if not seated:
            return None
        ends = time.monotonic() + seconds
        with changes.listen() as told:
            while found is None and jobs.is_serving() and (left := ends - time.monotonic()) > 0:
                _sleep(told, session_id, min(left, LOOK_SECONDS))
                found = look()
    return found


def _sleep(told: Told, session_id: str, seconds: float) -> None:
    """Sleep until something changes in a session, or changes were missed, or the time is over."""
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        try:
            batch = told.get(timeout=left)
        except Empty:
            return
        if batch is None or any(one.session_id == session_id for one in batch):
            return


@contextmanager
def _seat() -> Iterator[bool]:
    taken = _seats.acquire(blocking=False)
    try:
        yield taken
    finally:
        if taken:
            _seats.release()
