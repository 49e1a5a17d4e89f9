"""What a call may be for: a voicemail, somebody's telephone, and the text to a caller whom nobody answered."""

import contextlib
from typing import Any

import pytest

from gateway.conversation import forwarding
from gateway.core.errors import GatewayError
from tests.conftest import HOST, Twilio, fixture
from tests.webhooks.conftest import Call, captured, is_empty, named, said, twiml

OURS, THEIRS, DESK = "+15017122661", "+15558675310", "+15005550006"
GREETING, GOODBYE = "Hello. How can we help you?", "Thank you for calling. Goodbye."
PROMPT = "Please leave a message after the tone."
THANKS = "Thank you. We will get back to you. Goodbye."
TEXT = "Sorry we missed you. What can we do for you?"
DIALS = {"mode": "dial", "dial_to": DESK, "text_back": TEXT}
MISSED = ["no-answer", "busy", "failed", "canceled"]
VOICE = "/webhooks/voice"


@pytest.fixture
def listen():
    """Collect what is logged from now on: every app that is made sets logging up anew."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(captured())


@pytest.fixture
def make_call(make_app, database):
    """Make a call; settings are the voice section's, `channel` what the channel document says."""

    def make(*, channel: dict[str, Any] | None = None, params: dict[str, str] | None = None, **settings: Any) -> Call:
        app = make_app(voice=settings)
        if channel is not None:
            set_channel(channel)
        return Call(Twilio(app.test_client()), params or {})

    def set_channel(settings: dict[str, Any]) -> None:
        document = {"_id": f"voice:{OURS}", "phone_number": OURS, "communication_type": "voice", "settings": settings}
        database.channels.insert_one(document)

    return make


def tags(answer: Any) -> list[str]:
    return [verb.tag for verb in twiml(answer)]


def dialled(call: Call, outcome: str, **changes: str) -> Any:
    return call.post(f"{VOICE}/dial", "voice/dial_no_answer", DialCallStatus=outcome, **changes)


def ended(call: Call, status: str, **changes: str) -> Any:
    return call.post(f"{VOICE}/status", "voice/status_no_answer", CallStatus=status, **changes)


def texts_back(db: Any) -> list[dict[str, Any]]:
    return list(db.messages.find({"_id": {"$regex": "^text-back:"}}))


# Voicemail


def test_a_voicemail_asks_for_a_message_and_records_it(make_call):
    answer = make_call(mode="voicemail").begin()
    assert tags(answer) == ["Say", "Record", "Say", "Hangup"]
    assert said(answer) == [PROMPT, GOODBYE]
    assert twiml(answer).find("Record").attrib == {
        "action": f"{HOST}{VOICE}/recording", "method": "POST",
        "recordingStatusCallback": f"{HOST}{VOICE}/recording", "recordingStatusCallbackMethod": "POST",
        "recordingStatusCallbackEvent": "completed",
        "transcribe": "true", "transcribeCallback": f"{HOST}{VOICE}/transcription",
        "maxLength": "120", "playBeep": "true", "trim": "trim-silence",
    }  # fmt: skip


def test_a_voicemail_is_transcribed_only_if_that_is_wanted(make_call):
    answer = make_call(mode="voicemail", transcribe=False, voicemail_seconds=30).begin()
    record = twiml(answer).find("Record").attrib
    assert ("transcribe" in record, "transcribeCallback" in record, record["maxLength"]) == (False, False, "30")


def test_who_left_a_message_is_thanked_and_let_go(make_call, database):
    call = make_call(mode="voicemail")
    call.begin()
    answer = call.post(f"{VOICE}/recording", "voice/recording")
    assert (tags(answer), said(answer)) == (["Say", "Hangup"], [THANKS])
    assert is_empty(call.post(f"{VOICE}/recording", "voice/recording_status"))
    assert call.post(f"{VOICE}/transcription", "voice/transcription").status_code == 204
    (left,) = database.messages.find({"_id": {"$regex": "^RE"}})
    assert left["content"] == "Hi this is Ada please call me back about the repair."
    assert left["media"][0]["url"] == fixture("voice/recording")["RecordingUrl"]


def test_a_recording_in_a_conversation_goes_on_as_before(make_call):
    call = make_call()
    call.begin()
    assert is_empty(call.post(f"{VOICE}/recording", "voice/recording"))


# Forwarding


def test_a_call_is_put_through(make_call):
    answer = make_call(**DIALS, dial_seconds=15).begin()
    assert tags(answer) == ["Dial"]
    dial = twiml(answer).find("Dial")
    assert dial.attrib == {
        "action": f"{HOST}{VOICE}/dial", "method": "POST", "timeout": "15", "answerOnBridge": "true",
    }  # fmt: skip
    assert [number.text for number in dial] == [DESK]


def test_a_call_that_is_put_through_may_be_greeted(make_call):
    answer = make_call(**DIALS, greeting="We put you through.").begin()
    assert (tags(answer), said(answer)) == (["Say", "Dial"], ["We put you through."])


def test_without_a_number_to_dial_callers_reach_a_voicemail(make_call, listen):
    call, events = make_call(mode="dial"), listen()
    assert tags(call.begin()) == ["Say", "Record", "Say", "Hangup"]
    assert named(events, "channel_misconfigured")


@pytest.mark.parametrize("outcome", ["completed", "answered"])
def test_after_a_conversation_the_call_is_over(make_call, database, outcome):
    call = make_call(**DIALS)
    call.begin()
    assert tags(dialled(call, outcome)) == ["Hangup"]
    ended(call, "completed")
    assert texts_back(database) == []


