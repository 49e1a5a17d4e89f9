"""Delivery statuses of what we sent, in whatever order they come."""

from collections.abc import Sequence
from datetime import timedelta

from gateway import metrics
from gateway.conversation import optouts, queue
from gateway.conversation.runtime import Runtime
from gateway.core.codes import reaction
from gateway.core.errors import StoreRefused, StoreUnavailable
from gateway.core.messages import StatusUpdate
from gateway.core.sending import Reaction
from gateway.core.statuses import MESSAGE_FAILURES
from gateway.logs import log, where
from gateway.store import asked, callbacks, delivery, outbound, outbox, sessions
from gateway.store.connection import deadline
from gateway.store.delivery import Applied
from gateway.store.outbox import Address

# What failed at the carrier for a passing reason is sent again, as a message of its own.
RESEND_AFTER = (timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1))


def apply_status(runtime: Runtime, update: StatusUpdate, *, again: bool = False) -> None:
    """Let a status take effect, maybe `again`; one of an unknown message waits for an hour.

    Where the callback's URL names the message, it also tells the SID of an answer that went out with a webhook. Those
    that arrive together share one look and one write, as messages do (`group_commit`), but for failures.
    """
    gathers = update.status not in MESSAGE_FAILURES
    together = runtime.statuses.do(update, _apply_together) if gathers else None
    applied = together or runtime.aside(_apply_alone, runtime, update)
    tell(update, applied.message_id if applied else None)
    # A group that was given up, or was confirmed too late, may have told the id already.
    if applied and (applied.found_out or again or (gathers and not together)):
        runtime.aside(apply_waiting, runtime, update.sid)


def _apply_together(updates: Sequence[StatusUpdate]) -> Sequence[Applied | None]:
    try:
        with deadline():
            return delivery.apply_together(updates)
    except StoreRefused:
        return [None] * len(updates)
    except StoreUnavailable:
        raise
    except Exception as error:
        # What is wrong with one of them must not cost the others.
        log.error("group_failed", statuses=len(updates), error=where(error))
        return [None] * len(updates)


def _apply_alone(runtime: Runtime, update: StatusUpdate) -> Applied | None:
    with deadline():
        applied = delivery.apply_status(update)
        if applied is None:
            callbacks.park(update.sid, update)
            # The message may have been sent, and its SID stored, between looking for it and parking.
            applied = delivery.apply_status(update)
        if applied and update.status in MESSAGE_FAILURES:
            _react(runtime, applied.message_id, update)
    return applied


def tell(update: StatusUpdate, message_id: str | None) -> None:
    """Count and log that a status took effect, or that it waits for its message."""
    if message_id:
        metrics.DELIVERY.labels(update.status, update.error_code or "").inc()
    log.info(
        "status_applied" if message_id else "callback_parked",
        message_sid=update.sid,
        message_id=message_id,
        status=update.status,
        error_code=update.error_code,
    )


def apply_waiting(runtime: Runtime, sid: str) -> None:
    """Apply what came before the SID was known; each is let go of only afterwards, for applying repeats well."""
    with deadline():
        waiting = callbacks.waiting(sid)
    for callback in waiting:
        if isinstance(callback, StatusUpdate):
            applied = _apply_alone(runtime, callback)
            tell(callback, applied.message_id if applied else None)
            with deadline():
                callbacks.forget(callback)


def _react(runtime: Runtime, message_id: str, update: StatusUpdate) -> None:
    """Do what the code of a failed delivery calls for."""
    row = outbox.find(message_id)
    match reaction(update.error_code) if update.error_code else None:
        case Reaction.OPT_OUT:
            whom = (row.contact_id, row.address) if row else _asker(runtime, message_id)
            if whom[0] and whom[1]:
                optouts.record_refusal(runtime, whom[0], whom[1], message_id)
        case Reaction.RETRY if row and row.address:
            _send_again(runtime, row)


def _asker(runtime: Runtime, message_id: str) -> tuple[str | None, Address | None]:
    """Find whom an answer went to that was given with the webhook, and so never was in the outbox."""
    answer = outbound.get(message_id)
    message = asked.get(str(answer.facts.get("inReplyTo", ""))) if answer else None
    if message is None:
        return None, None
    return message.place.contact_id, queue.with_service(runtime, queue.address_of(message.metadata))


def _send_again(runtime: Runtime, row: outbox.Row) -> None:
    """Queue a copy of a message the carrier lost for a passing reason; the failed one keeps its own status."""
    first, _, number = row.id.partition("~")
    tried = int(number or 0)
    failed = outbound.get(row.id)
    if failed is None or failed.status not in MESSAGE_FAILURES or tried >= len(RESEND_AFTER):
        return
    now = runtime.clock.now()
    copy = outbound.copy_of(failed, f"{first}~{tried + 1}", row.address, now)
    added = outbound.insert([copy])
    # A callback is no activity of anybody's: it neither opens the session again nor keeps it open (T5).
    sessions.count_only(failed.place.session_id, added, now)
    again = outbox.resend(row, copy["_id"], due=now + RESEND_AFTER[tried], queued_at=now)
    if outbox.put(again):
        runtime.notify(again.id, again.due)
        log.info("delivery_repeated", message_id=again.id, failed=row.id, due=again.due.isoformat())
