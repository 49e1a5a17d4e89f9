"""What an answer asks for beside its words is done although its writer failed or died, and no second time."""

import mongoengine
import pytest

from gateway.conversation import actions, draining, operators
from gateway.core.errors import StoreUnavailable
from gateway.core.replies import Action, Reply
from gateway.responders import Responder
from gateway.store import answers, connection, sessions, triage
from tests.conftest import Twilio
from tests.conversation.flowing import with_flows
from tests.conversation.test_crashes import _in_a_process_that_dies, _once_more
from tests.webhooks.conftest import captured, is_empty, named, texts

TAKEN_OVER, LIMIT, ACTION = "taken over", "hourly limit", "action"
WHY = {TAKEN_OVER: "handed_over", LIMIT: "hourly_limit", ACTION: "angry"}
HAND_OVER = Action("hand_over", {"reason": "angry"})


class Scene:
    """Somebody who said hello, and whose next message, `Help me`, is for a person, for one of these reasons."""

    def __init__(self, make_app, clock, case=ACTION, asked=(HAND_OVER,)):
        self.case, self.make_app, self.clock, self.asked = case, make_app, clock, asked
        self.start()
        assert texts(self.say("Hello", "SM0")) == ["One moment."]
        if case == TAKEN_OVER:
            operators.take_over(self.runtime, self.session_id, "ada")
        clock.tick(5)

    def start(self):
        self.app = self.make_app(reply={"responder": "echo"} | ({"hourly_limit": 1} if self.case == LIMIT else {}))
        self.runtime.responders["echo"] = Responder(self.answer, quick=True)
        return self.app

    def answer(self, turn):
        asked = self.asked if self.case == ACTION and turn.content == "Help me" else ()
        return Reply("One moment.", actions=tuple(asked))

    def say(self, words="Help me", sid="SM1", app=None):
        answer = Twilio((app or self.app).test_client()).sms(words, MessageSid=sid)
        assert answer.status_code == 200
        return answer

    def drain(self):
        connection.breaker.reset()
        draining.drain(self.runtime)
        assert self.runtime.spool.is_empty()

    @property
    def runtime(self):
        return self.app.extensions["gateway"]

    @property
    def session(self):
        return mongoengine.get_db().sessions.find_one()

    @property
    def session_id(self):
        return str(self.session["_id"])

    @property
    def stored(self):
        return mongoengine.get_db().messages.find_one({"_id": "SM1"})["answer"]

    def flagged(self):
        return self.session.get("needs_person", {}).get("reason")


@pytest.fixture(params=WHY)
def scene(make_app, clock, request, at_once):
    return Scene(make_app, clock, request.param)


@pytest.fixture
def asking(make_app, clock, at_once):
    return Scene(make_app, clock)


@pytest.fixture
def at_once(monkeypatch):
    """Nothing else is under way in these tests, so nothing needs to be waited for before draining."""
    monkeypatch.setattr(draining, "QUIET_SECONDS", 0)
    yield
    connection.breaker.reset()


@pytest.fixture
def fail_once(monkeypatch):
    """Let MongoDB not confirm the next call of a store function."""

    def fail(module, name):
        real, failed = getattr(module, name), []

        def failing(*args, **kwargs):
            if not failed:
                failed.append(name)
                raise StoreUnavailable("failover")
            return real(*args, **kwargs)

        monkeypatch.setattr(module, name, failing)

    return fail


# Where the writer of a message may fail: before anything is done about it, in the middle, and before that is noted.
STEPS = [(sessions, "touch"), (triage, "ask_for_person"), (answers, "followed")]


@pytest.mark.parametrize(("module", "name"), STEPS, ids=lambda step: step if isinstance(step, str) else "")
def test_a_person_is_asked_though_mongodb_failed_midway(scene, fail_once, module, name):
    fail_once(module, name)
    assert is_empty(scene.say())
    assert not scene.runtime.spool.is_empty()
    scene.drain()
    assert scene.flagged() == WHY[scene.case]
    assert bool(scene.session.get("bot_off")) is (scene.case != LIMIT)
    assert not scene.stored.keys() & {"actions", "person"}


@pytest.mark.parametrize(
    "step",
    [(sessions, "touch", "after"), (triage, "ask_for_person", "before"), (triage, "ask_for_person", "after")],
    ids=lambda step: f"{step[2]} {step[1]}",
)
def test_a_person_is_asked_though_the_process_was_killed_when_the_message_comes_again(scene, step):
    assert _in_a_process_that_dies(lambda: _once_more(scene.start()), step, lambda app: scene.say(app=app))
    _once_more(scene.start())
    assert texts(scene.say()) == (["One moment."] if scene.case == ACTION else [])
    assert scene.flagged() == WHY[scene.case]
    assert not scene.stored.keys() & {"actions", "person"}


