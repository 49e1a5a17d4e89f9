"""What happens around a call's turns: waiting, silence, status, recordings and the outcome of a dial."""

from collections.abc import Callable
from dataclasses import replace

from gateway.channels import CHANNELS, voice
from gateway.conversation import answer, flow_turns, plans, queue, respond
from gateway.conversation.runtime import Runtime
from gateway.core.errors import StoreUnavailable
from gateway.core.messages import UNNUMBERED, VOICE, Attachment, CallEvent, CallTurn, DialOutcome, StatusUpdate
from gateway.core.replies import FLOW
from gateway.core.sessions import SessionView
from gateway.core.statuses import CALL_ENDS
from gateway.core.times import ms_between
from gateway.logs import log
from gateway.store import asked, callbacks, connection, messages, sessions
from gateway.store import calls as store_calls
from gateway.store.answers import DONE, PENDING
from gateway.store.asked import Asked
from gateway.store.connection import deadline

WAIT_PATH = "/webhooks/voice/wait"


def numbered(turn: CallTurn) -> CallTurn:
    """Number a turn that came without a number: it is the next of its call."""
    if turn.number != UNNUMBERED:
        return turn
    latest = store_calls.latest_turn(turn.sid)
    return replace(turn, number=int(latest.id.rpartition(":")[2]) + 1 if latest else 1)


def say_again(call_sid: str) -> str:
    """Give the call's latest stored answer; nothing where the call is unknown."""
    with deadline():
        latest = store_calls.latest_turn(call_sid)
    return latest.twiml if latest else CHANNELS[VOICE].no_answer


def _wait_unsigned(runtime: Runtime, call_sid: str, waits: int) -> str:
    """Let a call wait on whose address we cannot verify, after a change of keys: the call itself says for what."""
    with deadline():
        latest = store_calls.latest_turn(call_sid)
    if latest is None or WAIT_PATH not in latest.twiml:
        return say_again(call_sid)
    number = int(latest.id.rpartition(":")[2])
    return wait(runtime, CallTurn(call_sid, number, latest.session_id), waits)


def wait(runtime: Runtime, turn: CallTurn, waits: int) -> str:
    """Say the answer a turn waited for, or let it wait on; past the bound its caller gets an apology.

    Asked for again, it says the same: what was answered, by whoever was first, is what is stored.
    """
    if not turn.session_id:
        return _wait_unsigned(runtime, turn.sid, waits)
    with deadline():
        message = _waited_for(runtime, turn, waits)
    if message is None:
        return say_again(turn.sid)
    line = plans.line_for(runtime, runtime.channels.get(message.place.channel_id))
    if message.state == PENDING:
        return voice.render_wait(turn, waits + 1, line)
    return voice.render_answer(message.said, turn, line, message.listening)


def _waited_for(runtime: Runtime, turn: CallTurn, waits: int) -> Asked | None:
    message = asked.get(f"{turn.sid}:{turn.number}")
    if message and message.state == PENDING and message.responder == FLOW:
        # The webhook that was to answer it at once did not, and a flow takes no time.
        flow_turns.say(runtime, message)
        message = asked.get(message.id)
    if message and message.state == PENDING and _has_waited_enough(runtime, message, waits):
        _give_up(runtime, message)
        message = asked.get(message.id)
    if message and message.state == DONE:
        # Who gave the answer may have died before it became a message of its own.
        answer.keep_said(runtime, message)
    return message


def _has_waited_enough(runtime: Runtime, message: Asked, waits: int) -> bool:
    """Look at the clock and at the pauses. `stored_at` is this clock's own; `at` may be a simulated time."""
    bound = runtime.settings.voice.wait_seconds
    return _waited_ms(runtime, message) >= bound * 1000 or voice.waited_seconds(waits) >= bound


def _waited_ms(runtime: Runtime, message: Asked) -> int:
    return ms_between(message.stored_at, runtime.clock.now())


