"""Messages of ours on their way to the provider: each sent once, whatever dies in between.

Before the provider is called the row notes that it is. Whoever finds such a note later cannot know whether the
message went out, and looks it up at the provider before sending anything again (I9).
"""

from dataclasses import replace
from datetime import timedelta

from gateway import metrics
from gateway.conversation import optouts, queue, status
from gateway.conversation.clearance import SOON, Later, is_settled, ready
from gateway.conversation.release import finish, let_next_go, pause, postpone
from gateway.conversation.runtime import Runtime
from gateway.core.codes import explain
from gateway.core.errors import GatewayError, StoreUnavailable
from gateway.core.messages import StatusUpdate
from gateway.core.sending import LookupFailed, NotSent, OutcomeUnknown, Outgoing, Reaction, Sent
from gateway.core.statuses import MESSAGE_FAILURES
from gateway.logs import log, where
from gateway.store import attempts, delivery, lanes, outbound, outbox, outbox_claims
from gateway.store.connection import deadline
from gateway.store.outbound import Outbound
from gateway.store.outbox import Address, Row


def send(runtime: Runtime, row: Row) -> None:
    """Send the message of a claimed row, or put the row off, or end it: every way out is stored."""
    row = _with_service(runtime, row)
    try:
        sent = _found(runtime, row) if row.attempted_at else None
        if sent is None:
            known = attempts.look(row)
            with deadline():
                message = ready(runtime, row, known)
            if message is None:
                return
            _begin(runtime, row)
            sent = runtime.sender.send(_outgoing(runtime, message, row))
    except Later as later:
        _wait(runtime, row, later)
    except NotSent as refusal:
        _refused(runtime, row, refusal)
    except (OutcomeUnknown, LookupFailed) as error:
        look_again = runtime.clock.now() + max(_lookup_after(runtime), pause(row.tries))
        log.warning("delivery_unknown", message_id=row.id, message=str(error)[:300])
        postpone(runtime, row, look_again, failed=str(error), sent=True)
    else:
        _confirm(runtime, row, sent)


def _with_service(runtime: Runtime, row: Row) -> Row:
    return replace(row, address=queue.with_service(runtime, row.address)) if row.address else row


def give_up(runtime: Runtime, row: Row, error: str) -> None:
    """End a row that failed too often; its message says so, unless a last look-up shows that it went out."""
    row = _with_service(runtime, row)
    if row.attempted_at:
        with deadline():
            message = outbound.get(row.id)
        if message is None or is_settled(message):
            finish(runtime, row, outbox.DONE)
            return
        if sent := _found_at_last(runtime, row):
            _confirm(runtime, row, sent)
            return
        error = f"Nobody could tell whether this was sent: its outcome was never confirmed ({error})."
    now = runtime.clock.now()
    with deadline():
        delivery.fail(row.id, status="failed", code=None, reason=error[:500], at=now)
        finish(runtime, row, outbox.FAILED, error=error[:500])
    metrics.DELIVERY.labels("failed", "gave_up").inc()
    log.error("delivery_given_up", message_id=row.id, message=error[:300], tries=row.tries)


def _found_at_last(runtime: Runtime, row: Row) -> Sent | None:
    """Look once more for a message that is given up; what goes wrong now changes nothing about that."""
    try:
        return _found(runtime, row)
    except StoreUnavailable:
        raise
    except Later:
        return None
    except Exception as error:
        log.warning("delivery_unknown", message_id=row.id, error=where(error))
        return None


def _outgoing(runtime: Runtime, message: Outbound, row: Row) -> Outgoing:
    to = row.address or Address("", "")
    return Outgoing(
        message_id=message.id,
        to=to.to,
        sender=to.sender,
        text=message.text,
        media=message.media,
        content_sid=message.content_sid,
        content_variables=message.content_variables,
        account_sid=to.account_sid,
        service_sid=to.service_sid,
        status_callback=runtime.line.status_url(message.id) if runtime.line.public.url else None,
    )


def _lookup_after(runtime: Runtime) -> timedelta:
    return timedelta(seconds=runtime.settings.outbox.lookup_seconds)


