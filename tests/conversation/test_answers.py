"""Answers that take their time: one to each burst, outdated ones thrown away, none lost and none twice."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from gateway.conversation import actions, operators, queue, respond, upkeep, work
from gateway.conversation import answer as answering
from gateway.core.replies import Action, Reply, Turn
from gateway.store.answers import QUEUED
from tests.conftest import TEN, Twilio
from tests.conversation.worker import Worker, slow_responder
from tests.webhooks.conftest import Call, is_empty, texts

APOLOGY = "Sorry, something went wrong on our side. Please try again in a moment."


@pytest.fixture
def scene(app, db, clock):
    """A gateway whose model answers `model(turn)`; what it was asked is kept in `turns`."""
    turns: list[Turn] = []
    scene = SimpleNamespace(app=app, db=db, clock=clock, turns=turns, worker=Worker(app, clock))
    scene.twilio = Twilio(app.test_client())
    scene.model = lambda turn: Reply(f"You said: {turn.content}")

    def respond(turn: Turn) -> Reply:
        turns.append(turn)
        return scene.model(turn)

    with slow_responder(app, respond):
        yield scene


def ours(db) -> list[dict]:
    return list(db.messages.find({"direction": "outbound"}).sort("createdAt", 1))


def test_a_slow_answer_never_holds_the_webhook(scene):
    assert is_empty(scene.twilio.sms("Hello"))
    assert not scene.turns
    stored = scene.db.messages.find_one()
    assert (stored["answer"]["state"], stored["answer"]["responder"]) == (QUEUED, "echo")


@pytest.mark.parametrize(("responder", "sent"), [("echo", ["re:SM1"]), ("none", [])])
def test_an_answer_in_the_webhook_is_logged_once(make_app, responder, sent):
    twilio = Twilio(make_app(reply={"responder": responder}).test_client())
    with capture_logs() as logged:
        twilio.sms("Hello", MessageSid="SM1")
        twilio.sms("Hello", MessageSid="SM1")
    assert [line["message_id"] for line in logged if line["event"] == "reply_sent"] == sent


def test_nobody_is_asked_where_nobody_is_to_answer(make_app, db, monkeypatch):
    monkeypatch.setattr(respond, "ask", pytest.fail)
    twilio = Twilio(make_app(reply={"responder": "none"}).test_client())
    assert is_empty(twilio.sms("Hello"))
    assert db.messages.find_one()["answer"]["state"] == "none"


def test_a_slow_answer_is_stored_counted_and_sent(scene):
    scene.twilio.sms("Hello")
    scene.worker.run(after=2)
    (said,) = ours(scene.db)
    session = scene.db.sessions.find_one()
    assert said["_id"] == f"re:{scene.db.messages.find_one({'direction': 'inbound'})['_id']}"
    assert (said["content"], said["sender"], said["status"]) == ("You said: Hello", "ai", "delivered")
    assert said["session_id"] == session["_id"]
    assert said["provider_sid"].startswith("SM")
    assert session["message_count"] == 2
    assert session["last_message_at"] == said["createdAt"] == TEN + timedelta(seconds=2)
    assert session["last_inbound_at"] == TEN
    assert said["metadata"]["segments"] == 1
    assert said["processing_time_ms"] >= 0
    assert scene.db.messages.find_one({"direction": "inbound"})["answer"]["state"] == "done"


def test_nothing_is_answered_before_the_burst_may_be_over(scene):
    scene.twilio.sms("Hello")
    assert scene.worker.run(after=1.999) == 0
    assert scene.worker.run(after=0.001) == 2  # answered, then sent


def test_a_burst_gets_one_answer_to_all_of_it(scene):
    for words in ("I would like", "a table", "for two"):
        scene.twilio.sms(words)
        scene.worker.run(after=1)
    scene.worker.run(after=2)
    (said,) = ours(scene.db)
    assert said["content"] == "You said: I would like\na table\nfor two"
    assert scene.turns[0].fragments == ("I would like", "a table", "for two")
    answers = [message["answer"] for message in scene.db.messages.find({"direction": "inbound"})]
    assert [answer["state"] for answer in answers] == ["done"] * 3
    assert {answer["by"] for answer in answers} == {said["_id"]}
    assert scene.db.outbox.count_documents({"state": "waiting"}) == 0


def test_without_debounce_every_message_is_answered_at_once(make_app, clock, live_db):
    app = make_app(reply={"debounce_seconds": 0})
    worker, twilio = Worker(app, clock), Twilio(app.test_client())
    with slow_responder(app, lambda turn: Reply(turn.content)):
        for words in ("one", "two"):
            twilio.sms(words)
            worker.run()
    assert [said["content"] for said in ours(live_db)] == ["one", "two"]


def test_an_answer_to_an_outdated_burst_is_thrown_away(scene):
    interrupted = []

    def interrupt(turn: Turn) -> Reply:
        if not interrupted:
            interrupted.append(turn)
            scene.twilio.sms("no, for three")
        return Reply(f"Noted: {turn.content}")

    scene.model = interrupt
    scene.twilio.sms("for two")
    scene.worker.run(after=2)
    assert ours(scene.db) == []
    scene.worker.run(after=2)
    assert [said["content"] for said in ours(scene.db)] == ["Noted: for two\nno, for three"]
    assert scene.db.sessions.find_one()["message_count"] == 3


def test_the_model_sees_the_session_so_far_and_no_other(scene):
    scene.twilio.sms("Hello")
    scene.worker.run(after=2)
    scene.clock.tick(60)
    scene.twilio.sms("And tomorrow?")
    scene.worker.run(after=2)
    assert [(said.sender, said.content) for said in scene.turns[1].history] == [
        ("contact", "Hello"),
        ("ai", "You said: Hello"),
    ]
    scene.clock.tick(3600)
    scene.twilio.sms("Another day")
    scene.worker.run(after=2)
    assert scene.turns[2].history == ()


def test_the_model_knows_who_asks_and_where(scene):
    scene.twilio.whatsapp("Hello")
    scene.worker.run(after=2)
    (turn,) = scene.turns
    assert turn.communication_type == "whatsapp"
    assert (turn.number, turn.line) == ("+15558675310", "+14155238886")
    assert turn.contact_name
    assert turn.session_id == str(scene.db.sessions.find_one()["_id"])


@pytest.mark.parametrize("text", ["", "  "])
def test_a_model_that_says_nothing_sends_nothing(scene, text):
    scene.model = lambda _turn: Reply(text)
    scene.twilio.sms("Hello")
    scene.worker.run(after=2)
    assert ours(scene.db) == []
    assert scene.db.messages.find_one()["answer"]["state"] == "none"


def test_a_model_that_fails_apologises_and_says_why_to_us(scene):
    def fail(_turn):
        raise RuntimeError("model overloaded")

    scene.model = fail
    scene.twilio.sms("Hello")
    scene.worker.run(after=2)
    (said,) = ours(scene.db)
    assert (said["content"], said["status"]) == (APOLOGY, "delivered")
    assert (said["has_error"], said["error_message"]) == (True, "model overloaded")
    assert scene.db.sessions.find_one()["message_count"] == 2


def test_without_an_apology_a_failure_is_kept_and_not_sent(make_app, clock, live_db):
    app = make_app(reply={"apology": "", "debounce_seconds": 0})

    def fail(_turn):
        raise RuntimeError("model overloaded")

    with slow_responder(app, fail):
        Twilio(app.test_client()).sms("Hello")
        Worker(app, clock).run()
    (said,) = ours(live_db)
    assert (said["content"], said["has_error"], said.get("status"), said.get("provider_sid")) == ("", True, None, None)


def test_tokens_and_tools_are_stored(scene):
    scene.model = lambda _turn: Reply("At nine.", token_count=42, tools_used=("calendar",))
    scene.twilio.sms("When?")
    scene.worker.run(after=2)
    (said,) = ours(scene.db)
    assert (said["token_count"], said["tools_used"]) == (42, ["calendar"])


def test_a_long_answer_goes_out_in_order_as_messages_of_their_own(scene):
    scene.model = lambda _turn: Reply("word " * 700, token_count=7)
    scene.twilio.sms("Tell me everything")
    scene.worker.run(after=2)
    scene.worker.run(after=1)
    said = ours(scene.db)
    first = said[0]["_id"]
    assert [message["_id"] for message in said] == [first, f"{first}:2", f"{first}:3"]
    assert all(len(message["content"]) <= 1600 for message in said)
    assert [message["status"] for message in said] == ["delivered"] * 3
    assert [message.get("token_count") for message in said] == [7, None, None]
    assert scene.db.sessions.find_one()["message_count"] == 4


def test_a_redelivered_message_is_answered_once(scene):
    for _ in range(3):
        assert is_empty(scene.twilio.sms("Hello", MessageSid="SM1"))
    scene.worker.run(after=2)
    assert is_empty(scene.twilio.sms("Hello", MessageSid="SM1"))
    scene.worker.run(after=60)
    assert len(scene.turns) == len(ours(scene.db)) == 1


def test_a_late_answer_stays_in_its_turns_session(scene):
    scene.twilio.sms("Hello", MessageSid="SM1")
    scene.clock.tick(400)
    scene.twilio.sms("Another day", MessageSid="SM2")
    scene.worker.run(after=2)
    asked = {message["_id"]: message["session_id"] for message in scene.db.messages.find({"direction": "inbound"})}
    assert asked["SM1"] != asked["SM2"]
    assert {said["_id"]: said["session_id"] for said in ours(scene.db)} == {
        f"re:{sid}": session for sid, session in asked.items()
    }


def test_a_late_answer_opens_an_idle_session_again_if_it_is_the_newest(scene):
    scene.twilio.sms("Hello")
    scene.clock.tick(400)
    upkeep.sweep(scene.worker.runtime)
    assert scene.db.sessions.find_one()["status"] == "closed"
    scene.worker.run()
    session = scene.db.sessions.find_one()
    assert (session["status"], session["message_count"]) == ("active", 2)


def test_a_late_answer_leaves_a_session_closed_that_a_person_closed(scene):
    scene.model = lambda _turn: Reply("Bye", actions=(Action("close"),))
    scene.twilio.sms("Bye")
    scene.worker.run(after=2)
    session = scene.db.sessions.find_one()
    assert (session["status"], session["closed_reason"], session["message_count"]) == ("closed", "responder", 2)
    scene.clock.tick(1)
    scene.twilio.sms("One more thing")
    assert scene.db.sessions.count_documents({}) == 2


def test_a_bot_may_hand_over_to_a_person_and_is_silent_then(scene):
    scene.model = lambda _turn: Reply("One moment.", actions=(Action("hand_over", {"reason": "angry"}),))
    scene.twilio.sms("I want a human")
    scene.worker.run(after=2)
    scene.twilio.sms("Hello?")
    scene.worker.run(after=2)
    assert len(scene.turns) == 1
    assert scene.db.sessions.find_one()["needs_person"]["reason"] == "angry"
    assert scene.db.messages.find_one({"content": "Hello?"})["answer"] == {
        "state": "none", "twiml": texts_of_nothing(), "reason": "handed_over",
    }  # fmt: skip


def texts_of_nothing() -> str:
    return '<?xml version="1.0" encoding="UTF-8"?><Response />'


def test_unknown_actions_change_nothing(scene):
    scene.model = lambda _turn: Reply("Hi", actions=(Action("launch_rocket"), Action("tag", {"tag": "vip"})))
    scene.twilio.sms("Hello")
    scene.worker.run(after=2)
    assert scene.db.sessions.find_one()["tags"] == ["vip"]
    assert len(ours(scene.db)) == 1


def test_a_message_says_itself_that_it_is_to_be_answered_so_nothing_is_lost_between_two_writes(scene):
    scene.twilio.sms("Hello")
    assert scene.db.outbox.count_documents({}) == 0
    assert scene.db.messages.find_one()["answer"]["due"] == TEN + timedelta(seconds=2)
    scene.worker.run(after=2)
    assert "due" not in scene.db.messages.find_one({"direction": "inbound"})["answer"]
    assert scene.db.outbox.find_one()["_id"] == ours(scene.db)[0]["_id"]


def test_somebody_who_writes_on_and_on_is_answered_all_the_same(scene):
    for number in range(30):
        scene.twilio.sms(f"line {number}")
        scene.worker.run(after=1)
    assert len(ours(scene.db)) >= 1
    assert scene.turns[0].fragments[0] == "line 0"
    scene.worker.run(after=30)
    asked = [fragment for turn in scene.turns for fragment in turn.fragments]
    assert asked == [f"line {number}" for number in range(30)]


def test_an_answer_thrown_away_was_paid_for_and_counts(make_app, clock, live_db):
    app = make_app(reply={"debounce_seconds": 0, "hourly_limit": 3})
    twilio, worker, asked = Twilio(app.test_client()), Worker(app, clock), []

    def interrupted(turn):
        asked.append(turn)
        clock.tick(1)
        twilio.sms("and another thing")
        return Reply("Noted.")

    with slow_responder(app, interrupted):
        twilio.sms("Hello")
        worker.run()
    assert len(asked) <= 4
    assert live_db.sessions.find_one()["needs_person"]["reason"] == "hourly_limit"


def test_with_one_session_over_all_lines_each_line_answers_what_came_to_it(make_app, clock, live_db):
    app = make_app(sessions={"scope": "contact"})
    twilio, worker = Twilio(app.test_client()), Worker(app, clock)
    with slow_responder(app, lambda turn: Reply(f"{turn.line}: {turn.content}")):
        twilio.sms("for A", To="+15017120001")
        twilio.sms("for B", To="+15017120002")
        worker.run(after=2)
    assert live_db.sessions.count_documents({}) == 1
    assert {said["content"] for said in ours(live_db)} == {"+15017120001: for A", "+15017120002: for B"}


def test_a_stop_to_one_line_leaves_what_waits_on_another(make_app, clock, live_db):
    app = make_app(sessions={"scope": "contact"})
    twilio, worker = Twilio(app.test_client()), Worker(app, clock)
    with slow_responder(app, lambda turn: Reply(turn.content)):
        twilio.sms("for A", To="+15017120001")
        twilio.sms("for B", To="+15017120002")
        twilio.sms("STOP", To="+15017120001")
        worker.run(after=2)
    assert [said["content"] for said in ours(live_db)] == ["for B"]


def test_what_a_bot_handed_over_stays_with_people_in_the_next_session_too(scene):
    scene.model = lambda _turn: Reply("One moment.", actions=(Action("hand_over"),))
    scene.twilio.sms("I want a human")
    scene.worker.run(after=2)
    scene.clock.tick(3600)
    scene.twilio.sms("Still waiting")
    scene.worker.run(after=2)
    assert scene.db.sessions.count_documents({}) == 2
    assert len(scene.turns) == 1
    newest = scene.db.sessions.find_one(sort=[("_id", -1)])
    operators.hand_back(scene.worker.runtime, str(newest["_id"]), "ada")
    scene.twilio.sms("And now?")
    scene.worker.run(after=2)
    assert [turn.content for turn in scene.turns] == ["I want a human", "And now?"]


def test_what_was_handed_over_while_a_message_waited_is_not_answered(scene):
    scene.twilio.sms("Hello")
    actions.ask_for_person(scene.worker.runtime, str(scene.db.sessions.find_one()["_id"]), "x", bot_off=True)
    scene.worker.run(after=2)
    assert scene.turns == []
    assert scene.db.messages.find_one()["answer"]["reason"] == "handed_over"


def test_a_late_hand_over_holds_in_the_session_that_began_meanwhile(scene):
    def think(_turn):
        scene.clock.tick(400)
        scene.twilio.sms("Are you there?")
        return Reply("One moment.", actions=(Action("hand_over"),))

    scene.model = think
    scene.twilio.sms("I want a human")
    scene.worker.run(after=2)
    scene.worker.run(after=2)
    assert [session.get("bot_off") for session in scene.db.sessions.find()] == [True, True]
    assert len(scene.turns) == 1
    oldest = scene.db.sessions.find_one(sort=[("_id", 1)])
    operators.hand_back(scene.worker.runtime, str(oldest["_id"]), "ada")
    assert scene.db.sessions.count_documents({"bot_off": True}) == 0


def test_two_answers_never_share_a_message(scene):
    """Two rows of one burst think at the same time, because somebody writes on and on."""
    inside = []

    def think(turn):
        if not inside:
            inside.append(turn)
            scene.clock.tick(25)
            scene.twilio.sms("second")
            scene.clock.tick(2)
            queue.answers(scene.worker.runtime)
            work.do_one(scene.worker.runtime)  # another worker answers both
        return Reply(f"to {', '.join(turn.fragments)}")

    scene.model = think
    scene.twilio.sms("first")
    for _ in range(4):
        scene.worker.run(after=2)
    answered = [fragment for said in ours(scene.db) for fragment in said["content"].removeprefix("to ").split(", ")]
    assert sorted(answered) == ["first", "second"]


def test_what_people_wrote_stays_out_of_the_log_when_a_responder_breaks(scene, capsys):
    def fail(turn):
        raise KeyError(turn.content)

    scene.model = fail
    scene.twilio.sms("my secret")
    scene.worker.run(after=2)
    assert "my secret" not in capsys.readouterr().out
    assert "my secret" in ours(scene.db)[0]["error_message"]


def test_an_answer_that_breaks_the_worker_again_and_again_ends_in_an_apology(scene, monkeypatch):
    def burst(*_args, **_kwargs):
        raise ValueError("nobody foresaw this")

    monkeypatch.setattr(answering, "turn_of", burst)
    scene.twilio.sms("Hello")
    for _ in range(40):
        scene.worker.run(after=3600)
    (said,) = ours(scene.db)
    assert (said["content"], said["has_error"]) == (APOLOGY, True)
    assert scene.db.outbox.count_documents({"state": "waiting"}) == 0


def test_a_message_stored_late_is_answered_too(scene):
    def think(_turn):
        scene.model = lambda turn: Reply(f"You said: {turn.content}")
        scene.clock.tick(-2.5)  # received before the other, and stored while that is thought about
        scene.twilio.sms("earlier")
        scene.clock.tick(2.5)
        queue.answers(scene.worker.runtime)  # another worker looks
        return Reply("to the later one")

    scene.model = think
    scene.twilio.sms("later")
    for _ in range(4):
        scene.worker.run(after=2)
    assert [said["content"] for said in ours(scene.db)] == ["to the later one", "You said: earlier"]
    assert scene.db.messages.count_documents({"answer.state": QUEUED}) == 0


def test_a_message_that_nobody_looks_for_any_more_is_found_again(scene):
    scene.twilio.sms("Hello")
    scene.db.messages.update_one({}, {"$unset": {"answer.due": ""}})
    scene.worker.run(after=60)
    assert ours(scene.db) == []
    upkeep.settle(scene.worker.runtime)
    scene.worker.run(after=1)
    assert [said["content"] for said in ours(scene.db)] == ["You said: Hello"]


def test_an_apology_for_a_message_leaves_a_later_one_to_be_answered(scene):
    scene.twilio.sms("first")
    scene.clock.tick(2)
    queue.answers(scene.worker.runtime)
    row = work.claim(scene.worker.runtime)
    scene.clock.tick(30)
    scene.twilio.sms("second")
    answering.give_up(scene.worker.runtime, row, "gave up")
    for _ in range(3):
        scene.worker.run(after=30)
    said = {message["content"]: message["status"] for message in ours(scene.db)}
    assert said == {APOLOGY: "delivered", "You said: second": "delivered"}


def test_nobody_waits_for_somebody_who_writes_without_end(scene):
    for number in range(210):
        scene.twilio.sms(f"flood {number}")
        scene.clock.tick(0.02)
    scene.twilio.sms("Other", From="+15550001111")
    for number in range(5):
        scene.clock.tick(0.7)
        scene.twilio.sms(f"more {number}")
        scene.worker.run()
    assert [turn.content for turn in scene.turns] == ["Other"]


def test_a_call_answers_no_text_of_the_same_session(make_app, clock, live_db):
    app = make_app(sessions={"scope": "contact"})
    twilio, worker, asked = Twilio(app.test_client()), Worker(app, clock), []

    def respond(turn):
        asked.append(turn.content)
        return Reply("Yes")

    with slow_responder(app, respond):
        twilio.sms("please answer my text")
        call = Call(twilio, {"From": "+15558675310", "To": "+15017122661"})
        call.begin()
        call.say("hello")
        worker.run()
        worker.run(after=3)
    assert sorted(asked) == ["hello", "please answer my text"]
    assert live_db.messages.count_documents({"answer.state": QUEUED}) == 0


def test_quick_responders_still_answer_within_the_webhook(twilio):
    assert texts(twilio.sms("Hello")) == ["Hello"]


def test_somebody_who_said_stop_meanwhile_gets_no_answer(scene):
    scene.twilio.sms("Hello")
    scene.twilio.sms("STOP")
    scene.worker.run(after=60)
    assert ours(scene.db) == []
    assert scene.db.outbox.count_documents({"state": "waiting"}) == 0
    scene.twilio.sms("START")
    scene.twilio.sms("Hello again")
    scene.worker.run(after=2)
    assert [turn.content for turn in scene.turns] == ["Hello again"]