def _give_up(runtime: Runtime, message: Asked) -> None:
    """Apologise for an answer that did not come in time, unless it comes at this very moment."""
    error = f"no answer within {runtime.settings.voice.wait_seconds} s"
    reply = respond.apology(runtime, message.responder, error)
    if asked.say_on_call(message.id, reply, _waited_ms(runtime, message)):
        log.warning("call_waited_too_long", message_id=message.id, responder=message.responder, error=error)


def ask_silent(runtime: Runtime, turn: CallTurn) -> str:
    """Answer silence. It is no message: what to say next is in the turn's own address."""
    with deadline():
        turn = numbered(turn)
    return voice.render_silence(turn, runtime.line)


def or_apologise(runtime: Runtime, say: Callable[[], str]) -> str:
    """Say something to a call, or that it is not possible now."""
    try:
        return say()
    except StoreUnavailable as error:
        connection.breaker.trip(str(error))
        return respond.outage_call(runtime)


def apply_callback(runtime: Runtime, callback: CallEvent | Attachment | DialOutcome) -> None:
    """Keep what a callback says of a call; one that comes before its call waits for it, for an hour."""
    sid = callback.call_sid if isinstance(callback, Attachment) else callback.sid
    with deadline():
        applied = _apply(runtime, callback)
        if not applied:
            callbacks.park(sid, callback)
            # The call may have been stored between looking for it and parking.
            if store_calls.call_of(sid):
                apply_waiting(runtime, sid)
    event, facts = _told(callback)
    log.info(event if applied else "callback_parked", call_sid=sid, **facts)


def apply_waiting(runtime: Runtime, call_sid: str) -> None:
    """Apply what came before the call it speaks of; each is let go of only afterwards, for applying repeats well."""
    for callback in callbacks.waiting(call_sid):
        if not isinstance(callback, StatusUpdate):
            _apply(runtime, callback)
            callbacks.forget(callback)


def let_go_if_over(runtime: Runtime, call_sid: str) -> None:
    """Take a call's claim on its session back if it ended while that was being made."""
    call = messages.find_claimed(f"{call_sid}:0")
    if call and call.call_status in CALL_ENDS:
        now = runtime.clock.now()
        sessions.end_call(call.session_id, call_sid, call.call_ended_at or call.received_at, now)


def release_ended(runtime: Runtime, session: SessionView) -> None:
    """Let go of calls whose end is stored but did not reach their session before a crash."""
    for call_sid in session.live:
        let_go_if_over(runtime, call_sid)


def _told(callback: CallEvent | Attachment | DialOutcome) -> tuple[str, dict[str, str]]:
    match callback:
        case CallEvent():
            return "call_status", {"status": callback.status}
        case Attachment():
            return "recording_stored", {"sid": callback.id}
        case _:
            return "call_noted", {}


def _apply(runtime: Runtime, callback: CallEvent | Attachment | DialOutcome) -> bool:
    """Let a callback take effect; False where its call is not known."""
    match callback:
        case CallEvent():
            return _apply_status(runtime, callback)
        case Attachment():
            return _attach(runtime, callback)
        case _:
            return store_calls.add_to_call(callback.sid, callback.parameters)


def _apply_status(runtime: Runtime, event: CallEvent) -> bool:
    """The end of a call is activity of its session and lets go of it, but closes nothing (T6)."""
    session_id = store_calls.apply_call_status(event)
    if session_id and event.status in CALL_ENDS:
        sessions.end_call(session_id, event.sid, event.received_at, runtime.clock.now())
    return session_id is not None


def _attach(runtime: Runtime, attachment: Attachment) -> bool:
    """A recording and its text are one message of the call's session."""
    call = store_calls.call_of(attachment.call_sid)
    if call is None:
        return False
    (session_id, shared), now = call, runtime.clock.now()
    if store_calls.attach(attachment, session_id, shared, now):
        sessions.touch_by_id(sessions.Touch(session_id, attachment.received_at, now))
    if attachment.media and attachment.final:
        queue.download(runtime, session_id, attachment.id)
    return True
