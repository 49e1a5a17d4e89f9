"""Flows on real turns: each message moves its session's flow by one step and is told one answer, over every channel."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from bson import ObjectId

from gateway.conversation import channels, draining, flow_starts, flow_turns, operators
from gateway.conversation.channels import Changes
from gateway.conversation.flow_turns import Told
from gateway.conversation.runtime import build
from gateway.core.errors import ConfigError
from gateway.core.replies import Reply
from gateway.store import api_keys, asked
from gateway.store.connection import deadline
from tests.api.chatting import Visitor
from tests.conftest import TEN, fixture
from tests.conversation.flowing import ASKED, NOTED, SAID, Scene
from tests.conversation.test_outage import Away, away
from tests.conversation.worker import slow_responder
from tests.webhooks.conftest import is_empty, texts

__all__ = ["Away", "away"]


@pytest.fixture
def make_scene(make_app, clock):
    return lambda **given: Scene(make_app, clock, **given)


@pytest.fixture
def scene(make_scene):
    return make_scene()


def test_each_message_is_answered_in_its_own_webhook_and_counted_once(scene):
    assert scene.play("I want to order", *SAID) == [*ASKED, NOTED]
    session = scene.session()
    assert session["message_count"] == 8
    assert sum(session["automatic"].values()) == 4
    assert session["context"]["flow"]["outcome"] == "completed"
    assert session["context"]["flow"]["values"] == dict(zip(("what", "who", "where"), SAID, strict=True))
    inbound = list(scene.db.messages.find({"direction": "inbound"}))
    assert {(row["answer"]["state"], row["answer"]["responder"]) for row in inbound} == {("done", "flow")}
    assert scene.worker.run(after=60) == 0
    assert scene.ours() == [*ASKED, NOTED]
    scene.assert_sound()


def test_a_redelivery_is_told_the_same_and_moves_nothing(scene):
    scene.play("order")
    told = [scene.twilio.sms("twenty shirts", MessageSid="SMagain").data for _ in range(3)]
    assert set(told) == {told[0]}
    assert ASKED[1] in told[0].decode()
    assert (scene.flow()["step"], scene.session()["message_count"]) == ("who", 4)
    assert scene.play("Hari") == [ASKED[2]]


def test_a_flow_that_runs_answers_before_any_responder_and_no_word_begins_one_elsewhere(make_scene):
    scene = make_scene(reply={"responder": "echo"})
    assert scene.play("order") == ["order"]
    scene.begin()
    assert scene.play(*SAID, "thanks") == [*ASKED[1:], NOTED, "thanks"]


def test_a_channel_may_name_the_flow_and_what_is_none_of_it_is_answered_otherwise(make_scene):
    scene = make_scene(
        reply={"responder": "echo"}, flow={"otherwise": "canned"}, canned={"default": "We will call you."}
    )
    scene.play("hello")
    channels.configure(scene.runtime, scene.place().channel_id, Changes(responder="flow"), "ada")
    assert scene.play("hello", "order", "twenty shirts") == ["We will call you.", *ASKED[:2]]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"reply": {"responder": "flows"}}, "GATEWAY_REPLY__RESPONDER = 'flows'"),
        ({"flow": {"otherwise": "flow"}}, "GATEWAY_FLOW__OTHERWISE = 'flow'"),
        ({"flow": {"otherwise": "nobody"}}, "GATEWAY_FLOW__OTHERWISE = 'nobody'"),
    ],
)
def test_a_responder_that_is_not_there_stops_the_start(make_settings, given, named):
    with pytest.raises(ConfigError, match=named):
        build(make_settings(**given))


def test_who_answers_otherwise_may_take_its_time_beside_a_flow(make_scene):
    scene = make_scene(flow={"otherwise": "echo"})
    with slow_responder(scene.app, lambda turn: Reply(f"You said: {turn.content}")):
        assert scene.play("hello", "anybody?", "order") == [ASKED[0]]
        scene.worker.run(after=3)
        assert scene.play(*SAID) == [*ASKED[1:], NOTED]
    assert scene.ours() == [ASKED[0], "You said: hello\nanybody?", *ASKED[1:], NOTED]
    scene.assert_sound()


def test_ordinary_messages_ask_mongodb_no_more_than_without_flows(make_scene):
    scene, operations = make_scene(reply={"responder": "echo"}), []
    for given in ({"reply": {"responder": "echo"}}, {"flow": {"otherwise": "echo"}}):
        scene.serve(**given)
        scene.play("Hello", "Hello")
        scene.db.command("profile", 2)
        scene.play("Hello")
        scene.db.command("profile", 0)
        operations.append([(row["op"], row["ns"]) for row in scene.db["system.profile"].find().sort("ts", 1)])
        scene.db["system.profile"].drop()
    assert operations[0] == operations[1]
    assert [kind for kind, _ in operations[0]] == ["query", "insert", "update"]


@pytest.mark.parametrize("reason", ["blocked", "bot_off", "opted_out", "hours", "limit"])
def test_what_comes_before_any_responder_comes_before_a_flow(scene, reason):
    given = {
        "blocked": {"blocklist": ["+15558675310"]},
        "hours": {"hours": {"mon": ["09:00-10:00"]}, "out_of_hours_text": ""},
        "limit": {"hourly_limit": 1},
    }
    scene.play("order")
    scene.serve(reply={"responder": "flow"} | given.get(reason, {}))
    if reason == "bot_off":
        operators.take_over(scene.runtime, str(scene.session()["_id"]), "ada")
    if reason == "opted_out":
        scene.twilio.sms("STOP")
    assert is_empty(scene.twilio.sms("twenty shirts"))
    scene.worker.run(after=10)
    assert scene.flow()["step"] == "what"


def test_with_one_session_a_person_a_flow_begun_on_whatsapp_goes_on_by_sms(make_scene):
    scene = make_scene(sessions={"scope": "contact"})
    assert texts(scene.twilio.whatsapp("order")) == [ASKED[0]]
    scene.clock.tick(5)
    assert scene.play(SAID[0]) == [ASKED[1]]
    assert texts(scene.twilio.whatsapp(SAID[1])) == [ASKED[2]]
    assert scene.play(SAID[2]) == [NOTED]
    assert scene.db.sessions.count_documents({}) == 1


def test_what_waited_in_the_spool_is_stepped_one_by_one_in_its_order_and_sent(scene, away):
    scene.play("order")
    with away:
        assert scene.play(*SAID) == []
    scene.clock.tick(60)
    draining.drain(scene.runtime)
    assert scene.flow()["step"] == "what"
    scene.worker.run(after=1)
    scene.worker.run(after=1)
    assert scene.ours() == [*ASKED, NOTED]
    assert scene.carrier.sent == [*ASKED[1:], NOTED]
    scene.assert_sound()


def test_what_was_written_before_the_question_is_no_answer_to_it(scene, away):
    """Two hosts: one has a message in its spool, while the other goes on with the flow."""
    scene.play("order")
    with away:
        late = scene.twilio.sms("ten caps", MessageSid="SMlate")
    assert is_empty(late)
    scene.clock.tick(30)
    spool, scene.runtime.spool.is_empty = scene.runtime.spool.is_empty, lambda: True
    assert scene.play(SAID[0]) == [ASKED[1]]
    scene.runtime.spool.is_empty = spool
    draining.drain(scene.runtime)
    scene.worker.run(after=5)
    assert scene.db.messages.find_one({"_id": "SMlate"})["answer"]["reason"] == "before_question"
    assert scene.play(*SAID[1:]) == [ASKED[2], NOTED]


def test_a_flow_that_ended_meanwhile_leaves_its_message_to_who_answers_otherwise(make_scene, monkeypatch):
    scene = make_scene(flow={"otherwise": "canned"}, canned={"default": "We will call you."})
    scene.play("order")
    monkeypatch.setattr(flow_turns, "tell", lambda *_, **__: Told("<Response/>", "queued"))
    scene.twilio.sms("twenty shirts")
    assert flow_starts.cancel(scene.runtime, str(scene.session()["_id"]), "ada")
    scene.worker.run(after=5)
    scene.worker.run(after=2)
    assert scene.ours() == [ASKED[0], "We will call you."]
    scene.assert_sound()


def test_a_flow_whose_time_is_over_ends_and_the_message_is_a_new_one(make_scene):
    scene = make_scene(sessions={"idle_seconds": "never"})
    scene.play("order", SAID[0])
    scene.clock.tick(3602)
    assert scene.play("order") == [ASKED[0]]
    assert [(run["outcome"], run["last_step"]) for run in scene.db.flow_runs.find({"outcome": {"$exists": True}})] == [
        ("expired", "who")
    ]


@pytest.mark.parametrize("times", [64])
def test_copies_of_one_answer_at_once_take_one_step_and_are_told_the_same(scene, times):
    scene.play("order")
    form = fixture("sms/text") | {"MessageSid": "SMcopy", "Body": "twenty shirts"}
    with ThreadPoolExecutor(16) as threads:
        told = list(threads.map(lambda _: scene.line().post("/webhooks/sms", form), range(times)))
    assert {texts(answer)[0] for answer in told} == {ASKED[1]}
    assert scene.flow()["step"] == "who"
    assert scene.session()["message_count"] == 4
    scene.assert_sound()


def test_two_answers_at_once_take_a_step_each(make_scene):
    scene = make_scene()
    for number in range(12):
        who = {"From": f"+1555867{number:04d}"}
        scene.play("order", **who)
        with ThreadPoolExecutor(2) as threads:
            told = list(threads.map(partial(scene.twilio.sms, **who), SAID[:2]))
        answers = sorted(text for answer in told for text in texts(answer))
        scene.worker.run(after=5)
        state = scene.flow()
        assert state["step"] == "where"
        assert {state["values"]["what"], state["values"]["who"]} == set(SAID[:2])
        assert len(answers) == 2
        scene.clock.tick(10)
    scene.assert_sound()


def test_what_a_flow_has_to_answer_first_is_found_by_indexes(scene):
    scene.play("order", SAID[0])
    message = asked.get(scene.db.messages.find_one({"content": SAID[0]})["_id"])
    scene.db.command("profile", 2)
    asked.ahead(message, {message.place.session_id}, "SMother")
    scene.db.command("profile", 0)
    (looked,) = scene.db["system.profile"].find({"op": "query"})
    scene.db["system.profile"].drop()
    assert "COLLSCAN" not in looked["planSummary"]
    # Of a session that has few messages MongoDB may read them as well: to it one index is as good as the other.
    assert looked["docsExamined"] <= scene.db.messages.count_documents(
        {"session_id": ObjectId(message.place.session_id)}
    )


def test_a_flow_is_answered_in_a_chat_as_anywhere(scene):
    with deadline():
        key = api_keys.add("site", ["write"], TEN, by="a test")[1]
    alice, told = Visitor(scene.app.test_client(), key, {"user_id": "alice"}), []
    for line in ("order", *SAID):
        told.append(alice.say(line)["content"])
        scene.clock.tick(1)
    assert told == [*ASKED, NOTED]
    assert {row["status"] for row in scene.db.messages.find({"direction": "outbound"})} == {"delivered"}
    scene.assert_sound()
