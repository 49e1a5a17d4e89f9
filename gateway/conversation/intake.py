"""Everything that arrives comes through here: applied at once, or kept in the spool until it can be.

An event goes to the spool where MongoDB does not take it, and where others about the same person or call wait there
already, so that each is decided on in its turn. It is kept before anything is looked up; what its webhook is answered
meanwhile needs nothing but the settings.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import overload

from gateway.channels import CHANNELS, messaging
from gateway.conversation import calls, forwarding, respond, status
from gateway.conversation.receive import Outcome, receive
from gateway.conversation.runtime import Runtime
from gateway.conversation.unheard import notice_id
from gateway.core.errors import SpoolUnavailable, StoreRefused, StoreUnavailable
from gateway.core.events import Callback, Event, key_of, kind_of, subjects_of
from gateway.core.messages import HOSTED, Attachment, CallEvent, Delivery, DialOutcome, InboundMessage, StatusUpdate
from gateway.core.optout import keyword
from gateway.core.webhooks import name_webhook
from gateway.logs import log, where
from gateway.store import connection, messages
from gateway.store.connection import deadline


@dataclass(frozen=True, slots=True)
class Kept:
    """An event that waits in the spool. `told` is what its sender was told meanwhile, mostly nothing."""

    id: str
    twiml: str
    received_at: datetime
    told: str = ""


@overload
def take(runtime: Runtime, event: InboundMessage, token: str = "") -> Outcome | Kept: ...
@overload
def take(runtime: Runtime, event: Callback, token: str = "") -> None: ...
def take(runtime: Runtime, event: Event, token: str = "") -> Outcome | Kept | None:
    """Take one event from a webhook. Whatever this returns, the event is on a disk and stays there.

    `token` is what the provider repeats in its retries of this request, if anything.
    SpoolUnavailable where neither MongoDB nor the spool took it.
    """
    webhook = name_webhook(event.received_at, token)
    if _waits_for_its_group_only(runtime, event):
        return _take(runtime, event, webhook)
    return runtime.aside(_take_in_turn, runtime, event, webhook)


def _waits_for_its_group_only(runtime: Runtime, event: Event) -> bool:
    """Tell whether an event is likely to need nothing of MongoDB but what it shares with those that arrive with it."""
    if not runtime.spool.is_known_empty():
        return False
    if isinstance(event, InboundMessage):
        alone = event.id in runtime.recent or (event.call and event.call.number <= 0)
        return not alone and runtime.channels.known(event.communication_type, event.recipient) is not None
    return isinstance(event, StatusUpdate)


def _take_in_turn(runtime: Runtime, event: Event, webhook: str) -> Outcome | Kept | None:
    if _must_wait(runtime, event):
        try:
            return _keep(runtime, event, webhook)
        except SpoolUnavailable as error:
            # Better out of its turn than not at all.
            log.error("spool_unavailable", message=str(error)[:300])
    return _take(runtime, event, webhook)


def _take(runtime: Runtime, event: Event, webhook: str) -> Outcome | Kept | None:
    try:
        return apply(runtime, event, Delivery((webhook,)))
    except StoreRefused as error:
        return runtime.aside(_keep, runtime, event, webhook, error=str(error))
    except StoreUnavailable as error:
        connection.breaker.trip(str(error))
        return runtime.aside(_keep, runtime, event, webhook, refused=True)
    except Exception as error:
        # A fault of ours must not cost a message either; once it is mended, `gateway spool retry` applies it.
        log.error("event_failed", kind=kind_of(event), error=where(error))
        return runtime.aside(_keep, runtime, event, webhook, error=where(error))


def apply(runtime: Runtime, event: Event, delivery: Delivery) -> Outcome | None:
    """Let an event take effect. Safe to repeat: each is known by its provider's id."""
    match event:
        case InboundMessage():
            return receive(runtime, event, delivery)
        case StatusUpdate():
            status.apply_status(runtime, event, again=not delivery.waiting)
        case CallEvent() | DialOutcome():
            calls.apply_callback(runtime, event)
            if not delivery.unanswered:
                forwarding.text_back(runtime, event)
        case Attachment():
            calls.apply_callback(runtime, event)
    return None


def _must_wait(runtime: Runtime, event: Event) -> bool:
    """Tell whether others wait in the spool that an event has to do with: those are decided on first.

    Nobody waits for strangers, for a spool that fills as fast as it is emptied would never be empty. Somebody's earlier
    message by another name of theirs may be missed, and is filed then as one that comes late.
    """
    try:
        if runtime.spool.is_empty():
            return False
        if connection.breaker.is_open:
            return True
        return runtime.spool.holds_about(subjects_of(event)) and not _is_answered(runtime, event)
    except SpoolUnavailable as error:
        log.error("spool_unavailable", message=str(error)[:300])
        return False


def _is_answered(runtime: Runtime, event: Event) -> bool:
    """Tell whether this is stored in MongoDB and nowhere else: then it is told the same again, and changes nothing."""
    if not isinstance(event, InboundMessage) or connection.breaker.is_open or runtime.spool.holds(key_of(event)):
        return False
    try:
        with deadline():
            return messages.find_claimed(event.id) is not None
    except StoreUnavailable as error:
        connection.breaker.trip(str(error))
        return False


def _keep(runtime: Runtime, event: Event, webhook: str, *, refused: bool = False, error: str = "") -> Kept | None:
    twiml, told = _answer(runtime, event) if isinstance(event, InboundMessage) else ("", "")
    key = key_of(event)
    fresh = runtime.spool.put(event, webhook=webhook, told=told, refused=refused, error=error)
    log.warning("spooled", kind=kind_of(event), key=key, fresh=fresh, set_aside=bool(error))
    return Kept(key, twiml, event.received_at, told) if isinstance(event, InboundMessage) else None


def _answer(runtime: Runtime, message: InboundMessage) -> tuple[str, str]:
    """Give the TwiML for a message that is only kept, and its text: a notice, once a sender and outage."""
    if message.call:
        return respond.outage_call(runtime), ""
    text = runtime.settings.reply.outage_text.strip()
    silent = (
        not text
        or message.communication_type in HOSTED  # its page says so itself
        or keyword(message.content, message.opt_out_type) is not None
        or not runtime.blocked.isdisjoint(message.sender.identities)
        or runtime.spool.holds_from(message.sender.identities[0])
    )
    if silent:
        return CHANNELS[message.communication_type].no_answer, ""
    return messaging.render_notice(text, notice_id(message.id), runtime.line), text
