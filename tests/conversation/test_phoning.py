"""The simulated telephone: follows addresses, waits as long as it is told, and leaves messages."""

import pytest

from gateway.conversation import phoning
from gateway.conversation.phoning import Phone, SimulationFailed

BASE = "https://gateway.example.com"
GATHER = f'<Response><Gather action="{BASE}/webhooks/voice/turn?turn=1&amp;state=x"><Say>Hi</Say></Gather></Response>'
WAIT = (
    '<Response><Pause length="2"/><Redirect method="POST">/webhooks/voice/wait?turn=1&amp;wait=1</Redirect></Response>'
)
RECORD = (
    f'<Response><Record action="{BASE}/webhooks/voice/recording" transcribe="true" '
    f'recordingStatusCallback="{BASE}/webhooks/voice/recording" '
    f'transcribeCallback="{BASE}/webhooks/voice/transcription"/></Response>'
)
DIAL = '<Response><Dial action="/webhooks/voice/dial"><Number>+15005550006</Number></Dial></Response>'
EMPTY = "<Response/>"


@pytest.fixture
def slept(monkeypatch):
    slept = []
    monkeypatch.setattr(phoning.time, "sleep", slept.append)
    return slept


@pytest.fixture
def make_phone(slept):
    def make(*answers):
        posted, rest = [], list(answers)

        def post(path, form):
            posted.append((path, form))
            return rest.pop(0) if len(rest) > 1 else rest[0]

        phone = Phone(post, BASE, {"AccountSid": "AC1", "CallSid": "CA1", "From": "+15558675310", "To": "+15017122661"})
        phone.ring()
        return phone, posted

    return make


def test_it_waits_as_long_as_it_is_told_until_it_is_listened_to(make_phone, slept):
    phone, posted = make_phone(GATHER, WAIT, WAIT, GATHER)
    assert phone.answer({"SpeechResult": "hello"})
    assert [path for path, _ in posted] == [
        "/webhooks/voice", "/webhooks/voice/turn?turn=1&state=x", *["/webhooks/voice/wait?turn=1&wait=1"] * 2,
    ]  # fmt: skip
    assert slept == [2, 2]
    assert "<Gather" in phone.twiml


def test_it_hangs_up_after_a_minute_of_filler(make_phone, slept):
    with pytest.raises(SimulationFailed, match="gateway worker"):
        make_phone(WAIT)
    assert sum(slept) == phoning.PATIENCE


def test_a_message_is_recorded_kept_and_written_down(make_phone):
    phone, posted = make_phone(RECORD, EMPTY)
    assert phone.leave("Please call me back")
    (_, action), (_, status), (_, transcription) = posted[1:]
    assert [path for path, _ in posted[1:]] == [f"/webhooks/voice/{name}" for name in (
        "recording", "recording", "transcription")]  # fmt: skip
    assert ("RecordingStatus" in action, status["RecordingStatus"], "From" in status) == (False, "completed", False)
    assert transcription["TranscriptionText"] == "Please call me back"
    assert len({form["RecordingSid"] for form in (action, status, transcription)}) == 1


def test_a_call_that_is_put_through_is_not_answered(make_phone):
    phone, posted = make_phone(DIAL, RECORD, EMPTY)
    assert phone.leave("Please call me back")
    assert (posted[1][0], posted[1][1]["DialCallStatus"]) == ("/webhooks/voice/dial", "no-answer")


def test_no_message_can_be_left_in_a_conversation(make_phone):
    phone, posted = make_phone(GATHER)
    assert not phone.leave("Please call me back")
    assert len(posted) == 1
