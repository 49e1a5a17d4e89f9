"""The worker process: closes idle sessions, settles counts after crashes. Any number of them may run."""

import signal
import sys
import threading
from collections.abc import Callable

from gateway import jobs, logs, settings
from gateway.conversation import runtime, upkeep
from gateway.core.errors import ConfigError, StoreUnavailable
from gateway.logs import log
from gateway.settings import Settings
from gateway.store import connection

SETTLE_SECONDS = 10
SWEEP_SECONDS = 30
CLOCK_SECONDS = 60


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
    ]
    log.info("worker_started")
    for thread in working:
        thread.join()
    log.info("worker_stopped")


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