def test_every_kind_of_action_is_done_late_as_it_was_asked_for(make_app, clock, at_once, fail_once):
    asked = [Action("title", {"title": "Table for two"}), Action("tag", {"tag": "vip"}), Action("close")]
    scene = Scene(make_app, clock, asked=asked)
    fail_once(sessions, "touch")
    scene.say()
    assert scene.stored["actions"] == [
        {"kind": "title", "parameters": {"title": "Table for two"}},
        {"kind": "tag", "parameters": {"tag": "vip"}},
        {"kind": "close", "parameters": {}},
    ]
    scene.drain()
    session = scene.session
    assert (session["title"], session["tags"], session["closed_reason"]) == ("Table for two", ["vip"], "responder")


def test_an_answer_that_asks_for_nothing_stores_and_notes_nothing(asking, monkeypatch):
    monkeypatch.setattr(answers, "followed", pytest.fail)
    asking.say("Thanks")
    asking.say("Thanks")
    assert not asking.stored.keys() & {"actions", "person"}


@pytest.mark.parametrize("settle", [operators.hand_back, operators.archive], ids=lambda deed: deed.__name__)
def test_a_late_redelivery_undoes_nothing_that_people_did(scene, settle):
    scene.say()
    assert scene.flagged()
    scene.clock.tick(60)
    settle(scene.runtime, scene.session_id, "ada")
    actions.person_came(scene.runtime, scene.session_id)
    before = scene.session
    scene.clock.tick(3600)
    scene.say()
    assert scene.session == before


def test_a_late_redelivery_begins_no_flow_after_another_one_has_ended(make_app, clock, at_once):
    scene = Scene(make_app, clock, asked=[Action("flow", {"flow": "order"})])
    with_flows(scene.app)
    scene.say()
    assert scene.session["context"]["flow"]["run"] == "action:SM1"
    another = {"context.flow.run": "another", "context.flow.outcome": "completed"}
    mongoengine.get_db().sessions.update_one({}, {"$set": another, "$unset": {"context.flow.due": ""}})
    scene.say()
    assert scene.session["context"]["flow"]["run"] == "another"


def test_where_a_person_came_before_the_redelivery_all_is_left_as_they_have_it(scene, fail_once):
    fail_once(sessions, "touch")
    scene.say()
    connection.breaker.reset()
    scene.clock.tick(5)
    operators.take_over(scene.runtime, scene.session_id, "ada")
    operators.hand_back(scene.runtime, scene.session_id, "ada")
    if scene.case == LIMIT:  # the bot was on, so neither is a deed
        operators.close(scene.runtime, scene.session_id, "ada")
    scene.drain()
    assert (scene.flagged(), scene.session.get("bot_off")) == (None, None)
    assert not scene.stored.keys() & {"actions", "person"}


def test_who_came_before_the_message_was_there_to_be_seen_does_not_know_of_it(asking, fail_once):
    connection.breaker._reason = "away"
    asking.say()
    asking.clock.tick(5)
    connection.breaker.reset()
    operators.take_over(asking.runtime, asking.session_id, "ada")
    operators.hand_back(asking.runtime, asking.session_id, "ada")
    asking.clock.tick(5)
    fail_once(triage, "ask_for_person")
    with pytest.raises(StoreUnavailable):
        draining.drain(asking.runtime)
    assert asking.flagged() is None
    asking.drain()
    assert asking.flagged() == "angry"


@pytest.mark.parametrize("odd", [{1, 2}, 2**70, "\ud83d", {"a\0b": 1}], ids=["set", "big", "half a sign", "NUL"])
def test_parameters_that_mongodb_has_no_type_for_cost_nothing(make_app, clock, at_once, odd):
    scene = Scene(make_app, clock, asked=[Action("hand_over", {"reason": "angry", "odd": odd})])
    assert texts(scene.say()) == ["One moment."]
    assert scene.flagged() == "angry"


def test_parameters_that_nothing_can_keep_cost_the_answer_and_not_the_message(make_app, clock, at_once):
    endless = {}
    endless["again"] = endless
    scene = Scene(make_app, clock, asked=[Action("tag", endless)])
    with captured() as events:
        assert texts(scene.say())[0].startswith("Sorry")
    assert named(events, "responder_failed")
    assert scene.stored["state"] == "done"
