"""What happens around a call's turns: silence, status, recordings and the outcome of a dial."""

from collections.abc import Mapping
from typing import Any

from gateway.channels import CHANNELS, voice
from gateway.conversation.runtime import Runtime
from gateway.core.messages import VOICE, Attachment, CallEvent, CallTurn
from gateway.core.statuses import CALL_ENDS
from gateway.logs import log
from gateway.store import messages, sessions
from gateway.store.connection import deadline


def number_turn(call_sid: str) -> int:
    """Give the number of a turn that came without one: the next of its call."""
    with deadline():
        latest = messages.latest_turn(call_sid)
    return int(latest.id.rpartition(":")[2]) + 1 if latest else 1


def say_again(call_sid: str) -> str:
    """Give the call's latest stored answer; nothing where the call is unknown."""
    with deadline():
        latest = messages.latest_turn(call_sid)
    return latest.twiml if latest else CHANNELS[VOICE].no_answer


def ask_silent(runtime: Runtime, turn: CallTurn) -> str:
    """Answer silence. It is no message: what to say next is in the turn's own address."""
    return voice.render_silence(turn, runtime.line)


def apply_call_status(runtime: Runtime, event: CallEvent) -> None:
    """Keep a call's status; its end is activity of the session and lets go of it, but closes nothing (T6)."""
    now = runtime.clock.now()
    with deadline():
        session_id = messages.apply_call_status(event)
        if session_id is None:
            key = f"{event.sid}:{event.status}:{event.sequence}"
            messages.park(key, event.sid, {"CallStatus": event.status, **event.parameters}, now)
        elif event.status in CALL_ENDS:
            sessions.end_call(session_id, event.sid, event.received_at, now)
    log.info("call_status", call_sid=event.sid, status=event.status, session_id=session_id)


def attach(runtime: Runtime, attachment: Attachment) -> None:
    """Store a recording or its transcription as one message of the call's session."""
    now = runtime.clock.now()
    with deadline():
        call = messages.call_of(attachment.call_sid)
        if call is None:
            messages.park(f"{attachment.id}:{now.isoformat()}", attachment.call_sid, attachment.parameters, now)
        else:
            session_id, shared = call
            if messages.attach(attachment, session_id, shared, now):
                sessions.touch_closed(sessions.Touch(session_id, attachment.received_at, now))
    log.info("recording_stored" if call else "callback_parked", call_sid=attachment.call_sid, sid=attachment.id)


def note_on_call(runtime: Runtime, call_sid: str, parameters: Mapping[str, Any]) -> None:
    """Keep what a callback says of a call beside its first message."""
    now = runtime.clock.now()
    with deadline():
        if not messages.add_to_call(call_sid, parameters):
            messages.park(f"{call_sid}:{now.isoformat()}", call_sid, parameters, now)
