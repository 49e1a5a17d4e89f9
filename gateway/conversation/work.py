"""What the worker does with the outbox: claims a row, does its step, and lets no failure lose it."""

import contextlib
import secrets
import socket
from collections.abc import Callable, Sequence
from datetime import timedelta

from gateway import metrics
from gateway.clients import broker
from gateway.conversation import alerts, answer, deliver, flow_ends, media, queue
from gateway.conversation.crm import hold
from gateway.conversation.crm import sync as crm_sync
from gateway.conversation.release import pause
from gateway.conversation.runtime import Runtime
from gateway.core.errors import StoreUnavailable
from gateway.core.times import ms_between
from gateway.logs import log
from gateway.store import backlog, outbox, outbox_claims
from gateway.store.connection import deadline
from gateway.store.outbox import Row

STEPS: dict[str, Callable[[Runtime, Row], None]] = {
    outbox.ANSWER: answer.answer,
    outbox.SEND: deliver.send,
    outbox.FETCH: media.fetch,
    outbox.DELETE: media.delete,
    outbox.ALERT: alerts.send,
    outbox.FLOW: flow_ends.do,
    outbox.CRM: crm_sync.sync,
}
GIVE_UP: dict[str, Callable[[Runtime, Row, str], None]] = {
    outbox.ANSWER: answer.give_up,
    outbox.SEND: deliver.give_up,
    outbox.FETCH: media.give_up,
    outbox.DELETE: media.leave,
    outbox.ALERT: alerts.give_up,
    outbox.FLOW: flow_ends.give_up,
    outbox.CRM: crm_sync.give_up,
}

# So many rows at most are handed to a broker at once; the rest follows with the next look.
REPUBLISHED = 500

# A broker brings a row within milliseconds of its time; what still lies there after this was lost, or all are busy.
LOST_AFTER = timedelta(seconds=1)


def claim(
    runtime: Runtime,
    *,
    steps: Sequence[str] = outbox.HANDS,
    row_id: str | None = None,
    overdue: timedelta = outbox_claims.NOT_AT_ALL,
) -> Row | None:
    """Take a row that is due, under a name nobody else has; None where nothing is."""
    with deadline():
        return outbox_claims.claim(
            _name(), runtime.clock.now(), lease(runtime), steps=_asked(runtime, steps), row_id=row_id, overdue=overdue
        )


def due(runtime: Runtime, *, steps: Sequence[str], overdue: timedelta, limit: int) -> list[tuple[str, str]]:
    """List rows that are due, with their steps."""
    with deadline():
        return outbox_claims.due(runtime.clock.now(), steps=_asked(runtime, steps), overdue=overdue, limit=limit)


def claim_all(runtime: Runtime, ids: Sequence[str]) -> list[Row]:
    """Take rows that are due, all under one name that nobody else has; gives those that nobody else took."""
    with deadline():
        return outbox_claims.claim_all(_name(), runtime.clock.now(), lease(runtime), ids)


def _name() -> str:
    return f"{socket.gethostname()}-{secrets.token_hex(8)}"


def _asked(runtime: Runtime, steps: Sequence[str]) -> Sequence[str]:
    return steps if hold.lets_ask(runtime) else [step for step in steps if step != outbox.CRM]


def queue_answers(runtime: Runtime) -> int:
    """Put into the outbox what has waited long enough for further messages."""
    with deadline():
        return queue.answers(runtime)


def lease(runtime: Runtime) -> timedelta:
    """Give how long a claim holds unless it is renewed."""
    return timedelta(seconds=runtime.settings.outbox.lease_seconds)


def do(runtime: Runtime, row: Row) -> None:
    """Do what a claimed row is for. What fails in a way nobody foresaw is tried again, and given up in the end."""
    try:
        if row.tries > runtime.settings.outbox.max_tries:
            GIVE_UP[row.step](runtime, row, f"gave up after {row.tries - 1} tries")
        else:
            STEPS[row.step](runtime, row)
    except StoreUnavailable as error:
        # The claim ends by itself, and the row is due again; nobody's fault, so the try does not count.
        log.warning("store_unavailable", message=str(error)[:300], row=row.id)
        with contextlib.suppress(StoreUnavailable), deadline():
            outbox_claims.give_back(row)
    except Exception as error:
        log.exception("outbox_failed", row=row.id, step=row.step)
        with deadline():
            outbox_claims.postpone(row, runtime.clock.now() + pause(row.tries), failed=repr(error)[:500], sent=True)


def do_one(runtime: Runtime, *, row_id: str | None = None) -> bool:
    """Claim one row and do it; False where nothing is due."""
    queue_answers(runtime)
    row = claim(runtime, row_id=row_id)
    if row is None:
        return False
    do(runtime, row)
    return True


def republish(runtime: Runtime) -> int:
    """Tell the broker again of rows that are due and held by nobody: whatever it lost is found here."""
    now, hint = runtime.clock.now(), timedelta(seconds=broker.HINT_SECONDS)
    with deadline():
        lost = backlog.left_lying(now, overdue=LOST_AFTER, hint=hint, limit=REPUBLISHED)
    for row_id in lost:
        runtime.notify(row_id, now)
    if lost:
        log.info("outbox_republished", rows=len(lost))
    return len(lost)


def measure(runtime: Runtime) -> None:
    """Show how much waits in the outbox, and for how long."""
    with deadline():
        depth, oldest = backlog.depth(), backlog.oldest()
    for step in (*STEPS, outbox.EVENT):
        metrics.OUTBOX_DEPTH.labels(step).set(depth.get(step, 0))
    waited = ms_between(oldest, runtime.clock.now()) / 1000 if oldest else 0
    metrics.OUTBOX_OLDEST.set(max(0, waited))
