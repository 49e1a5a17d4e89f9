"""Calls to our numbers, and everything that follows from one."""

from datetime import datetime

from flask import Blueprint, request

from gateway.channels import voice
from gateway.channels.base import Form, parameters, require
from gateway.conversation import calls, forwarding
from gateway.conversation.receive import Outcome, receive
from gateway.core.messages import CallEnds, CallNote, CallTurn
from gateway.webhooks.guard import EMPTY, runtime, twilio_webhook

bp = Blueprint("voice", __name__, url_prefix="/webhooks/voice")

_SAID_ELSEWHERE = frozenset({"CallSid", "From", "To"})


@bp.post("")
@twilio_webhook
def inbound(form: Form, received_at: datetime) -> Outcome:
    """Answer one call."""
    return receive(runtime(), voice.parse(form, received_at))


@bp.post("/turn")
@twilio_webhook
def turn(form: Form, received_at: datetime) -> Outcome | str:
    """Answer what the caller said, or their silence."""
    require(form, "CallSid", "To")
    message = voice.parse(form, received_at, _turn(form["CallSid"]))
    if not message.content and message.call:
        return calls.ask_silent(runtime(), message.call)
    return receive(runtime(), message)


def _turn(call_sid: str) -> CallTurn:
    number = _number("turn")
    if number < 1:
        return CallTurn(call_sid, calls.number_turn(call_sid))
    return runtime().line.read_turn(call_sid, number, request.args.get("state", ""))


def _number(name: str) -> int:
    """Read a count from the URL; 0 where there is none."""
    given = request.args.get(name, "")
    return int(given) if given.isdecimal() and len(given) <= 6 else 0


@bp.post("/wait")
@twilio_webhook
def wait(form: Form, _received_at: datetime) -> str:
    """Say what the call waits for; to one that does not say for what, what it was told last."""
    require(form, "CallSid")
    number = _number("turn")
    turn = runtime().line.read_turn(form["CallSid"], number, request.args.get("state", ""))
    if turn.session_id:
        return calls.wait(runtime(), turn, _number("wait"))
    return calls.wait_unsigned(runtime(), form["CallSid"], _number("wait"))


@bp.post("/recording")
@twilio_webhook
def recording(form: Form, received_at: datetime) -> str:
    """Keep a recording; serves as its status callback, and as the action of <Record>, which goes on with the call."""
    calls.apply_callback(runtime(), voice.parse_recording(form, received_at))
    if "RecordingStatus" in form:
        return EMPTY
    return forwarding.after_recording(runtime(), form["CallSid"], _ends(form))


@bp.post("/transcription")
@twilio_webhook
def transcription(form: Form, received_at: datetime) -> None:
    """Keep what a recording says."""
    calls.apply_callback(runtime(), voice.parse_transcription(form, received_at))


@bp.post("/dial")
@twilio_webhook
def dial(form: Form, received_at: datetime) -> str:
    """Keep what became of a forwarded call, and go on with it."""
    require(form, "CallSid", "DialCallStatus")
    note = CallNote(form["CallSid"], received_at, parameters(form, leave_out=_SAID_ELSEWHERE))
    calls.apply_callback(runtime(), note)
    return forwarding.after_dial(runtime(), form["CallSid"], _ends(form), form["DialCallStatus"].lower())


@bp.post("/status")
@twilio_webhook
def status(form: Form, received_at: datetime) -> None:
    """Keep the status of a call."""
    event = voice.parse_status(form, received_at)
    calls.apply_callback(runtime(), event)
    forwarding.after_call(runtime(), event.sid, _ends(form), event.status)


def _ends(form: Form) -> CallEnds:
    """Read who called whom, where a callback says so."""
    # A call of ours to somebody has its ends the other way round, and is not ours to answer.
    came_in = not form.text("Direction").startswith("outbound")
    caller, line = (form.text(name) if came_in else "" for name in ("From", "To"))
    return CallEnds("", caller, line, form.text("AccountSid") or None)
