"""What a worker does again and again beside the outbox, each in a thread of its own."""

import threading
from collections.abc import Callable, Iterator

from gateway import jobs
from gateway.conversation import (
    backfill_turns,
    daily,
    flow_upkeep,
    forget,
    importing,
    linking,
    migrating,
    retention,
    subscriptions,
    tunnel,
    upkeep,
    whatif,
    work,
)
from gateway.conversation.crm import follow
from gateway.conversation.events import feed
from gateway.conversation.events.hands import Hands
from gateway.conversation.runtime import Runtime
from gateway.core.errors import StoreUnavailable
from gateway.logs import log

Job = Callable[[], object]


def chores(serving: Runtime, stop: threading.Event) -> Iterator[tuple[float, Job]]:
    """Give each chore with how often to do it, in seconds.

    Where one worker of all is enough, it is how often each looks whether another one did it lately.
    """
    yield 60, serving.clock.correct
    yield 60, migrating.Watch().look
    yield tunnel.LOOK_SECONDS, tunnel.Watch(serving).look
    yield 20, lambda: upkeep.settle(serving)
    yield 30, lambda: upkeep.sweep(serving)
    yield 5, lambda: linking.link_noted(serving)
    yield 5, lambda: work.measure(serving)
    yield 5, lambda: flow_upkeep.look(serving)
    yield 15, lambda: daily.count(serving, stop.is_set)
    yield 60, lambda: retention.clean_by_settings(serving, stop.wait)
    yield 10, lambda: forget.forget_asked(serving, stop.wait)
    yield 60, lambda: whatif.keep_counted(serving, stop.is_set)
    yield 5, lambda: importing.work_off(serving, stop.wait)
    yield 2, lambda: feed.follow(serving, stop)
    yield 2, lambda: follow.follow(serving, stop)
    yield 60, lambda: subscriptions.housekeep(serving)
    yield 2, Hands(serving, stop).work
    if serving.settings.backfill.every_minutes:
        yield 20, backfill_turns.by_itself(serving, stop)


def start(job: Job, seconds: float, stop: threading.Event) -> threading.Thread:
    """Repeat a job every so many seconds until told to stop, whatever becomes of it."""
    thread = threading.Thread(
        target=jobs.repeat, args=(steady(job),), kwargs={"every": seconds, "stop": stop}, daemon=True
    )
    thread.start()
    return thread


def steady(job: Job) -> Callable[[], None]:
    """Let a job outlive MongoDB's absences and its own mistakes; both are logged."""

    def run_once() -> None:
        try:
            job()
        except StoreUnavailable as error:
            log.warning("store_unavailable", message=str(error)[:300])
        except Exception:
            log.exception("job_failed")

    return run_once
