"""Flows on the telephone: the same questions spoken, answered by word or key, and what is left when the call ends."""

import pytest

from gateway.conversation import flow_turns
from gateway.conversation.flow_turns import Told
from tests.conftest import fixture
from tests.conversation.flowing import ASKED, NOTED, SAID, SPOKEN, Scene
from tests.webhooks.conftest import Call, said, texts, twiml

GREETING = "Hello. How can we help you?"


@pytest.fixture
def make_scene(make_app, clock):
    return lambda **given: Scene(make_app, clock, **given)


def listens(answer):
    gather = twiml(answer).find("Gather")
    wanted = ("hints", "numDigits", "finishOnKey", "speechTimeout", "input")
    return {name: gather.attrib[name] for name in wanted if name in gather.attrib}


def test_a_flow_is_spoken_and_answered_by_word_or_key(make_scene):
    scene = make_scene()
    call = Call(scene.twilio)
    call.begin()
    assert said(call.say("I would like to order")) == [SPOKEN[0]]
    assert listens(call.answer) == {"input": "speech dtmf", "speechTimeout": "3"}
    assert said(call.say(SAID[0])) == [ASKED[1]]
    assert said(call.say(SAID[1])) == [SPOKEN[2]]
    assert listens(call.answer) == {
        "input": "speech dtmf",
        "speechTimeout": "auto",
        "hints": "Harbour,Market",
        "numDigits": "1",
        "finishOnKey": "",
    }
    assert said(call.key("1")) == [NOTED]
    assert scene.ours() == [*SPOKEN, NOTED]
    scene.assert_sound()


def test_silence_in_a_flow_is_asked_about_as_ever_and_moves_nothing(make_scene):
    scene = make_scene()
    call = Call(scene.twilio)
    call.begin()
    call.say("order")
    assert said(call.stay_silent()) == ["Are you still there?"]
    assert said(call.say(SAID[0])) == [ASKED[1]]


def test_an_answer_that_was_not_told_at_once_is_heard_while_the_call_waits(make_scene, monkeypatch):
    scene = make_scene()
    call = Call(scene.twilio)
    call.begin()
    call.say("order")
    call.say(SAID[0])
    with monkeypatch.context() as patched:
        patched.setattr(flow_turns, "tell", lambda *_, **__: Told(NOT_YET, "pending"))
        call.say(SAID[1])
    failed = fixture("voice/incoming") | {"CallSid": call.sid, "ErrorCode": "11200"}
    redirect = twiml(scene.twilio.post("/webhooks/voice", failed)).find("Redirect")
    call.answer = scene.twilio.post(
        redirect.text.removeprefix(call.base), fixture("voice/incoming") | {"CallSid": call.sid}
    )
    assert said(call.answer) == [SPOKEN[2]]
    assert listens(call.answer)["numDigits"] == "1"
    scene.worker.run(after=5)
    scene.assert_sound()


NOT_YET = "<Response/>"


@pytest.mark.parametrize("scope", ["channel", "contact"])
def test_a_call_that_ends_leaves_its_flow_where_it_is(make_scene, scope):
    scene = make_scene(sessions={"scope": scope})
    call = Call(scene.twilio)
    call.begin()
    call.say("order")
    call.post("/webhooks/voice/status", "voice/status_completed")
    scene.clock.tick(60)
    again = Call(scene.twilio)
    assert said(again.begin()) == [f"{GREETING} {SPOKEN[0]}"]
    assert said(again.say(SAID[0])) == [ASKED[1]]
    again.post("/webhooks/voice/status", "voice/status_completed")
    by_text = scene.play(SAID[1], From=fixture("voice/incoming")["From"])
    assert by_text == ([ASKED[2]] if scope == "contact" else [])
    assert {row["outcome"] for row in scene.db.flow_runs.find({"outcome": {"$exists": True}})} == set()


def test_a_flow_begun_by_text_is_gone_on_with_on_the_phone(make_scene):
    scene = make_scene(sessions={"scope": "contact"})
    person = {"From": fixture("voice/incoming")["From"]}
    assert scene.play("order", SAID[0], **person) == [*ASKED[:2]]
    call = Call(scene.twilio)
    assert said(call.begin()) == [f"{GREETING} {ASKED[1]}"]
    assert said(call.say(SAID[1])) == [SPOKEN[2]]
    scene.clock.tick(5)
    assert texts(scene.twilio.sms(SAID[2], **person)) == [NOTED]
    scene.assert_sound()
