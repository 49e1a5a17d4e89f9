"""Messages of ours on their way to the provider: each sent once, whatever dies in between.

Before the provider is called the row notes that it is. Whoever finds such a note later cannot know whether the
message went out, and looks it up at the provider before sending anything again (I9).
"""

import random
from dataclasses import replace
from datetime import datetime, timedelta

from gateway import metrics
from gateway.conversation import optouts, queue, status
from gateway.conversation.runtime import Runtime
from gateway.core.codes import explain
from gateway.core.errors import GatewayError, StoreUnavailable
from gateway.core.messages import WHATSAPP, StatusUpdate
from gateway.core.sending import LookupFailed, NotSent, OutcomeUnknown, Outgoing, Reaction, Sent
from gateway.logs import log
from gateway.store import finding, lanes, outbound, outbox
from gateway.store.connection import deadline
from gateway.store.outbound import Outbound
from gateway.store.outbox import Address, Row

# WhatsApp lets a business write freely for a day after the person's last message; then only templates.
WINDOW = timedelta(hours=24)
WINDOW_CLOSED = "63016"

# Twilio's own paces; a US long code (one segment a second) is the setting's default.
WHATSAPP_PER_SECOND = 80
SHORT_CODE_PER_SECOND = 100

# A message waits for an earlier one to the same person if that goes out this soon. It is told when that went out;
# these are the bounds of looking by itself, should whoever was to tell it have died.
SOON = timedelta(seconds=60)
LOOK_AT_LEAST, LOOK_AT_MOST = timedelta(seconds=0.3), timedelta(seconds=30)
LONGEST_PAUSE = timedelta(hours=1)


class _Later(Exception):
    """A message is not due yet; `slot` was reserved for it. With `behind` it only waits for an earlier one."""

    def __init__(self, due: datetime, slot: datetime | None = None, *, behind: bool = False) -> None:
        super().__init__(due)
        self.due, self.slot, self.behind = due, slot, behind


def send(runtime: Runtime, row: Row) -> None:
    """Send the message of a claimed row, or put the row off, or end it: every way out is stored."""
    row = _with_service(runtime, row)
    try:
        sent = _found(runtime, row) if row.attempted_at else None
        if sent is None:
            with deadline():
                message = _ready(runtime, row)
            if message is None:
                return
            _begin(runtime, row)
            sent = runtime.sender.send(_outgoing(runtime, message, row))
    except _Later as later:
        _wait(runtime, row, later)
    except NotSent as refusal:
        _refused(runtime, row, refusal)
    except (OutcomeUnknown, LookupFailed) as error:
        look_again = runtime.clock.now() + max(_lookup_after(runtime), pause(row.tries))
        log.warning("delivery_unknown", message_id=row.id, message=str(error)[:300])
        _postpone(runtime, row, look_again, failed=str(error), sent=True)
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
        if message is None or _is_settled(message):
            _finish(runtime, row, outbox.DONE)
            return
        if sent := _found_at_last(runtime, row):
            _confirm(runtime, row, sent)
            return
        error = f"Nobody could tell whether this was sent: its outcome was never confirmed ({error})."
    now = runtime.clock.now()
    with deadline():
        outbound.fail(row.id, status="failed", code=None, reason=error[:500], at=now)
        _finish(runtime, row, outbox.FAILED, error=error[:500])
    metrics.DELIVERY.labels("failed", "gave_up").inc()
    log.error("delivery_given_up", message_id=row.id, message=error[:300], tries=row.tries)


def _found_at_last(runtime: Runtime, row: Row) -> Sent | None:
    """Look once more for a message that is given up; what goes wrong now changes nothing about that."""
    try:
        return _found(runtime, row)
    except StoreUnavailable:
        raise
    except _Later:
        return None
    except Exception as error:
        log.warning("delivery_unknown", message_id=row.id, message=str(error)[:300])
        return None


def _ready(runtime: Runtime, row: Row) -> Outbound | None:
    """Give the message if it may be sent now; else the row is ended, or put off by raising _Later.

    Asked before every attempt: much may have happened since the last one, a STOP above all.
    """
    message, now = outbound.get(row.id), runtime.clock.now()
    if message is None or _is_settled(message):
        _finish(runtime, row, outbox.DONE)
        return None
    if optouts.has_opted_out(message.place.contact_id, row.address):
        outbound.fail(row.id, status="canceled", code="21610", reason="The contact opted out (STOP).", at=now)
        _finish(runtime, row, outbox.CANCELED)
        return None
    if before := lanes.one_before(row, now + SOON):
        look = min(max(before, now) + LOOK_AT_LEAST, now + LOOK_AT_MOST)
        raise _Later(look, row.slot, behind=True)
    _wait_for_pace(runtime, row, message, now)
    return _within_window(runtime, message, now)


def _is_settled(message: Outbound) -> bool:
    """Tell whether a status callback named a message's SID already, or nobody wants it sent any more."""
    return bool(message.provider_sid) or message.status in ("canceled", "failed")


