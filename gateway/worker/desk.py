"""Where rows of the outbox are claimed and done, by as many hands as the settings give."""

import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from gateway.clients.consumer import Consumer
from gateway.conversation import work
from gateway.conversation.runtime import Runtime
from gateway.core.errors import StoreUnavailable
from gateway.logs import log
from gateway.store import outbox
from gateway.store.connection import deadline
from gateway.store.outbox import NOT_AT_ALL, Row
from gateway.worker.chores import start, steady

# An idle worker asks this often whether something is due: what a caller on the phone notices least.
POLL_SECONDS = 0.2
AWAY_SECONDS = 2

# While a broker brings the rows: how often a worker looks for what it left lying, and how old that must be. To look
# costs half a millisecond when nothing is there, and 17 ms with ten thousand rows that wait.
BEHIND_SECONDS = 1
OVERDUE = timedelta(seconds=5)

# So many of the rows in hand are named in a heartbeat.
SHOWN = 10

# What is in hand after this long is left to its lease and to another worker; hosts kill sooner or later anyway.
STOP_SECONDS = 15

# How long a broker may take to say goodbye; what it is not told any more it brings again, and nothing is found to do.
PARTING_SECONDS = 2


class Desk:
    """Claims rows of the outbox as there are hands for them, and holds their leases while they are worked on."""

    def __init__(self, serving: Runtime, stop: threading.Event) -> None:
        self._serving, self._stop = serving, stop
        self._count = serving.settings.outbox.concurrency
        self._hands = threading.Semaphore(self._count)
        # Models take seconds and sending takes none, so a few hands are kept from asking them; files take memory, and
        # programs that flows post to may be slow. A CRM that is slow, or away, is nobody's answer.
        self._shares = {
            outbox.ANSWER: threading.Semaphore(max(1, self._count * 3 // 4)),
            outbox.FETCH: threading.Semaphore(max(1, self._count // 4)),
            outbox.FLOW: threading.Semaphore(max(1, self._count // 2)),
            outbox.CRM: threading.Semaphore(max(1, self._count // 8)),
        }
        self._held: dict[str, Row] = {}
        self._lease = work.lease(serving)
        self._consumer: Consumer | None = None

    def facts(self) -> dict[str, Any]:
        """Tell what is in hand, for whoever looks after the workers."""
        held = [{"id": row.id, "step": row.step, "tries": row.tries} for row in list(self._held.values())[:SHOWN]]
        brought = self._consumer.is_connected if self._consumer else None
        return {"hands": self._count, "held": len(self._held), "rows": held, "broker": brought}

    def work(self) -> None:
        """Work until told to stop; then finish what is in hand, for a while."""
        empty = threading.Event()
        start(self._renew, self._lease.total_seconds() / 3, empty)
        start(lambda: work.queue_answers(self._serving), POLL_SECONDS, self._stop)
        pool = ThreadPoolExecutor(self._count)
        if self._serving.broker:
            self._consumer = Consumer(self._serving.broker, self.take, hands=self._count)
            start(self._republish, BEHIND_SECONDS, self._stop)
        while not self._stop.is_set():
            if self._hands.acquire(timeout=POLL_SECONDS):
                self._take_one(pool)
        self._finish()
        empty.set()

    def take(self, row_id: str) -> None:
        """Do a row the broker tells of, if it is due and nobody else does it."""
        while not self._hands.acquire(timeout=POLL_SECONDS):
            if self._stop.is_set():
                return
        row = self._claim(row_id=row_id)
        if row:
            self._do(row)
        else:
            self._hands.release()

    def _take_one(self, pool: ThreadPoolExecutor) -> None:
        brought = self._consumer is not None and self._consumer.is_connected
        row = self._claim(overdue=OVERDUE if brought else NOT_AT_ALL)
        if row:
            pool.submit(self._do, row)
            return
        self._hands.release()
        self._stop.wait(BEHIND_SECONDS if brought else POLL_SECONDS)

    def _claim(self, *, row_id: str | None = None, overdue: timedelta = NOT_AT_ALL) -> Row | None:
        taken = [step for step, share in self._shares.items() if share.acquire(blocking=False)]
        steps = [step for step in outbox.HANDS if step in taken or step not in self._shares]
        try:
            row = work.claim(self._serving, steps=steps, row_id=row_id, overdue=overdue)
        except StoreUnavailable as error:
            log.warning("store_unavailable", message=str(error)[:300])
            self._stop.wait(AWAY_SECONDS)
            row = None
        except Exception:
            # Whatever it is, the hands must not get lost with it.
            log.exception("claim_failed")
            self._stop.wait(AWAY_SECONDS)
            row = None
        for step in taken:
            if row is None or row.step != step:
                self._shares[step].release()
        if row:
            self._held[row.owner] = row
        return row

    def _do(self, row: Row) -> None:
        steady(lambda: work.do(self._serving, row))()
        self._held.pop(row.owner, None)
        if row.step in self._shares:
            self._shares[row.step].release()
        self._hands.release()

    def _renew(self) -> None:
        """Go on holding what takes long: a slow model must not be asked twice."""
        until = self._serving.clock.now() + self._lease
        with deadline():
            for row in list(self._held.values()):
                outbox.renew(row.owner, [row.id], until)

    def _republish(self) -> None:
        if self._consumer and self._consumer.is_connected:
            work.republish(self._serving)

    def _finish(self) -> None:
        until = time.monotonic() + STOP_SECONDS
        if self._consumer:
            self._consumer.stop()
        free = [self._hands.acquire(timeout=max(0, until - time.monotonic())) for _ in range(self._count)]
        if not all(free):
            # Threads cannot be stopped. Their rows come to somebody else as after a crash.
            log.warning("worker_stopped", left=[row.id for row in list(self._held.values())])
            sys.stdout.flush()
            os._exit(0)
        if self._consumer:
            self._consumer.join(PARTING_SECONDS)
