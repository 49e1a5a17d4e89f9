"""Calls that do more than converse: voicemail, somebody's telephone, and the text to a caller nobody answered."""

from gateway.channels import CHANNELS, voice
from gateway.channels.line import CONVERSE, DIAL, Line
from gateway.conversation import plans
from gateway.conversation.runtime import Runtime
from gateway.conversation.send import CannotSend, send_text
from gateway.core.errors import GatewayError
from gateway.core.messages import SMS, VOICE, CallEnds
from gateway.core.participant import address, caller
from gateway.logs import log
from gateway.store import calls as store_calls
from gateway.store.connection import deadline

NOTHING = CHANNELS[VOICE].no_answer


def after_recording(runtime: Runtime, call_sid: str, given: CallEnds) -> str:
    """Say what comes after a caller's recording: thanks, unless it was one of a conversation."""
    line, _ = _line(runtime, call_sid, given)
    return NOTHING if line.plan.mode == CONVERSE else voice.render_thanks(line)


def after_dial(runtime: Runtime, call_sid: str, given: CallEnds, outcome: str) -> str:
    """Say what comes after a forwarded call. Who reached nobody gets a text, and may leave a message."""
    line, ends = _line(runtime, call_sid, given)
    if line.plan.mode != DIAL:
        return NOTHING
    if outcome not in voice.MISSED:
        return voice.render_hangup()
    _text_back(runtime, call_sid, line, ends)
    return voice.render_voicemail(line)


def after_call(runtime: Runtime, call_sid: str, given: CallEnds, status: str) -> None:
    """Text a caller who hung up before anybody answered a forwarded call."""
    if status not in voice.MISSED:
        return
    line, ends = _line(runtime, call_sid, given)
    if line.plan.mode == DIAL:
        _text_back(runtime, call_sid, line, ends)


def _line(runtime: Runtime, call_sid: str, given: CallEnds) -> tuple[Line, CallEnds]:
    """Find what a call is for, and its ends: as its first webhook told, or where that is not stored, as given now."""
    with deadline():
        ends = store_calls.ends(call_sid) or given
        channel = runtime.channels.get(ends.channel_id or f"{VOICE}:{address(ends.line).identity}")
    return plans.line_for(runtime, channel), ends


def _text_back(runtime: Runtime, call_sid: str, line: Line, ends: CallEnds) -> None:
    """Text a caller once, whatever happens to it: the call's own answer must not depend on that."""
    to, ours = _number(ends.caller, call_sid), _number(ends.line, call_sid)
    if not line.plan.text_back.strip() or to is None or ours is None:
        return
    try:
        queued = send_text(
            runtime,
            communication_type=SMS,
            to=to,
            line=ours,
            text=line.plan.text_back,
            message_id=f"text-back:{call_sid}",
            sender="system",
            account_sid=ends.account_sid,
        )
    except CannotSend as refused:
        log.info("text_back_refused", call_sid=call_sid, reason=str(refused))
    except GatewayError as error:
        log.error("text_back_failed", call_sid=call_sid, message=str(error)[:300])
    else:
        log.info("text_back_queued", call_sid=call_sid, session_id=queued.session_id, fresh=queued.fresh)


def _number(raw: str, call_sid: str) -> str | None:
    """Give a telephone's number: nobody texts a withheld caller, an app, a SIP address or a short code."""
    person = caller(raw, call_sid)
    return person.number if person.number and not person.prefix and person.number.startswith("+") else None
