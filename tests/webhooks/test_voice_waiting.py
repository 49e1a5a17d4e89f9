"""Calls whose answer takes its time: what is heard meanwhile, for how long, and that nothing is said twice."""

from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.conversation import calls, upkeep
from gateway.core.replies import Reply, Turn
from gateway.store import answers
from tests.conftest import HOST, Twilio, fixture
from tests.conversation.worker import Worker, slow_responder
from tests.webhooks.conftest import Call, said, twiml

FILLER = "One moment, please."
APOLOGY = "Sorry, something went wrong on our side. Please try again in a moment."


@pytest.fixture
def make_scene(make_app, database, clock):
    """Make a call to a gateway whose model answers `model(turn)`, in the worker."""
    managers = []

    def make(**settings):
        app = make_app(**settings)
        scene = SimpleNamespace(app=app, db=database, clock=clock, turns=[], worker=Worker(app, clock))
        scene.twilio = Twilio(app.test_client())
        scene.call = Call(scene.twilio)
        scene.model = lambda turn: Reply(f"You said: {turn.content}")

        def respond(turn: Turn) -> Reply:
            scene.turns.append(turn)
            return scene.model(turn)

        manager = slow_responder(app, respond)
        manager.__enter__()
        managers.append(manager)
        return scene

    yield make
    for manager in managers:
        manager.__exit__(None, None, None)


@pytest.fixture
def scene(make_scene):
    return make_scene()


def redirect(answer) -> str:
    return twiml(answer).find("Redirect").text.removeprefix(HOST)


def wait(scene, answer):
    """Follow the <Redirect> of an answer as Twilio does, after its pause."""
    form = fixture("voice/gather_speech") | {"CallSid": scene.call.sid}
    del form["SpeechResult"]
    answer = scene.twilio.post(redirect(answer), form)
    if (gather := twiml(answer).find("Gather")) is not None:
        scene.call.action = gather.attrib["action"].removeprefix(HOST)
    return answer


def pause(answer) -> int:
    return int(twiml(answer).find("Pause").attrib["length"])


def wait_to_the_end(scene, answer) -> tuple[list[int], object]:
    pauses = []
    while twiml(answer).find("Redirect") is not None:
        pauses.append(pause(answer))
        assert len(pauses) < 500
        answer = wait(scene, answer)
    return pauses, answer


def echo(scene, number: int = 1) -> dict:
    return scene.db.messages.find_one({"_id": f"re:{scene.call.sid}:{number}"})


def test_a_slow_answer_lets_the_call_wait_and_never_holds_the_webhook(scene):
    scene.call.begin()
    answer = scene.call.say("hello")
    assert [verb.tag for verb in twiml(answer)] == ["Say", "Pause", "Redirect"]
    assert said(answer) == [FILLER]
    assert twiml(answer).find("Redirect").attrib == {"method": "POST"}
    query = parse_qs(urlsplit(redirect(answer)).query)
    assert (urlsplit(redirect(answer)).path, query["turn"], query["wait"]) == ("/webhooks/voice/wait", ["1"], ["1"])
    assert not scene.turns
    stored = scene.db.messages.find_one({"_id": f"{scene.call.sid}:1"})
    assert (stored["answer"]["state"], stored["answer"]["responder"]) == ("pending", "echo")


def test_an_answer_is_said_when_it_is_there_and_the_call_goes_on(scene):
    scene.call.begin()
    waiting = scene.call.say("hello")
    again = wait(scene, waiting)
    assert [verb.tag for verb in twiml(again)] == ["Pause", "Redirect"]
    scene.worker.run()
    answer = wait(scene, again)
    assert said(answer) == ["You said: hello"]
    assert twiml(answer).find("Gather").attrib["bargeIn"] == "true"
    assert "/turn?turn=2&" in scene.call.action
    assert said(scene.call.say("more")) == [FILLER]
    assert (echo(scene)["content"], scene.db.sessions.find_one()["message_count"]) == ("You said: hello", 4)
    assert scene.db.messages.distinct("session_id") == [scene.db.sessions.find_one()["_id"]]


def test_a_slow_answer_is_made_speakable_and_kept_as_it_was_written(scene):
    scene.model = lambda _turn: Reply("**Yes**, see https://example.com")
    scene.call.begin()
    waiting = scene.call.say("hello")
    scene.worker.run()
    assert said(wait(scene, waiting)) == ["Yes, see a link"]
    assert echo(scene)["content"] == "**Yes**, see https://example.com"


def test_a_model_that_says_nothing_leaves_the_line_open(scene):
    scene.model = lambda _turn: Reply("")
    scene.call.begin()
    waiting = scene.call.say("hello")
    scene.worker.run()
    answer = wait(scene, waiting)
    assert said(answer) == []
    assert twiml(answer).find("Gather") is not None


@pytest.mark.parametrize(
    ("filler", "tags"),
    [("", ["Pause", "Redirect"]), ("https://example.com/a.mp3", ["Play", "Pause", "Redirect"])],
)
def test_the_filler_may_be_music_or_nothing(make_scene, filler, tags):
    scene = make_scene(voice={"filler": filler})
    scene.call.begin()
    answer = scene.call.say("hello")
    assert [verb.tag for verb in twiml(answer)] == tags
    assert [play.text for play in twiml(answer).iter("Play")] == ([filler] if filler else [])


