"""The worker's count of days: what is new since the last pass, and days whose delivery statuses may have changed."""

import secrets
import time
from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta

from gateway.conversation.runtime import Runtime
from gateway.core.daily import DAY, SETTLED, Count, day_of, is_stale
from gateway.logs import log
from gateway.store import analytics, turns
from gateway.store.connection import deadline

EVERY = timedelta(minutes=1)
# All messages of a day are read for it, so the more there are, the longer it is left alone.
REST = 20
# A day of a hundred thousand messages takes some seconds; whoever holds a turn for longer is dead.
LEASE = timedelta(minutes=5)
# What takes longer, as the first count of years does, goes on in the next turn.
TURN_SECONDS = 40
PASS_SECONDS = 60
# What was on its way into the database when the last pass looked.
OVERLAP = timedelta(seconds=30)


def count(runtime: Runtime, is_stopping: Callable[[], bool] = lambda: False) -> int:
    """Count the days that need it, if nobody else does and it is time; gives how many."""
    owner, now, began = secrets.token_hex(8), runtime.clock.now(), time.monotonic()
    with deadline():
        if not turns.take(analytics.JOB, owner, now, lease=now + LEASE):
            return 0
    counted, left = 0, True
    try:
        with deadline(PASS_SECONDS):
            analytics.queue(_due(runtime, now), now)
            days = analytics.waiting()
        for day in days:
            if is_stopping() or time.monotonic() - began > TURN_SECONDS:
                break
            _count_day(day, now)
            counted += 1
            with deadline():
                analytics.done(day)
                if not turns.renew(analytics.JOB, owner, runtime.clock.now() + LEASE):
                    return counted
        left = counted < len(days)
    finally:
        took = timedelta(seconds=time.monotonic() - began)
        with deadline():
            turns.give_back(analytics.JOB, owner, due=now if left else now + max(EVERY, REST * took))
    if counted:
        log.debug("days_counted", days=counted)
    return counted


def count_again(runtime: Runtime, days: Iterable[datetime]) -> None:
    """Let the worker count these days again, and those after them: something of then came only now."""
    now = runtime.clock.now()
    with deadline(PASS_SECONDS):
        touched = {day_of(day) for day in days}
        touched |= analytics.with_counts({day + DAY for day in touched})
        analytics.queue_again(touched - _thinned(runtime, touched, now))


def _due(runtime: Runtime, now: datetime) -> set[datetime]:
    """Give the days to count: those of what was stored, the days after them, and those that are stale.

    What comes late may be what an answer of the next day answers, or where a session of the next day now begins.
    """
    until = analytics.counted().until
    if until is None:
        return set(analytics.days_with_messages(now + DAY))
    fresh = set(analytics.days_stored(until - OVERLAP, now + DAY))
    fresh |= analytics.with_counts({day + DAY for day in fresh})
    counted = analytics.last_counted(day_of(now) - SETTLED - 2 * DAY)
    stale = {day for day, at in counted.items() if is_stale(day, at, now)}
    due = fresh | stale
    return due - _thinned(runtime, due, now)


def _thinned(runtime: Runtime, days: Collection[datetime], now: datetime) -> set[datetime]:
    """Give the counted days whose conversations may be deleted already: their counts say more than those do."""
    keep = runtime.settings.retention.days
    return analytics.with_counts({day for day in days if keep and day < now - timedelta(days=keep)})


def _count_day(day: datetime, now: datetime) -> None:
    counting = Count(lambda session_id: analytics.before(session_id, day))
    for message in analytics.messages_of(day):
        counting.add(message)
    for session in analytics.begun(counting.session_ids, day):
        counting.begin(session)
    analytics.replace_day(day, counting.tallies, now)
