"""What a person does about rows of the outbox that failed: try them again, or set them aside.

A retry is no second send: the row keeps that the provider was called, so whoever claims it looks the message up
there before sending anything (I9).
"""

import enum

from gateway.conversation.events import queue
from gateway.conversation.runtime import Runtime
from gateway.logs import log
from gateway.store import audit, deliveries, delivery, failures, media, outbound, outbox
from gateway.store.connection import deadline
from gateway.store.failures import Failure

# So many rows at most are changed by one click: each is a few writes that wait for the majority.
BATCH = 100


class Done(enum.StrEnum):
    """What became of a failed row."""

    RETRIED = "retried"
    CANCELED = "canceled"
    SENT = "sent"
    GONE = "gone"
    UNCHANGED = "unchanged"


def retry(runtime: Runtime, row_id: str, by: str) -> Done:
    """Put a failed row back to work.

    SENT where its message turned out to have gone out, GONE where nobody wants it any more; either ends the row.
    UNCHANGED where it is no longer failed.
    """
    with deadline():
        row = failures.get(row_id)
        done = _reopen(runtime, row) if row else Done.UNCHANGED
        if row and done != Done.UNCHANGED:
            _note(runtime, row, by, "outbox_retried", done)
    if done == Done.RETRIED:
        runtime.notify(row_id, runtime.clock.now())
    return done


def _reopen(runtime: Runtime, row: Failure) -> Done:
    """Make its message ready first: a worker may claim the row the moment it waits again."""
    now = runtime.clock.now()
    if row.step == outbox.SEND and not delivery.requeue(row.id, now):
        message = outbound.get(row.id)
        if message and message.provider_sid:
            return Done.SENT if failures.settle(row.id, now) else Done.UNCHANGED
        return Done.GONE if failures.dismiss(row.id, now) else Done.UNCHANGED
    if row.step == outbox.FETCH:
        media.reopen(row.about)
    if row.step == outbox.EVENT:
        again = deliveries.again(row.id, now, queue.give_up_at(runtime))
    else:
        again = failures.reopen(row.id, now)
    return Done.RETRIED if again else Done.UNCHANGED


def cancel(runtime: Runtime, row_id: str, by: str) -> Done:
    """Set a failed row aside; what it was about stays as it is."""
    with deadline():
        row = failures.get(row_id)
        if row is None or not failures.dismiss(row_id, runtime.clock.now()):
            return Done.UNCHANGED
        _note(runtime, row, by, "outbox_canceled", Done.CANCELED)
    return Done.CANCELED


def all_of(runtime: Runtime, step: str, reason: str, by: str, *, again: bool) -> int:
    """Retry (or cancel) the newest BATCH failures of a kind; gives how many were changed."""
    with deadline():
        rows = failures.page(step=step, reason=reason, limit=BATCH).rows
    act = retry if again else cancel
    return sum(act(runtime, row.id, by) != Done.UNCHANGED for row in rows)


def _note(runtime: Runtime, row: Failure, by: str, action: str, done: Done) -> None:
    audit.note(runtime.clock.now(), by, action, session_id=row.session_id, row=row.id, step=row.step, outcome=str(done))
    log.info(action, row=row.id, step=row.step, outcome=str(done), by=by)