def test_a_caller_waits_in_longer_pauses_and_not_for_ever(make_scene):
    scene = make_scene(voice={"wait_seconds": 9})
    scene.call.begin()
    pauses, answer = wait_to_the_end(scene, scene.call.say("hello"))
    assert pauses == [1, 1, 1, 1, 2, 2, 2]
    assert said(answer) == [APOLOGY]
    assert twiml(answer).find("Gather") is not None
    told = echo(scene)
    assert (told["content"], told["has_error"], told["error_message"]) == (APOLOGY, True, "no answer within 9 s")
    assert scene.db.sessions.find_one()["message_count"] == 3


@pytest.mark.parametrize(("waited", "over"), [(19.999, False), (20, True)])
def test_the_clock_bounds_the_waiting_too(scene, waited, over):
    scene.call.begin()
    waiting = scene.call.say("hello")
    scene.clock.tick(waited)
    assert said(wait(scene, waiting)) == ([APOLOGY] if over else [])


def test_an_answer_that_comes_after_the_apology_is_thrown_away(scene):
    scene.call.begin()
    waiting = scene.call.say("hello")
    scene.clock.tick(20)
    assert said(wait(scene, waiting)) == [APOLOGY]
    scene.worker.run()
    assert said(wait(scene, waiting)) == [APOLOGY]
    assert (echo(scene)["content"], scene.db.sessions.find_one()["message_count"]) == (APOLOGY, 3)
    assert scene.db.outbox.count_documents({"state": "waiting"}) == 0


def test_an_answer_that_comes_while_giving_up_is_said(scene, monkeypatch):
    scene.call.begin()
    waiting = scene.call.say("hello")
    scene.clock.tick(20)
    give_up = calls._give_up

    def too_late(runtime, message):
        scene.worker.run()
        give_up(runtime, message)

    monkeypatch.setattr(calls, "_give_up", too_late)
    assert said(wait(scene, waiting)) == ["You said: hello"]
    assert scene.db.sessions.find_one()["message_count"] == 3


def test_a_wait_asked_for_again_gets_the_same_answer_and_counts_nothing(scene):
    scene.call.begin()
    waiting = scene.call.say("hello")
    assert wait(scene, waiting).data == wait(scene, waiting).data
    scene.worker.run()
    once = wait(scene, waiting)
    before = list(scene.db.messages.find()), scene.db.sessions.find_one()
    assert wait(scene, waiting).data == once.data
    assert (list(scene.db.messages.find()), scene.db.sessions.find_one()) == before


def test_an_answer_whose_giver_died_half_way_is_stored_by_who_says_it(scene, monkeypatch):
    scene.call.begin()
    waiting = scene.call.say("hello")
    with monkeypatch.context() as patch:
        patch.setattr(answers, "finish", lambda *_: 0)
        scene.worker.run()
    assert echo(scene) is None
    assert said(wait(scene, waiting)) == ["You said: hello"]
    assert (echo(scene)["content"], scene.db.sessions.find_one()["message_count"]) == ("You said: hello", 3)


def test_a_turn_whose_writer_died_before_queueing_is_answered(scene):
    scene.call.begin()
    waiting = scene.call.say("hello")
    scene.db.outbox.delete_many({})
    scene.clock.tick(10)
    upkeep.settle(scene.worker.runtime)
    assert scene.db.outbox.count_documents({}) == 1
    scene.worker.run()
    assert said(wait(scene, waiting)) == ["You said: hello"]


def test_a_turn_delivered_again_waits_again(scene):
    scene.call.begin()
    action = scene.call.action
    waiting = scene.call.say("hello")
    scene.call.action = action
    assert scene.call.say("hello").data == waiting.data
    scene.worker.run()
    scene.call.action = action
    assert scene.call.say("hello").data == waiting.data
    assert said(wait(scene, waiting)) == ["You said: hello"]
    assert len(scene.turns) == 1


@pytest.mark.parametrize("query", ["", "?turn=1", "?turn=1&state=x&wait=1", "?turn=x&state=x&wait=x"])
def test_a_wait_we_cannot_verify_goes_by_the_call_itself(scene, query):
    scene.call.begin()
    scene.call.say("hello")
    path = f"/webhooks/voice/wait{query}"
    assert redirect(scene.call.post(path, "voice/incoming")).startswith("/webhooks/voice/wait?turn=1")
    scene.worker.run()
    assert said(scene.call.post(path, "voice/incoming")) == ["You said: hello"]


def test_a_wait_for_nothing_hears_what_was_told_last(scene):
    greeting = scene.call.begin()
    assert scene.call.post("/webhooks/voice/wait", "voice/incoming").data == greeting.data


def test_a_wait_of_another_call_hears_nothing_of_it(scene):
    other = Call(scene.twilio, {"From": "+15558675399"})
    greeting = other.begin()
    scene.call.begin()
    waiting = scene.call.say("secret")
    scene.worker.run()
    assert other.post(redirect(waiting), "voice/incoming").data == greeting.data


def test_a_model_that_fails_is_apologised_for(scene):
    def fail(_turn):
        raise RuntimeError("model overloaded")

    scene.model = fail
    scene.call.begin()
    waiting = scene.call.say("hello")
    scene.worker.run()
    assert said(wait(scene, waiting)) == [APOLOGY]
    assert echo(scene)["error_message"] == "model overloaded"


def test_without_an_apology_a_failure_is_kept_and_the_line_stays_open(make_scene):
    scene = make_scene(reply={"apology": ""})
    scene.call.begin()
    waiting = scene.call.say("hello")
    scene.clock.tick(20)
    answer = wait(scene, waiting)
    assert said(answer) == []
    assert twiml(answer).find("Gather") is not None
    assert (echo(scene)["content"], echo(scene)["error_message"]) == ("", "no answer within 20 s")


def test_a_quick_responder_lets_nobody_wait(call):
    call.begin()
    assert said(call.say("hello")) == ["hello"]
