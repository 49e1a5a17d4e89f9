"""The backfill a worker does by itself: on start and every so many minutes, one worker at a time."""

import secrets
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from gateway.clients.twilio_log import TwilioLog
from gateway.conversation.backfill import backfill
from gateway.conversation.backfilled import Stopped
from gateway.conversation.runtime import Runtime
from gateway.core.drift import Drift
from gateway.core.logged import LogUnreadable
from gateway.core.spans import LONGEST
from gateway.logs import log
from gateway.store import turns
from gateway.store.connection import deadline

JOB = "backfill"

# Renewed after every batch, which takes a minute at worst: whoever holds it longer than this is dead.
LEASE = timedelta(minutes=10)

# Where nobody has looked yet; what is older is for `gateway backfill`.
FIRST_LOOK = timedelta(days=1)


class LostTurn(Exception):
    """The turn ran out and is another worker's."""


def take_turn(
    runtime: Runtime, source: TwilioLog, *, on_start: bool = False, is_stopping: Callable[[], bool] = lambda: False
) -> Drift | None:
    """Backfill from where the last worker came to, if it is time and nobody else does it; on start at any time.

    A little before that place is looked at again: statuses that came since, and messages that were still on their
    way. None where there was nothing to do, or it could not be done to its end; then the next turn begins there.
    """
    owner, now = secrets.token_hex(8), runtime.clock.now()
    with deadline():
        if not turns.take(JOB, owner, now, lease=now + LEASE, due_only=not on_start):
            return None
        done = turns.done_until(JOB)
    since = max((done or now - FIRST_LOOK) - _minutes(runtime.settings.backfill.overlap_minutes), now - LONGEST)

    def renew(_done: datetime, _drift: Drift) -> None:
        with deadline():
            if not turns.renew(JOB, owner, runtime.clock.now() + LEASE):
                raise LostTurn

    drift = None
    try:
        drift = backfill(runtime, source, since, tell=renew, is_stopping=is_stopping)
    except LogUnreadable as error:
        log.warning("backfill_failed", message=str(error))
    except (Stopped, LostTurn):
        log.info("backfill_stopped")
    finally:
        due = now + _minutes(runtime.settings.backfill.every_minutes)
        with deadline():
            turns.give_back(JOB, owner, due=due, until=drift.until if drift else None)
    return drift


def _minutes(number: int) -> timedelta:
    return timedelta(minutes=number)


def by_itself(runtime: Runtime, stop: threading.Event) -> Callable[[], None]:
    """Make the job a worker repeats: the first time whether due or not, for it may have been away for long."""
    source, on_start = TwilioLog(runtime.settings, pause=stop.wait), True

    def turn() -> None:
        nonlocal on_start
        if not runtime.spool.is_empty():
            return  # What waits there would be put in as missing, and never be answered.
        take_turn(runtime, source, on_start=on_start, is_stopping=stop.is_set)
        on_start = False

    return turn
