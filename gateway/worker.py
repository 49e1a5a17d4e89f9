"""The worker process: answers, sends and fetches what is in the outbox, closes idle sessions, settles after crashes.

Any number of them may run, on any number of hosts. Each looks for rows that are due, five times a second. With a
broker rows are brought by id as soon as they are due, and looking is what finds the rest:

- once a second, rows that have been due for a second go to the broker again (it lost them, or it was not told), so
  that whichever worker has a hand free gets them;
- once a second, rows that have been due for five seconds are simply done: the broker takes ids and brings none;
- without a connection to the broker a worker looks as often as if there were none. Nothing ever waits for a broker.

Each path ends in the same claim, so it does not matter which one is first.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from gateway import jobs, logs, settings
from gateway.clients.consumer import Consumer
from gateway.conversation import (
    backfill_turns,
    daily,
    forget,
    importing,
    retention,
    runtime,
    subscriptions,
    upkeep,
    whatif,
    work,
)
from gateway.conversation.events import feed
from gateway.conversation.events.hands import Hands
from gateway.conversation.presence import EVERY_SECONDS, Presence
from gateway.conversation.runtime import Runtime
from gateway.core.errors import ConfigError, StoreUnavailable
from gateway.logs import log
from gateway.settings import Settings
from gateway.store import connection, outbox
from gateway.store.connection import deadline
from gateway.store.outbox import NOT_AT_ALL, Row

SETTLE_SECONDS = 10
SWEEP_SECONDS = 30
CLOCK_SECONDS = 60
MEASURE_SECONDS = 5
# How often a worker looks whether a backfill is due.
BACKFILL_SECONDS = 20
# How often a worker looks whether another one counted what happened within the minute.
DAILY_SECONDS = 15
# How often a worker looks whether another one deleted what is old within the hour.
RETENTION_SECONDS = 60
# How often a worker looks whether a file was uploaded to be imported.
IMPORT_SECONDS = 5
# How often a worker looks whether somebody is to be forgotten.
FORGET_SECONDS = 10
# How often a worker looks whether another one follows what happens, while somebody listens.
EVENTS_SECONDS = 2
# How often events that nobody took in time are ended.
EVENTS_OVER_SECONDS = 60
# How often the pauses of new messages are counted; what came since is counted when somebody looks.
PAUSES_SECONDS = 60

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


def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT."""
    stop = stop_on_signals()
    logs.configure(fmt=settings.log.format, redact=settings.log.redact)
    connection.connect(settings)
    serving = runtime.build(settings)
    working = [
        _start(serving.clock.correct, CLOCK_SECONDS, stop),
        _start(lambda: upkeep.settle(serving), SETTLE_SECONDS, stop),
        _start(lambda: upkeep.sweep(serving), SWEEP_SECONDS, stop),
        _start(lambda: work.measure(serving), MEASURE_SECONDS, stop),
        _start(lambda: daily.count(serving, stop.is_set), DAILY_SECONDS, stop),
        _start(lambda: retention.clean_by_settings(serving, stop.wait), RETENTION_SECONDS, stop),
        _start(lambda: forget.forget_asked(serving, stop.wait), FORGET_SECONDS, stop),
        _start(lambda: whatif.keep_counted(serving, stop.is_set), PAUSES_SECONDS, stop),
        _start(lambda: importing.work_off(serving, stop.wait), IMPORT_SECONDS, stop),
        _start(lambda: feed.follow(serving, stop), EVENTS_SECONDS, stop),
        _start(lambda: subscriptions.housekeep(serving), EVENTS_OVER_SECONDS, stop),
        _start(Hands(serving, stop).work, EVENTS_SECONDS, stop),
    ]
    if settings.backfill.every_minutes:
        working.append(_start(backfill_turns.by_itself(serving, stop), BACKFILL_SECONDS, stop))
    log.info("worker_started")
    desk = Desk(serving, stop)
    presence = Presence(serving, "worker", desk.facts)
    working.append(_start(presence.beat, EVERY_SECONDS, stop))
    desk.work()
    for thread in working:
        thread.join()
    presence.leave()
    log.info("worker_stopped")


def stop_on_signals() -> threading.Event:
    """Turn SIGTERM and Ctrl-C into an event.

    Waited for by a thread: a handler runs in the midst of whatever the main thread does, which may be `stop.wait`
    with the very lock that `stop.set` needs. Called before any other thread is started: each that is started from
    here on leaves the signals to that one.
    """
    stop, signals = threading.Event(), {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)

    def wait() -> None:
        signal.sigwait(signals)
        stop.set()

    threading.Thread(target=wait, name="signals", daemon=True).start()
    return stop


class Desk:
    """Claims rows of the outbox as there are hands for them, and holds their leases while they are worked on."""

    def __init__(self, serving: Runtime, stop: threading.Event) -> None:
        self._serving, self._stop = serving, stop
        self._count = serving.settings.outbox.concurrency
        self._hands = threading.Semaphore(self._count)
        # Models take seconds and sending takes none, so a few hands are kept from asking them; files take memory.
        self._shares = {
            outbox.ANSWER: threading.Semaphore(max(1, self._count * 3 // 4)),
            outbox.FETCH: threading.Semaphore(max(1, self._count // 4)),
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
        _start(self._renew, self._lease.total_seconds() / 3, empty)
        _start(lambda: work.queue_answers(self._serving), POLL_SECONDS, self._stop)
        pool = ThreadPoolExecutor(self._count)
        if self._serving.broker:
            self._consumer = Consumer(self._serving.broker, self.take, hands=self._count)
            _start(self._republish, BEHIND_SECONDS, self._stop)
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
        steps = [step for step in outbox.STEPS if step in taken or step not in self._shares]
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
        _steady(lambda: work.do(self._serving, row))()
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


def _start(job: Callable[[], object], seconds: float, stop: threading.Event) -> threading.Thread:
    thread = threading.Thread(
        target=jobs.repeat, args=(_steady(job),), kwargs={"every": seconds, "stop": stop}, daemon=True
    )
    thread.start()
    return thread


def _steady(job: Callable[[], object]) -> Callable[[], None]:
    """Let a job outlive MongoDB's absences and its own mistakes; both are logged."""

    def run_once() -> None:
        try:
            job()
        except StoreUnavailable as error:
            log.warning("store_unavailable", message=str(error)[:300])
        except Exception:
            log.exception("job_failed")

    return run_once


if __name__ == "__main__":
    try:
        run(settings.load())
    except ConfigError as error:
        sys.exit(f"gateway: {error}")