def _found(runtime: Runtime, row: Row) -> Sent | None:
    """Look up what may have gone out; None where it certainly did not, or nobody has to know.

    The provider may still be taking it, or not list it yet, so "it is not there" counts only after a while.
    """
    assert row.attempted_at is not None  # noqa: S101 - the caller asked
    assert row.last_attempt_at is not None  # noqa: S101 - set together
    with deadline():
        message = outbound.get(row.id)
    if message is None or is_settled(message):
        return None
    candidates = runtime.sender.find(_outgoing(runtime, message, row), row.attempted_at)
    with deadline():
        taken = delivery.known_sids([candidate.sid for candidate in candidates])
    for candidate in candidates:
        if candidate.sid not in taken:
            log.info("delivery_found", message_id=row.id, message_sid=candidate.sid)
            return Sent(candidate.sid, candidate.status)
    certain = row.last_attempt_at + _lookup_after(runtime)
    if runtime.clock.now() < certain:
        raise Later(certain)
    return None


def _begin(runtime: Runtime, row: Row) -> None:
    """Note that the provider is about to be called. Without the claim nothing may be sent."""
    lease = timedelta(seconds=runtime.settings.outbox.lease_seconds)
    if not attempts.begin(row, runtime.clock.now(), lease):
        raise GatewayError(f"the claim on {row.id} was lost before it was sent")


def _confirm(runtime: Runtime, row: Row, sent: Sent) -> None:
    # A failure has consequences, so it is applied like one that is reported.
    first = None if sent.status in MESSAGE_FAILURES else sent.status
    now = runtime.clock.now()
    confirmed = attempts.confirm(row, sent.sid, first, now)
    if confirmed.next_waits:
        with deadline():
            let_next_go(runtime, row, now)
    log.info("reply_sent", message_id=row.id, message_sid=sent.sid, session_id=row.session_id, segments=row.segments)
    if first:
        status.tell(StatusUpdate(sent.sid, first, now, {}), row.id)
    for state in sent.later if first else (sent.status, *sent.later):
        status.apply_status(runtime, StatusUpdate(sent.sid, state, runtime.clock.now(), {}))
    if confirmed.statuses_wait:
        status.apply_waiting(runtime, sent.sid)


def _refused(runtime: Runtime, row: Row, refusal: NotSent) -> None:
    """Do what the provider's code calls for."""
    now = runtime.clock.now()
    metrics.DELIVERY.labels("refused", refusal.code).inc()
    if refusal.reaction is Reaction.RETRY and row.tries < runtime.settings.outbox.max_tries:
        told = refusal.retry_after
        # This attempt certainly failed; one before it may be listed late all the same.
        sent = row.attempted_at is not None
        wait = pause(row.tries) if told is None else timedelta(seconds=told)
        log.warning("delivery_deferred", message_id=row.id, code=refusal.code, seconds=round(wait.total_seconds(), 1))
        postpone(runtime, row, now + wait, failed=f"{refusal.code}: {refusal}", slot=row.slot, sent=sent)
        return
    with deadline():
        if refusal.reaction is Reaction.OPT_OUT and row.contact_id and row.address:
            optouts.record_refusal(runtime, row.contact_id, row.address, row.id)
        reason = str(refusal) or explain(refusal.code)
        delivery.fail(row.id, status="failed", code=refusal.code, reason=reason, at=now)
        finish(runtime, row, outbox.FAILED, error=f"{refusal.code}: {refusal}"[:500])
    log.warning("delivery_refused", message_id=row.id, code=refusal.code, message=reason)


def _wait(runtime: Runtime, row: Row, later: Later) -> None:
    with deadline():
        sent = row.attempted_at is not None
        outbox_claims.postpone(row, later.due, slot=later.slot, sent=sent, behind=later.behind)
        now = runtime.clock.now()
        if later.behind and lanes.one_before(row, now + SOON) is None:
            # What it waited for went out between the look and letting go, and told nobody.
            let_next_go(runtime, row, now)
    runtime.notify(row.id, later.due)