@pytest.mark.parametrize("outcome", MISSED)
def test_whoever_reached_nobody_gets_a_text_and_may_leave_a_message(make_call, database, outcome):
    call = make_call(**DIALS)
    call.begin()
    answer = dialled(call, outcome)
    assert (tags(answer)[:2], said(answer)[0]) == (["Say", "Record"], PROMPT)
    (text,) = texts_back(database)
    assert (text["content"], text["sender"], text["status"]) == (TEXT, "system", "queued")
    assert (text["metadata"]["address"]["to"], text["metadata"]["address"]["sender"]) == (THEIRS, OURS)
    (session,) = database.sessions.find({"communication_type": "sms"})
    assert (text["session_id"], session["status"]) == (session["_id"], "active")
    assert tags(call.post(f"{VOICE}/recording", "voice/recording")) == ["Say", "Hangup"]


def test_the_answer_to_the_text_is_in_its_session(make_call, database):
    call = make_call(**DIALS)
    call.begin()
    dialled(call, "busy")
    call.twilio.sms("A table for two", From=THEIRS, To=OURS)
    answer = database.messages.find_one({"content": "A table for two", "direction": "inbound"})
    assert answer["session_id"] == texts_back(database)[0]["session_id"]


def test_a_missed_call_is_texted_once_whatever_comes_twice(make_call, database):
    call = make_call(**DIALS)
    call.begin()
    for _ in range(2):
        dialled(call, "no-answer")
        ended(call, "no-answer")
    assert len(texts_back(database)) == 1
    assert database.outbox.count_documents({"step": "send"}) == 1


@pytest.mark.parametrize("status", MISSED)
def test_who_hangs_up_first_gets_a_text_too(make_call, database, status):
    call = make_call(**DIALS)
    call.begin()
    ended(call, status)
    assert len(texts_back(database)) == 1


@pytest.mark.parametrize("mode", ["converse", "voicemail"])
def test_only_a_forwarded_call_is_texted(make_call, database, mode):
    call = make_call(**DIALS | {"mode": mode})
    call.begin()
    ended(call, "no-answer")
    dialled(call, "no-answer")
    assert texts_back(database) == []


def test_without_a_text_nobody_is_texted(make_call, database):
    call = make_call(**DIALS | {"text_back": ""})
    call.begin()
    assert tags(dialled(call, "no-answer"))[:2] == ["Say", "Record"]
    assert texts_back(database) == []


@pytest.mark.parametrize(
    "caller", ["+266696687", "anonymous", "", "client:ada", "sip:ada@example.com", "12345", "whatsapp:+15558675310"]
)
def test_who_cannot_be_texted_is_not(make_call, database, caller):
    call = make_call(**DIALS, params={"From": caller, "Caller": caller})
    call.begin()
    assert tags(dialled(call, "no-answer"))[:2] == ["Say", "Record"]
    ended(call, "no-answer")
    assert texts_back(database) == []
    assert database.sessions.count_documents({"communication_type": "sms"}) == 0


def test_who_said_stop_is_not_texted(make_call, database, listen):
    call, events = make_call(**DIALS), listen()
    call.twilio.sms("STOP", From=THEIRS, To=OURS)
    call.begin()
    assert tags(dialled(call, "no-answer"))[:2] == ["Say", "Record"]
    assert texts_back(database) == []
    assert named(events, "text_back_refused")


def test_a_text_that_fails_costs_the_call_nothing(make_call, listen, monkeypatch):
    def fail(*_args, **_kwargs):
        raise GatewayError("broken")

    call, events = make_call(**DIALS), listen()
    call.begin()
    monkeypatch.setattr(forwarding, "send_text", fail)
    assert tags(dialled(call, "no-answer"))[:2] == ["Say", "Record"]
    assert named(events, "text_back_failed")


def test_a_call_of_ours_to_somebody_is_no_missed_call(make_call, database):
    call = make_call(**DIALS)
    ended(call, "no-answer", Direction="outbound-api", From=OURS, To=THEIRS)
    assert texts_back(database) == []


# What the channel document says


def test_a_channel_document_wins_over_the_settings(make_call, database):
    channel = {"mode": "dial", "dial_to": DESK, "text_back": "Call you back!", "greeting": "Moment."}
    call = make_call(channel=channel | {"voicemail_prompt": "Talk."}, text_back="no", greeting="no")
    assert said(call.begin()) == ["Moment."]
    assert said(dialled(call, "busy"))[0] == "Talk."
    assert texts_back(database)[0]["content"] == "Call you back!"


@pytest.mark.parametrize(
    "wrong", [{"mode": "fax"}, {"mode": None}, {"dial_to": "desk"}, {"greeting": 5}, {"text_back": ["x"]}]
)
def test_what_a_channel_document_says_wrongly_is_logged_and_not_used(make_call, listen, wrong):
    call, events = make_call(channel=wrong), listen()
    assert said(call.begin()) == [GREETING]
    (event, *_) = named(events, "channel_misconfigured")
    assert next(iter(wrong)) in event["message"]


def test_one_wrong_value_takes_no_other_with_it(make_call):
    call = make_call(channel={"mode": "fax", "greeting": "Moin."})
    assert said(call.begin()) == ["Moin."]


def test_other_channels_keep_the_settings(make_call):
    call = make_call(channel={"mode": "voicemail"}, params={"To": "+15005550001"})
    assert said(call.begin()) == [GREETING]
