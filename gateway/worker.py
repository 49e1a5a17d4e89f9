"""The worker process: answers, sends and fetches what is in the outbox, closes idle sessions, settles after crashes.

Any number of them may run, on any number of hosts.
"""

import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from gateway import jobs, logs, settings
from gateway.conversation import runtime, upkeep, work
from gateway.conversation.runtime import Runtime
from gateway.core.errors import ConfigError, StoreUnavailable
from gateway.logs import log
from gateway.settings import Settings
from gateway.store import connection, outbox
from gateway.store.connection import deadline
from gateway.store.outbox import Row

SETTLE_SECONDS = 10
SWEEP_SECONDS = 30
CLOCK_SECONDS = 60
MEASURE_SECONDS = 5

# An idle worker asks this often whether something is due: what a caller on the phone notices least.
POLL_SECONDS = 0.2
AWAY_SECONDS = 2


def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT."""
    logs.configure(fmt=settings.log.format, redact=settings.log.redact)
    connection.connect(settings)
    serving = runtime.build(settings)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    working = [
        _start(serving.clock.correct, CLOCK_SECONDS, stop),
        _start(lambda: upkeep.settle(serving), SETTLE_SECONDS, stop),
        _start(lambda: upkeep.sweep(serving), SWEEP_SECONDS, stop),
        _start(lambda: work.measure(serving), MEASURE_SECONDS, stop),
    ]
    log.info("worker_started")
    Desk(serving, stop).work()
    for thread in working:
        thread.join()
    log.info("worker_stopped")


class Desk:
    """Claims rows of the outbox as there are hands for them, and holds their leases while they are worked on."""

    def __init__(self, serving: Runtime, stop: threading.Event) -> None:
        self._serving, self._stop = serving, stop
        self._hands = threading.Semaphore(serving.settings.outbox.concurrency)
        self._held: dict[Future[None], Row] = {}
        self._lease = work.lease(serving)

    def work(self) -> None:
        """Work until told to stop; then finish what is in hand."""
        renewing = _start(self._renew, self._lease.total_seconds() / 3, self._stop)
        with ThreadPoolExecutor(self._serving.settings.outbox.concurrency) as pool:
            while not self._stop.is_set():
                if self._hands.acquire(timeout=POLL_SECONDS):
                    self._take_one(pool)
        renewing.join()

    def _take_one(self, pool: ThreadPoolExecutor) -> None:
        pause = POLL_SECONDS
        try:
            row = work.claim(self._serving)
        except StoreUnavailable as error:
            log.warning("store_unavailable", message=str(error)[:300])
            row, pause = None, AWAY_SECONDS
        if row is None:
            self._hands.release()
            self._stop.wait(pause)
            return
        future = pool.submit(work.do, self._serving, row)
        self._held[future] = row
        future.add_done_callback(self._put_down)

    def _put_down(self, future: Future[None]) -> None:
        self._held.pop(future, None)
        self._hands.release()

    def _renew(self) -> None:
        """Go on holding what takes long: a slow model must not be asked twice."""
        until = self._serving.clock.now() + self._lease
        with deadline():
            for row in list(self._held.values()):
                outbox.renew(row.owner, [row.id], until)


def _start(job: Callable[[], object], seconds: float, stop: threading.Event) -> threading.Thread:
    thread = threading.Thread(target=jobs.repeat, args=(_steady(job),), kwargs={"every": seconds, "stop": stop})
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
