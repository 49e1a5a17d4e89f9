"""The hands that tell programs of events: apart from those that answer people, and only so many for one program.

A program that hangs keeps its own few hands busy for a moment; after some failures it is left alone and then asked
with one event at a time. Nobody else's events, and no answer to anybody, ever wait for it.
"""

import secrets
import socket
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from gateway.conversation.events import deliver
from gateway.conversation.release import pause
from gateway.conversation.runtime import Runtime
from gateway.core.errors import StoreUnavailable
from gateway.logs import log
from gateway.store import outbox_claims, subscriptions
from gateway.store.connection import deadline
from gateway.store.outbox import Row
from gateway.store.subscriptions import Subscription

# So many events at once for one program; one while it fails.
AT_ONCE = 4
ROUND = 16
POLL_SECONDS = 0.2
# How often it is looked whether anybody listens, while nobody does.
NOBODY_SECONDS = 2.0
# A claim outlasts a try: its time-out, the look-up of the name, and two rounds to MongoDB.
BESIDE = timedelta(seconds=45)


class Hands:
    """Claims events for the programs that can take one, and delivers them on threads."""

    def __init__(self, runtime: Runtime, stop: threading.Event) -> None:
        self._runtime, self._stop = runtime, stop
        self._free = threading.Semaphore(runtime.settings.events.concurrency)
        self._busy: Counter[str] = Counter()
        self._guard = threading.Lock()
        self._changed = threading.Event()

    def work(self) -> None:
        """Deliver until told to stop; what is in hand is finished, which takes a time-out at most."""
        with ThreadPoolExecutor(self._runtime.settings.events.concurrency) as pool:
            while not self._stop.is_set():
                self._rest(self._round(pool))

    def _rest(self, seconds: float) -> None:
        """Wait, but no longer than until a hand is free again; a long wait ends when this is to stop."""
        if seconds > POLL_SECONDS:
            self._stop.wait(seconds)
        else:
            self._changed.wait(seconds)
            self._changed.clear()

    def _round(self, pool: ThreadPoolExecutor) -> float:
        """Take what is due and can be taken; give how long to wait before the next look."""
        try:
            with deadline():
                listening = subscriptions.listening()
            if not listening:
                return NOBODY_SECONDS
            # Not for long by one look: who does not answer is to be left alone soon.
            for _ in range(ROUND):
                if self._stop.is_set() or not self._take_one(pool, listening):
                    return POLL_SECONDS
        except StoreUnavailable as error:
            log.warning("store_unavailable", message=str(error)[:300])
            return NOBODY_SECONDS
        except Exception:
            # Whatever it is, this thread must not be gone.
            log.exception("events_failed")
            return NOBODY_SECONDS
        return 0

    def _take_one(self, pool: ThreadPoolExecutor, listening: list[Subscription]) -> bool:
        ready = self._ready(listening)
        if not ready or not self._free.acquire(blocking=False):
            return False
        row = None
        try:
            row = claim(self._runtime, ready)
        finally:
            if row is None:
                self._free.release()
        if row is None:
            return False
        with self._guard:
            self._busy[row.subscription] += 1
        pool.submit(self._do, row)
        return True

    def _ready(self, listening: list[Subscription]) -> list[str]:
        """List the programs that can be told of something now."""
        now = self._runtime.clock.now()
        with self._guard:
            return [
                one.id
                for one in listening
                if (one.held_until is None or one.held_until <= now)
                and self._busy[one.id] < (1 if one.failures else AT_ONCE)
            ]

    def _do(self, row: Row) -> None:
        try:
            do(self._runtime, row)
        finally:
            with self._guard:
                self._busy[row.subscription] -= 1
            self._free.release()
            self._changed.set()


def claim(runtime: Runtime, among: list[str]) -> Row | None:
    """Take an event that is due for one of these programs; None where there is none."""
    lease = timedelta(seconds=runtime.settings.events.timeout_seconds) + BESIDE
    owner = f"{socket.gethostname()}-{secrets.token_hex(8)}"
    with deadline():
        return outbox_claims.claim_event(owner, runtime.clock.now(), lease, among)


def do(runtime: Runtime, row: Row) -> None:
    """Deliver a claimed event; what nobody foresaw is tried again later, and is not forgotten."""
    try:
        deliver.deliver(runtime, row)
    except StoreUnavailable as error:
        # The claim ends by itself, and the event is told again.
        log.warning("store_unavailable", message=str(error)[:300], row=row.id)
    except Exception as error:
        log.exception("event_failed", row=row.id)
        with deadline():
            outbox_claims.put_off(
                row, runtime.clock.now() + pause(row.tries), error=f"our_fault: {error!r}"[:300], response={}
            )
