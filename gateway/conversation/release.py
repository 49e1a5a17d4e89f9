"""How a row of the outbox is let go of: ended or put off, and whoever waits for it is told."""

import random
from datetime import datetime, timedelta

from gateway.conversation.runtime import Runtime
from gateway.store import lanes, outbox_claims
from gateway.store.connection import deadline
from gateway.store.outbox import Row

LONGEST_PAUSE = timedelta(hours=1)


def finish(runtime: Runtime, row: Row, state: str, *, error: str = "") -> None:
    """End a row; after one that sends, let the next message to the same person go."""
    now = runtime.clock.now()
    if outbox_claims.finish(row, state, now, error=error):
        let_next_go(runtime, row, now)


def let_next_go(runtime: Runtime, row: Row, now: datetime) -> None:
    """Make the next message to the same person due, if it only waited for this one."""
    if following := lanes.let_next_go(row.lane, now):
        runtime.notify(following, now)


def postpone(
    runtime: Runtime, row: Row, due: datetime, *, failed: str = "", slot: datetime | None = None, sent: bool = False
) -> None:
    """Put a row off after a try that failed; with `sent` the provider may have the message."""
    with deadline():
        outbox_claims.postpone(row, due, failed=failed[:500], slot=slot, sent=sent)
    runtime.notify(row.id, due)


def pause(tries: int) -> timedelta:
    """Wait twice as long after each try, and not everybody at the same moment."""
    seconds = min(2.0**tries, LONGEST_PAUSE.total_seconds())
    return timedelta(seconds=seconds * random.uniform(0.5, 1.5))  # noqa: S311 - no secret hangs on it