def _within_window(runtime: Runtime, message: Outbound, now: datetime) -> Outbound:
    """Let a message through while WhatsApp's window is open; else as the configured template, or not at all."""
    if message.place.communication_type != WHATSAPP or message.content_sid:
        return message
    session = finding.get(message.place.session_id)
    if session and outbound.last_inbound(session.keys, WHATSAPP, now - WINDOW):
        return message
    channel = runtime.channels.get(message.place.channel_id)
    template = (channel.settings if channel else {}).get("content_sid") or runtime.settings.twilio.content_sid
    if not template:
        raise NotSent(
            WINDOW_CLOSED,
            "The contact wrote more than 24 hours ago, so WhatsApp takes only templates. "
            "Send one (content_sid), or set GATEWAY_TWILIO__CONTENT_SID.",
        )
    variables = {"1": message.text}
    outbound.use_template(message.id, str(template), variables)
    return replace(message, content_sid=str(template), content_variables=variables)


def _wait_for_pace(runtime: Runtime, row: Row, message: Outbound, now: datetime) -> None:
    """Keep the sending number's pace: a message's time is reserved once, and waited for."""
    if row.slot or row.address is None or not runtime.sender.paced:
        return
    channel = runtime.channels.get(message.place.channel_id)
    per_second = (channel.settings if channel else {}).get("segments_per_second")
    rate = float(per_second or _usual_pace(runtime, row.address.sender))
    slot = lanes.reserve(row.address.sender, now, timedelta(seconds=row.segments / rate))
    if slot > now:
        raise _Later(slot, slot)


def _usual_pace(runtime: Runtime, sender: str) -> float:
    if sender.startswith("whatsapp:"):
        return WHATSAPP_PER_SECOND
    return runtime.settings.twilio.segments_per_second if sender.startswith("+") else SHORT_CODE_PER_SECOND


def _outgoing(runtime: Runtime, message: Outbound, row: Row) -> Outgoing:
    to = row.address or Address("", "")
    base = runtime.settings.public_url.rstrip("/")
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
        status_callback=runtime.line.status_url(message.id) if base else None,
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
    if message is None or _is_settled(message):
        return None
    candidates = runtime.sender.find(_outgoing(runtime, message, row), row.attempted_at)
    with deadline():
        taken = outbound.known_sids([candidate.sid for candidate in candidates])
    for candidate in candidates:
        if candidate.sid not in taken:
            log.info("delivery_found", message_id=row.id, message_sid=candidate.sid)
            return Sent(candidate.sid, candidate.status)
    certain = row.last_attempt_at + _lookup_after(runtime)
    if runtime.clock.now() < certain:
        raise _Later(certain)
    return None


def _begin(runtime: Runtime, row: Row) -> None:
    """Note that the provider is about to be called. Without the claim nothing may be sent."""
    with deadline():
        lease = timedelta(seconds=runtime.settings.outbox.lease_seconds)
        if not outbox.begin_attempt(row, runtime.clock.now(), lease):
            raise GatewayError(f"the claim on {row.id} was lost before it was sent")


def _confirm(runtime: Runtime, row: Row, sent: Sent) -> None:
    with deadline():
        outbound.set_sid(row.id, sent.sid)
        _finish(runtime, row, outbox.DONE)
    log.info("reply_sent", message_id=row.id, message_sid=sent.sid, session_id=row.session_id, segments=row.segments)
    for state in (sent.status, *sent.later):
        status.apply_status(runtime, StatusUpdate(sent.sid, state, runtime.clock.now(), {}))
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
        _postpone(runtime, row, now + wait, failed=f"{refusal.code}: {refusal}", slot=row.slot, sent=sent)
        return
    with deadline():
        if refusal.reaction is Reaction.OPT_OUT and row.contact_id and row.address:
            optouts.record_refusal(runtime, row.contact_id, row.address, row.id)
        reason = str(refusal) or explain(refusal.code)
        outbound.fail(row.id, status="failed", code=refusal.code, reason=reason, at=now)
        _finish(runtime, row, outbox.FAILED, error=f"{refusal.code}: {refusal}"[:500])
    log.warning("delivery_refused", message_id=row.id, code=refusal.code, message=reason)


def _finish(runtime: Runtime, row: Row, state: str, *, error: str = "") -> None:
    """End a row, and let the next message to the same person go."""
    now = runtime.clock.now()
    if outbox.finish(row, state, now, error=error):
        _let_next_go(runtime, row, now)


def _let_next_go(runtime: Runtime, row: Row, now: datetime) -> None:
    if following := lanes.let_next_go(row.lane, now):
        runtime.notify(following, now)


def _wait(runtime: Runtime, row: Row, later: _Later) -> None:
    with deadline():
        sent = row.attempted_at is not None
        outbox.postpone(row, later.due, slot=later.slot, sent=sent, behind=later.behind)
        now = runtime.clock.now()
        if later.behind and lanes.one_before(row, now + SOON) is None:
            # What it waited for went out between the look and letting go, and told nobody.
            _let_next_go(runtime, row, now)
    runtime.notify(row.id, later.due)


def pause(tries: int) -> timedelta:
    """Wait twice as long after each try, and not everybody at the same moment."""
    seconds = min(2.0**tries, LONGEST_PAUSE.total_seconds())
    return timedelta(seconds=seconds * random.uniform(0.5, 1.5))  # noqa: S311 - no secret hangs on it


def _postpone(
    runtime: Runtime, row: Row, due: datetime, *, failed: str = "", slot: datetime | None = None, sent: bool = False
) -> None:
    with deadline():
        outbox.postpone(row, due, failed=failed[:500], slot=slot, sent=sent)
    runtime.notify(row.id, due)
