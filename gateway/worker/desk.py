"""Where rows of the outbox are claimed and done, by as many hands as the settings give."""

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, TypeVar

from gateway.clients.consumer import Consumer
from gateway.conversation import work
from gateway.conversation.runtime import Runtime
from gateway.core.errors import StoreUnavailable
from gateway.logs import log
from gateway.store import outbox, outbox_claims
from gateway.store.connection import deadline
from gateway.store.outbox import Row
from gateway.store.outbox_claims import NOT_AT_ALL
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


T = TypeVar("T")


class Shares:
    """How many of the hands may do a step at a time; steps that are not named may have all."""

    def __init__(self, shares: Mapping[str, int]) -> None:
        self._free, self._guard = dict(shares), threading.Lock()

    def steps(self) -> list[str]:
        """List the steps that a hand may do now."""
        return [step for step in outbox.HANDS if self._free.get(step, 1)]

    def take(self, step: str) -> bool:
        """Count a hand that does a step; False where it may not."""
        with self._guard:
            free = self._free.get(step, 1)
            if free and step in self._free:
                self._free[step] = free - 1
            return bool(free)

    def give(self, step: str) -> None:
        """Count a hand that does it no more."""
        with self._guard:
            if step in self._free:
                self._free[step] += 1


class Desk:
    """Claims rows of the outbox as there are hands for them, and holds their leases while they are worked on."""

    def __init__(self, serving: Runtime, stop: threading.Event) -> None:
        self._serving, self._stop = serving, stop
        self._count = serving.settings.outbox.concurrency
        self._hands = threading.Semaphore(self._count)
        # Models take seconds and sending takes none, so a few hands are kept from asking them; files take memory, and
        # programs that flows post to may be slow. A CRM that is slow, or away, is nobody's answer.
        self._shares = Shares(
            {
                outbox.ANSWER: max(1, self._count * 3 // 4),
                outbox.FETCH: max(1, self._count // 4),
                outbox.FLOW: max(1, self._count // 2),
                outbox.CRM: max(1, self._count // 8),
            }
        )
        self._held: dict[tuple[str, str], Row] = {}
        self._lease = work.lease(serving)
        self._consumer: Consumer | None = None
        self._done = threading.Event()
        # When answers that are due, and rows that are, were looked for last; by the monotonic clock.
        self._answers_looked_for = self._rows_looked_for = -math.inf

    def facts(self) -> dict[str, Any]:
        """Tell what is in hand, for whoever looks after the workers."""
        held = [{"id": row.id, "step": row.step, "tries": row.tries} for row in list(self._held.values())[:SHOWN]]
        brought = self._consumer.is_connected if self._consumer else None
        return {"hands": self._count, "held": len(self._held), "rows": held, "broker": brought}

    def work(self) -> None:
        """Work until told to stop; then finish what is in hand, for a while."""
        empty = threading.Event()
        start(self._renew, self._lease.total_seconds() / 3, empty)
        pool = ThreadPoolExecutor(self._count)
        if self._serving.broker:
            self._consumer = Consumer(self._serving.broker, self.take, hands=self._count)
            start(self._republish, BEHIND_SECONDS, self._stop)
        while not self._stop.is_set():
            self._queue_answers()
            if not self._take_some(pool):
                # What is done often leaves more to do: an answer, which is to be sent.
                self._done.wait(POLL_SECONDS)
                self._done.clear()
        self._finish()
        empty.set()

    def take(self, row_id: str) -> None:
        """Do a row the broker tells of, if it is due and nobody else does it."""
        while not self._hands.acquire(timeout=POLL_SECONDS):
            if self._stop.is_set():
                return
        row = self._claim(row_id)
        if row:
            self._do(row)
        else:
            self._hands.release()

    def _queue_answers(self) -> None:
        """Make rows of what is to be answered now, just before rows are looked for: nobody waits for two looks."""
        if time.monotonic() - self._answers_looked_for >= POLL_SECONDS:
            self._answers_looked_for = time.monotonic()
            steady(lambda: work.queue_answers(self._serving))()

    def _take_some(self, pool: ThreadPoolExecutor) -> bool:
        """Give what is due to all hands that are free: many rows are claimed with as many operations as two.

        False where nothing was, or it was not looked for since a broker brings it.
        """
        brought = self._consumer is not None and self._consumer.is_connected
        if brought and time.monotonic() - self._rows_looked_for < BEHIND_SECONDS:
            return False
        if not self._hands.acquire(timeout=POLL_SECONDS):
            return True
        self._rows_looked_for = time.monotonic()
        hands = 1
        while hands < self._count and self._hands.acquire(blocking=False):
            hands += 1
        found, rows = self._claim_some(hands, OVERDUE if brought else NOT_AT_ALL)
        for row in rows:
            pool.submit(self._do, row)
        for _ in range(hands - len(rows)):
            self._hands.release()
        # What others were quicker to take shows that there is more.
        return found

    def _claim_some(self, hands: int, overdue: timedelta) -> tuple[bool, list[Row]]:
        """Claim rows for so many hands; gives whether any was due, too."""
        nothing: list[tuple[str, str]] = []
        steps = self._shares.steps()
        due = self._guarded(lambda: work.due(self._serving, steps=steps, overdue=overdue, limit=hands), nothing)
        wanted = [(row_id, step) for row_id, step in due if self._shares.take(step)]
        ids = [row_id for row_id, _ in wanted]
        rows: list[Row] = []
        if ids:
            rows = self._guarded(lambda: work.claim_all(self._serving, ids), rows)
        claimed = {row.id for row in rows}
        for row_id, step in wanted:
            if row_id not in claimed:
                self._shares.give(step)
        self._held |= {(row.owner, row.id): row for row in rows}
        return bool(wanted), rows

    def _claim(self, row_id: str) -> Row | None:
        steps = [step for step in outbox.HANDS if self._shares.take(step)]
        row = self._guarded(lambda: work.claim(self._serving, steps=steps, row_id=row_id), None)
        for step in steps:
            if row is None or row.step != step:
                self._shares.give(step)
        if row:
            self._held[row.owner, row.id] = row
        return row

    def _guarded(self, claim: Callable[[], T], nothing: T) -> T:
        """Claim, or wait a while and give nothing: whatever goes wrong, the hands must not get lost with it."""
        try:
            return claim()
        except StoreUnavailable as error:
            log.warning("store_unavailable", message=str(error)[:300])
        except Exception:
            log.exception("claim_failed")
        self._stop.wait(AWAY_SECONDS)
        return nothing

    def _do(self, row: Row) -> None:
        steady(lambda: work.do(self._serving, row))()
        self._held.pop((row.owner, row.id), None)
        self._shares.give(row.step)
        self._hands.release()
        self._done.set()

    def _renew(self) -> None:
        """Go on holding what takes long: a slow model must not be asked twice."""
        until = self._serving.clock.now() + self._lease
        held: dict[str, list[str]] = {}
        for owner, row_id in list(self._held):
            held.setdefault(owner, []).append(row_id)
        with deadline():
            for owner, ids in held.items():
                outbox_claims.renew(owner, ids, until)

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
