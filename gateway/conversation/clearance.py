"""Whether a message may be sent now: wanted, not opted out of, in order, in pace and within WhatsApp's window."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from gateway.conversation import optouts
from gateway.conversation.release import finish
from gateway.conversation.runtime import Runtime
from gateway.core.messages import WHATSAPP
from gateway.core.sending import NotSent
from gateway.store import delivery, finding, heard, lanes, outbox
from gateway.store.attempts import Known
from gateway.store.outbound import Outbound
from gateway.store.outbox import Row

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


class Later(Exception):
    """A message is not due yet; `slot` was reserved for it. With `behind` it only waits for an earlier one."""

    def __init__(self, due: datetime, slot: datetime | None = None, *, behind: bool = False) -> None:
        super().__init__(due)
        self.due, self.slot, self.behind = due, slot, behind


def ready(runtime: Runtime, row: Row, known: Known) -> Outbound | None:
    """Give the message if it may be sent now; else the row is ended, or put off by raising Later.

    Asked before every attempt: much may have happened since the last one, a STOP above all.
    """
    message, now = known.message, runtime.clock.now()
    if message is None or is_settled(message):
        finish(runtime, row, outbox.DONE)
        return None
    if row.address and not set(optouts.lines_of(row.address)).isdisjoint(known.opted_out):
        optouts.call_off(runtime, row.id)
        finish(runtime, row, outbox.CANCELED)
        return None
    if known.crowded and (before := lanes.one_before(row, now + SOON)):
        look = min(max(before, now) + LOOK_AT_LEAST, now + LOOK_AT_MOST)
        raise Later(look, row.slot, behind=True)
    _wait_for_pace(runtime, row, message, now)
    return _within_window(runtime, message, now)


def is_settled(message: Outbound) -> bool:
    """Tell whether a status callback named a message's SID already, or nobody wants it sent any more."""
    return bool(message.provider_sid) or message.status in ("canceled", "failed")


def _within_window(runtime: Runtime, message: Outbound, now: datetime) -> Outbound:
    """Let a message through while WhatsApp's window is open; else as the configured template, or not at all."""
    if message.place.communication_type != WHATSAPP or message.content_sid:
        return message
    session = finding.get(message.place.session_id)
    if session and window_closes_at(session.keys, now):
        return message
    template = usual_template(runtime, message.place.channel_id)
    if not template:
        raise NotSent(
            WINDOW_CLOSED,
            "The contact wrote more than 24 hours ago, so WhatsApp takes only templates. "
            "Send one (content_sid), or set GATEWAY_TWILIO__CONTENT_SID.",
        )
    variables = {"1": message.text}
    delivery.use_template(message.id, template, variables)
    return replace(message, content_sid=template, content_variables=variables)


def window_closes_at(keys: Sequence[str], now: datetime) -> datetime | None:
    """Tell until when WhatsApp lets us write freely to the person of these keys; None where it does not now."""
    last = heard.last_inbound(keys, WHATSAPP, now - WINDOW)
    return last + WINDOW if last else None


def usual_template(runtime: Runtime, channel_id: str) -> str:
    """Give the template that a text is put into where only templates go; empty where none is set up."""
    channel = runtime.channels.get(channel_id)
    return str((channel.settings if channel else {}).get("content_sid") or runtime.settings.twilio.content_sid)


def _wait_for_pace(runtime: Runtime, row: Row, message: Outbound, now: datetime) -> None:
    """Keep the sending number's pace: a message's time is reserved once, and waited for."""
    if row.slot or row.address is None or not runtime.sender.paced:
        return
    channel = runtime.channels.get(message.place.channel_id)
    per_second = (channel.settings if channel else {}).get("segments_per_second")
    rate = float(per_second or _usual_pace(runtime, row.address.sender))
    slot = lanes.reserve(row.address.sender, now, timedelta(seconds=row.segments / rate))
    if slot > now:
        raise Later(slot, slot)


def _usual_pace(runtime: Runtime, sender: str) -> float:
    if sender.startswith("whatsapp:"):
        return WHATSAPP_PER_SECOND
    return runtime.settings.twilio.segments_per_second if sender.startswith("+") else SHORT_CODE_PER_SECOND
