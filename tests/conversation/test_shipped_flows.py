"""The conversations of the README and of docs/flows-running.md, played on the flows that come with the gateway."""

import pytest

from tests.conftest import fixture
from tests.conversation.flowing import Scene
from tests.webhooks.conftest import Call, said, texts

PERSON = "+15558675310"


@pytest.fixture
def make_scene(make_app, clock):
    return lambda **given: Scene(make_app, clock, shipped=True, **given)


def contains(told, *words):
    return [word for word, text in zip(words, told, strict=True) if word not in text] == []


def test_a_bulk_order_with_three_answers_in_one_message_and_a_correction(make_scene):
    scene = make_scene()
    told = scene.play(
        "Hi, I want to place a bulk order",
        "20 T-shirts and 5 caps",
        "Name is Hari and phone number is 8848850922 and email is h@example.com",
        "Airport Road",
        "no, the e-mail is hari@example.com",
        "yes",
    )
    assert contains(
        told, "What would you like", "Who is it for", "Where", "h@example.com", "hari@example.com", "Thank you"
    )
    scene.worker.run(after=1)
    session = scene.session()
    assert session["context"]["flow"]["values"]["email"] == "hari@example.com"
    assert session["tags"] == ["bulk order"]
    assert session["needs_person"]["reason"].startswith("Bulk order: 20 T-shirts, 5 caps")
    scene.assert_sound()


def test_a_bulk_order_on_the_telephone(make_scene):
    scene = make_scene()
    call = Call(scene.twilio)
    call.begin()
    told = [call.say("I have a bulk order"), call.say("twenty T-shirts"), call.say("Hari"), call.key("8848850922")]
    told += [call.key("*"), call.key("2"), call.key("1")]
    words = (
        "What would you like",
        "20 T-shirts",
        "reach you",
        "e-mail",
        "pick it up",
        "Airport Road",
        "Thank you, Hari",
    )
    assert contains([said(one)[0] for one in told], *words)
    assert scene.flow()["outcome"] == "completed"
    scene.worker.run(after=1)
    scene.assert_sound()


def test_a_missed_call_is_texted_back_and_settled_by_text(make_scene):
    scene = make_scene(voice={"mode": "dial", "dial_to": "+15558675399"})
    call = Call(scene.twilio, {"From": PERSON})
    call.begin()
    call.post("/webhooks/voice/dial", "voice/dial_no_answer")
    scene.worker.run(after=1)
    (question,) = scene.carrier.sent
    assert question.startswith("Sorry we could not talk")
    told = scene.play("Hari, tomorrow at 5 pm", "yes", From=PERSON, To=fixture("voice/incoming")["To"])
    assert contains(told, "We will call you, Hari", "Thank you")
    scene.worker.run(after=1)
    assert scene.session()["tags"] == ["call back"]
    assert scene.session()["communication_type"] == "sms"
    scene.assert_sound()


def test_an_order_begun_on_whatsapp_is_confirmed_by_sms(make_scene):
    scene = make_scene(sessions={"scope": "contact"})
    assert texts(scene.twilio.whatsapp("bulk order 20 mugs"))[0].startswith("Got it: 20 mugs")
    scene.clock.tick(5)
    told = scene.play("Hari, 8848850922, h@example.com", "main street")
    assert contains(told, "Where", "Main Street")
    assert texts(scene.twilio.whatsapp("yes"))[0].startswith("Thank you, Hari")
