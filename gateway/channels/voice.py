"""Calls: each turn is what the caller said or keyed, each answer is spoken; one that takes its time is waited for.

Parameters: https://www.twilio.com/docs/voice/twiml and https://www.twilio.com/docs/voice/twiml/gather
"""

from dataclasses import replace
from datetime import datetime

from twilio.twiml.voice_response import Gather, VoiceResponse

from gateway.channels.base import Form, parameters, require, writable
from gateway.channels.line import Line
from gateway.channels.speech import SAY_LIMIT, speakable
from gateway.core.errors import Malformed
from gateway.core.messages import VOICE, Attachment, CallEvent, CallTurn, InboundMessage, Media
from gateway.core.participant import address, caller
from gateway.core.replies import Reply

# A caller who stays silent is asked once.
SILENCES_ALLOWED = 1
# A caller waits in short pauses first, so that a quick answer is heard soon.
SHORT_WAITS, SHORT_PAUSE, LONG_PAUSE = 4, 1, 2

NO_ANSWER = str(VoiceResponse())


def parse(form: Form, received_at: datetime, turn: CallTurn | None = None) -> InboundMessage:
    """Read one turn of a call; turn 0 is the call itself and has no words yet."""
    require(form, "CallSid", "To")
    # A withheld number may come as nothing at all, so an empty From is one.
    if "From" not in form:
        raise Malformed("missing_parameter", "From is missing", parameter="From")
    sid = form.text("CallSid")
    turn = turn or CallTurn(sid, 0)
    said = next((name for name in ("SpeechResult", "Digits") if turn.number and form.text(name)), "")
    metadata = parameters(form, leave_out=frozenset({"CallSid", said}))
    if said:
        metadata["input"] = "speech" if said == "SpeechResult" else "dtmf"
    return InboundMessage(
        id=f"{sid}:{turn.number}",
        communication_type=VOICE,
        sender=caller(form.text("From"), sid, name=form.text("CallerName") or None),
        recipient=address(form.text("To")),
        content=form.text(said) if said else "",
        received_at=received_at,
        provider_sid=sid,
        account_sid=form.text("AccountSid") or None,
        metadata=metadata,
        call=turn,
        again=bool(form.text("ErrorCode")),
    )


def split(text: str) -> list[str]:
    """Say everything in one go."""
    return [text]


def render(reply: Reply, message: InboundMessage, session_id: str, line: Line) -> str:
    """Say the answer (the greeting at the beginning of a call) and listen for the next turn."""
    turn = message.call or CallTurn(message.provider_sid, 0)
    turn = replace(turn, session_id=session_id)
    if turn.number:
        return render_answer(reply.text, turn, line)
    return _ask(line.plan.greeting, _next(replace(turn, began=message.received_at)), line)


def render_answer(words: str, turn: CallTurn, line: Line) -> str:
    """Say the answer to a turn, if there are words, and listen for the next one."""
    return _ask(speakable(writable(words)), _next(turn), line)


def _next(turn: CallTurn, silences: int = 0) -> CallTurn:
    return replace(turn, number=turn.number + 1, silences=silences)


def render_wait(turn: CallTurn, waits: int, line: Line) -> str:
    """Let the caller wait for the `waits`th time and then ask for the turn's answer; the first time says so."""
    response = VoiceResponse()
    filler = writable(line.plan.filler).strip()
    if waits == 1 and filler.startswith(("http://", "https://")):
        response.play(filler)
    elif waits == 1 and filler:
        response.say(filler[:SAY_LIMIT], language=line.language, voice=line.voice)
    response.pause(length=SHORT_PAUSE if waits <= SHORT_WAITS else LONG_PAUSE)
    response.redirect(line.wait_url(turn, waits), method="POST")
    return str(response)


def waited_seconds(waits: int) -> int:
    """Say how long so many pauses are."""
    short = min(waits, SHORT_WAITS)
    return short * SHORT_PAUSE + (waits - short) * LONG_PAUSE


def render_silence(turn: CallTurn, line: Line) -> str:
    """Ask a silent caller whether they are still there; say goodbye to one who was asked already."""
    if turn.silences >= SILENCES_ALLOWED:
        return render_goodbye(line)
    return _ask(line.silence, _next(turn, turn.silences + 1), line)


def render_goodbye(line: Line) -> str:
    """Say goodbye and hang up."""
    response = VoiceResponse()
    response.say(line.goodbye, language=line.language, voice=line.voice)
    response.hangup()
    return str(response)


def _ask(words: str, turn: CallTurn, line: Line) -> str:
    response = VoiceResponse()
    gather = Gather(
        input="speech dtmf",
        action=line.turn_url(turn),
        method="POST",
        language=line.language,
        speech_timeout="auto",
        # An empty result would fall through and end the call; so silence comes to the same URL.
        action_on_empty_result=True,
        # Whoever knows what comes next need not hear it out.
        barge_in=True,
    )
    if words := writable(words).strip():
        gather.say(words[:SAY_LIMIT], language=line.language, voice=line.voice)
    response.append(gather)
    return str(response)


def parse_status(form: Form, received_at: datetime) -> CallEvent:
    """Read a call's status callback: https://www.twilio.com/docs/voice/api/call-resource#statuscallback"""
    require(form, "CallSid", "CallStatus")
    return CallEvent(
        sid=form.text("CallSid"),
        status=form.text("CallStatus").lower(),
        received_at=received_at,
        sequence=form.text("SequenceNumber"),
        parameters=parameters(form, leave_out=frozenset({"CallSid", "From", "To"})),
    )


def parse_recording(form: Form, received_at: datetime) -> Attachment:
    """Read a <Record> action or a recording status callback; the latter has no From and To."""
    require(form, "CallSid", "RecordingSid")
    url = form.text("RecordingUrl")
    media = Media(url, "audio/x-wav", _duration(form)) if url else None
    return _attachment(form, received_at, media=media)


def _duration(form: Form) -> dict[str, int]:
    seconds = form.text("RecordingDuration")
    return {"duration_seconds": int(seconds)} if seconds.isdecimal() and len(seconds) < 10 else {}


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


def playable(url: str) -> str:
    """Give a recording's address as MP3, which browsers play; bare it is a WAV file, and ten times as large."""
    return url if url.endswith((".mp3", ".wav")) else f"{url}.mp3"
