"""Calls: each turn is what the caller said or keyed, each answer is spoken; one that takes its time is waited for.

Parameters: https://www.twilio.com/docs/voice/twiml and https://www.twilio.com/docs/voice/twiml/gather
"""

from dataclasses import replace
from datetime import datetime

from twilio.twiml.voice_response import Dial, Gather, VoiceResponse

from gateway.channels.base import Form, parameters, require, writable
from gateway.channels.line import DIAL, VOICEMAIL, Line
from gateway.channels.speech import SAY_LIMIT, speakable
from gateway.core.errors import Malformed
from gateway.core.messages import VOICE, CallTurn, InboundMessage
from gateway.core.participant import address, caller
from gateway.core.replies import ANYTHING, Listening, Reply

# A caller who stays silent is asked once.
SILENCES_ALLOWED = 1
# A caller waits in short pauses first, so that a quick answer is heard soon.
SHORT_WAITS, SHORT_PAUSE, LONG_PAUSE = 4, 1, 2
# Outcomes of a <Dial> (and statuses of a call) that mean: nobody was reached.
MISSED = frozenset({"no-answer", "busy", "failed", "canceled"})

# Who spells an address or reads a number pauses for longer than who answers a question, in seconds.
LONG_SPEECH_TIMEOUT = 3
# What a <Gather> takes of what may be said: so many words, each of so many characters.
HINTS, HINT_LENGTH = 500, 100

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
    """Say the answer and listen for the next turn; at the beginning of a call do what the number is for."""
    turn = message.call or CallTurn(message.provider_sid, 0)
    turn = replace(turn, session_id=session_id)
    if turn.number:
        return render_answer(reply.text, turn, line, reply.listening)
    if line.plan.mode == VOICEMAIL:
        return render_voicemail(line)
    if line.plan.mode == DIAL:
        return _render_dial(line)
    words = " ".join(filter(None, (line.plan.greeting, speakable(writable(reply.text)))))
    return _ask(words, _next(replace(turn, began=message.received_at)), line, reply.listening)


def render_voicemail(line: Line) -> str:
    """Ask for a message and record it; who says nothing gets a goodbye."""
    plan, response = line.plan, VoiceResponse()
    _say(response, plan.voicemail_prompt, line)
    transcribed = {"transcribe": True, "transcribe_callback": line.url("transcription")} if plan.transcribe else {}
    response.record(
        action=line.url("recording"),
        method="POST",
        recording_status_callback=line.url("recording"),
        recording_status_callback_method="POST",
        recording_status_callback_event="completed",
        max_length=plan.voicemail_seconds,
        play_beep=True,
        trim="trim-silence",
        **transcribed,
    )
    return _end(response, line.goodbye, line)


def render_outage(line: Line, prompt: str) -> str:
    """Apologise and ask for a message, where nothing better can be done; a forwarded call is put through all the same.

    Needs nothing but the settings.
    """
    if line.plan.mode == DIAL:
        return _render_dial(line)
    return render_voicemail(replace(line, plan=replace(line.plan, voicemail_prompt=prompt)))


def render_thanks(line: Line) -> str:
    """Thank for a recorded message and hang up."""
    return _end(VoiceResponse(), line.plan.voicemail_thanks, line)


def render_hangup() -> str:
    """Hang up without a word."""
    response = VoiceResponse()
    response.hangup()
    return str(response)


def _render_dial(line: Line) -> str:
    plan, response = line.plan, VoiceResponse()
    _say(response, plan.greeting, line)
    # Without answerOnBridge every forwarded call counts as answered, and is charged from the first ring.
    dial = Dial(action=line.url("dial"), method="POST", timeout=plan.dial_seconds, answer_on_bridge=True)
    dial.number(plan.dial_to)
    response.append(dial)
    return str(response)


def render_answer(words: str, turn: CallTurn, line: Line, listening: Listening = ANYTHING) -> str:
    """Say the answer to a turn, if there are words, and listen for the next one."""
    return _ask(speakable(writable(words)), _next(turn), line, listening)


def _next(turn: CallTurn, silences: int = 0) -> CallTurn:
    return replace(turn, number=turn.number + 1, silences=silences)


def render_wait(turn: CallTurn, waits: int, line: Line) -> str:
    """Let the caller wait for the `waits`th time and then ask for the turn's answer; the first time says so."""
    response = VoiceResponse()
    filler = line.plan.filler.strip()
    if waits == 1 and filler.startswith(("http://", "https://")):
        response.play(writable(filler))
    elif waits == 1:
        _say(response, filler, line)
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
    return _end(VoiceResponse(), line.goodbye, line)


def _end(response: VoiceResponse, words: str, line: Line) -> str:
    _say(response, words, line)
    response.hangup()
    return str(response)


def _say(verb: VoiceResponse | Gather, words: str, line: Line) -> None:
    if words := writable(words).strip():
        verb.say(words[:SAY_LIMIT], language=line.language, voice=line.voice)


def _ask(words: str, turn: CallTurn, line: Line, listening: Listening = ANYTHING) -> str:
    response = VoiceResponse()
    # A comma is what parts hints, so none may be in one.
    hints = [writable(hint).replace(",", " ").strip() for hint in listening.hints[:HINTS] if len(hint) <= HINT_LENGTH]
    # Where as many keys are an answer as are pressed, none of them only ends it.
    keys = {"num_digits": listening.keys, "finish_on_key": ""} if listening.keys else {}
    gather = Gather(
        input="speech dtmf",
        action=line.turn_url(turn),
        method="POST",
        language=line.language,
        hints=",".join(filter(None, hints)) or None,
        speech_timeout=str(LONG_SPEECH_TIMEOUT) if listening.long else "auto",
        **keys,
        # An empty result would fall through and end the call; so silence comes to the same URL.
        action_on_empty_result=True,
        # Whoever knows what comes next need not hear it out.
        barge_in=True,
    )
    _say(gather, words, line)
    response.append(gather)
    return str(response)


def playable(url: str) -> str:
    """Give a recording's address as MP3, which browsers play; bare it is a WAV file, and ten times as large."""
    return url if url.endswith((".mp3", ".wav")) else f"{url}.mp3"
