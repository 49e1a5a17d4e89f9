"""What Twilio tells of a call beside its turns: its status, recordings and what they say, the outcome of a dial."""

from datetime import datetime

from gateway.channels.base import Form, parameters, require
from gateway.core.messages import Attachment, CallEnds, CallEvent, DialOutcome, Media

_SAID_BY_ENDS = frozenset({"CallSid", "From", "To"})


def parse_status(form: Form, received_at: datetime) -> CallEvent:
    """Read a call's status callback: https://www.twilio.com/docs/voice/api/call-resource#statuscallback"""
    require(form, "CallSid", "CallStatus")
    return CallEvent(
        sid=form.text("CallSid"),
        status=form.text("CallStatus").lower(),
        received_at=received_at,
        sequence=form.text("SequenceNumber"),
        parameters=parameters(form, leave_out=_SAID_BY_ENDS),
        ends=parse_ends(form),
    )


def parse_dial(form: Form, received_at: datetime) -> DialOutcome:
    """Read what became of a forwarded call: https://www.twilio.com/docs/voice/twiml/dial#action"""
    require(form, "CallSid", "DialCallStatus")
    return DialOutcome(
        sid=form.text("CallSid"),
        status=form.text("DialCallStatus").lower(),
        received_at=received_at,
        parameters=parameters(form, leave_out=_SAID_BY_ENDS),
        ends=parse_ends(form),
    )


def parse_ends(form: Form) -> CallEnds:
    """Read who called whom, where a callback says so."""
    # A call of ours to somebody has its ends the other way round, and is not ours to answer.
    came_in = not form.text("Direction").startswith("outbound")
    caller, line = (form.text(name) if came_in else "" for name in ("From", "To"))
    return CallEnds("", caller, line, form.text("AccountSid") or None)


def parse_recording(form: Form, received_at: datetime) -> Attachment:
    """Read a <Record> action or a recording status callback; the latter has no From and To."""
    require(form, "CallSid", "RecordingSid")
    url = form.text("RecordingUrl")
    media = recorded(url, form.text("RecordingDuration")) if url else None
    return _attachment(form, received_at, media=media)


def recorded(url: str, seconds: str) -> Media:
    """Give a recording as a file; how long it is where that can be read."""
    length = {"duration_seconds": int(seconds)} if seconds.isdecimal() and len(seconds) < 10 else {}
    return Media(url, "audio/x-wav", length)


def parse_transcription(form: Form, received_at: datetime) -> Attachment:
    """Read a transcription: what it says becomes the content of its recording."""
    require(form, "CallSid", "RecordingSid")
    return _attachment(form, received_at, content=form.text("TranscriptionText") or None)


def _attachment(
    form: Form, received_at: datetime, *, media: Media | None = None, content: str | None = None
) -> Attachment:
    return Attachment(
        id=form.text("RecordingSid"),
        call_sid=form.text("CallSid"),
        received_at=received_at,
        parameters=parameters(form),
        final=form.text("RecordingStatus") != "in-progress",
        media=media,
        content=content,
    )
