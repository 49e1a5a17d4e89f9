"""Calls that do more than converse: voicemail, somebody's telephone, and the text to a caller nobody answered."""

from gateway.channels import CHANNELS, voice
from gateway.channels.line import CONVERSE, DIAL, Line
from gateway.conversation import missed_calls, plans
from gateway.conversation.runtime import Runtime
from gateway.conversation.send import send_text
from gateway.conversation.ways import CannotSend, way_from
from gateway.core.errors import GatewayError, StoreUnavailable
from gateway.core.messages import SMS, VOICE, CallEnds, CallEvent, DialOutcome
from gateway.core.participant import address, caller
from gateway.logs import log
from gateway.store import calls as store_calls
from gateway.store.connection import deadline
from gateway.store.outbox import Address

NOTHING = CHANNELS[VOICE].no_answer


def say_after_recording(runtime: Runtime, call_sid: str, given: CallEnds) -> str:
    """Say what comes after a caller's recording: thanks, unless it was one of a conversation."""
    try:
        line, _ = _line(runtime, call_sid, given)
    except StoreUnavailable:
        # Then the message was most likely left because of that.
        return voice.render_thanks(plans.line_for(runtime, None))
    return NOTHING if line.plan.mode == CONVERSE else voice.render_thanks(line)


def say_after_dial(runtime: Runtime, outcome: DialOutcome) -> str:
    """Say what comes after a forwarded call: who reached nobody may leave a message."""
    try:
        line, _ = _line(runtime, outcome.sid, outcome.ends)
    except StoreUnavailable:
        line = plans.line_for(runtime, None)
    if line.plan.mode != DIAL:
        return NOTHING
    return voice.render_voicemail(line) if outcome.status in voice.MISSED else voice.render_hangup()


def text_back(runtime: Runtime, event: CallEvent | DialOutcome) -> None:
    """Text a caller whom nobody answered: what a flow asks first that listens to missed calls, else the text for it.

    That text goes to whom a forwarded call brought to nobody, or who hung up before anybody answered it.
    """
    if not missed_calls.may_be_missed(runtime, event):
        return
    line, ends = _line(runtime, event.sid, event.ends)
    to, ours = _number(ends.caller, event.sid), _number(ends.line, event.sid)
    if to is None or ours is None:
        return
    if missed_calls.flow_for(runtime, line.plan.mode, event, ours):
        missed_calls.queue(runtime, event.sid, way_from(SMS, to, ours, ends.account_sid))
    elif event.status in voice.MISSED and line.plan.mode == DIAL and line.plan.text_back.strip():
        _text_back(runtime, event.sid, line.plan.text_back, way_from(SMS, to, ours, ends.account_sid))


def _line(runtime: Runtime, call_sid: str, given: CallEnds) -> tuple[Line, CallEnds]:
    """Find what a call is for, and its ends: as its first webhook told, or where that is not stored, as given now."""
    with deadline():
        ends = store_calls.ends(call_sid) or given
        channel = runtime.channels.get(ends.channel_id or f"{VOICE}:{address(ends.line).identity}")
    return plans.line_for(runtime, channel), ends


def _text_back(runtime: Runtime, call_sid: str, text: str, to: Address) -> None:
    """Text a caller once, however often the end of the call is told."""
    try:
        queued = send_text(
            runtime,
            communication_type=SMS,
            to=to.to,
            line=to.sender,
            text=text,
            message_id=f"text-back:{call_sid}",
            sender="system",
            account_sid=to.account_sid,
        )
    except CannotSend as refused:
        log.info("text_back_refused", call_sid=call_sid, reason=str(refused))
    except StoreUnavailable:
        raise
    except GatewayError as error:
        log.error("text_back_failed", call_sid=call_sid, message=str(error)[:300])
    else:
        log.info("text_back_queued", call_sid=call_sid, session_id=queued.session_id, fresh=queued.fresh)


def _number(raw: str, call_sid: str) -> str | None:
    """Give a telephone's number: nobody texts a withheld caller, an app, a SIP address or a short code."""
    person = caller(raw, call_sid)
    return person.number if person.number and not person.prefix and person.number.startswith("+") else None
