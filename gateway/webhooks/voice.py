"""Calls to our numbers, and everything that follows from one."""

from datetime import datetime

from flask import Blueprint, request

from gateway.channels import callbacks, voice
from gateway.channels.base import Form, require
from gateway.conversation import calls, forwarding
from gateway.conversation.intake import Kept, take
from gateway.conversation.receive import Outcome
from gateway.core.messages import UNNUMBERED, CallTurn
from gateway.webhooks.answering import EMPTY, runtime
from gateway.webhooks.guard import twilio_webhook

bp = Blueprint("voice", __name__, url_prefix="/webhooks/voice")


@bp.post("")
@twilio_webhook
def inbound(form: Form, received_at: datetime) -> Outcome | Kept:
    """Answer one call."""
    return take(runtime(), voice.parse(form, received_at))


@bp.post("/turn")
@twilio_webhook
def turn(form: Form, received_at: datetime) -> Outcome | Kept | str:
    """Answer what the caller said, or their silence."""
    require(form, "CallSid", "To")
    turn = _turn(form["CallSid"])
    message = voice.parse(form, received_at, turn)
    if not message.content:
        return runtime().aside(calls.or_apologise, runtime(), lambda: calls.ask_silent(runtime(), turn))
    return take(runtime(), message)


def _turn(call_sid: str) -> CallTurn:
    number = _number("turn")
    if number < 1:
        return CallTurn(call_sid, UNNUMBERED)
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
    turn = runtime().line.read_turn(form["CallSid"], _number("turn"), request.args.get("state", ""))
    return calls.or_apologise(runtime(), lambda: calls.wait(runtime(), turn, _number("wait")))


@bp.post("/recording")
@twilio_webhook
def recording(form: Form, received_at: datetime) -> str:
    """Keep a recording; serves as its status callback, and as the action of <Record>, which goes on with the call."""
    take(runtime(), callbacks.parse_recording(form, received_at))
    if "RecordingStatus" in form:
        return EMPTY
    return forwarding.say_after_recording(runtime(), form["CallSid"], callbacks.parse_ends(form))


@bp.post("/transcription")
@twilio_webhook
def transcription(form: Form, received_at: datetime) -> None:
    """Keep what a recording says."""
    take(runtime(), callbacks.parse_transcription(form, received_at))


@bp.post("/dial")
@twilio_webhook
def dial(form: Form, received_at: datetime) -> str:
    """Keep what became of a forwarded call, and go on with it."""
    outcome = callbacks.parse_dial(form, received_at)
    take(runtime(), outcome)
    return forwarding.say_after_dial(runtime(), outcome)


@bp.post("/status")
@twilio_webhook
def status(form: Form, received_at: datetime) -> None:
    """Keep the status of a call."""
    take(runtime(), callbacks.parse_status(form, received_at))
