"""Where a flow goes when its session does not go on: over a rollover, a split, a merge, or nowhere."""

from datetime import timedelta

import pytest

from gateway.conversation import draining, merging, operators, regroup
from gateway.store import flows as store_flows
from gateway.store import messages, sessions
from tests.conftest import TEN
from tests.conversation.flowing import ASKED, NOTED, SAID, Scene
from tests.conversation.test_flow_crashes import Died, dying, recover
from tests.conversation.test_outage import Away, away
from tests.webhooks.conftest import texts

__all__ = ["Away", "away", "dying"]

HOUR = 3600
SHOWN = {"merged_into": None}
AFTER_THRESHOLD = 301


@pytest.fixture
def make_scene(make_app, clock):
    return lambda **given: Scene(make_app, clock, **given)


@pytest.fixture
def scene(make_scene):
    return make_scene()


def rolled_over(scene, line, *, after=AFTER_THRESHOLD):
    scene.clock.tick(after)
    return scene.play(line)


def actives(scene):
    """Give the sessions in which a flow waits for an answer."""
    states = [(one["_id"], one["context"].get("flow") or {}) for one in scene.db.sessions.find(SHOWN)]
    return [which for which, state in states if state and not state["outcome"] and not state.get("carried_by")]


def test_an_order_answered_after_the_threshold_is_not_lost(scene):
    scene.play("order", SAID[0])
    assert rolled_over(scene, SAID[1]) == [ASKED[2]]
    assert scene.db.sessions.count_documents({}) == 2
    older = scene.db.sessions.find_one(sort=[("first_message_at", 1)])
    assert older["context"]["flow"]["carried_by"] == str(scene.session()["_id"])
    assert actives(scene) == [scene.session()["_id"]]
    assert scene.play(SAID[2]) == [NOTED]
    (run,) = scene.db.flow_runs.find()
    assert (run["outcome"], run["session_id"]) == ("completed", scene.session()["_id"])
    scene.assert_sound()


@pytest.mark.parametrize(
    ("carry_over", "told", "known"),
    [("none", [], {}), ("flow", [ASKED[1]], {}), ("all", [ASKED[1]], {"customer": 7})],
)
def test_what_goes_on_is_a_setting(make_scene, carry_over, told, known):
    scene = make_scene(sessions={"carry_over": carry_over})
    scene.play("order")
    operators.set_context(scene.runtime, str(scene.session()["_id"]), {"customer": 7}, "ada")
    assert rolled_over(scene, SAID[0]) == told
    context = scene.session()["context"]
    assert {name: value for name, value in context.items() if name != "flow"} == known
    assert len(actives(scene)) == 1


def test_a_flow_whose_time_is_over_stays_behind(scene):
    scene.play("order")
    assert rolled_over(scene, SAID[0], after=HOUR) == []
    assert scene.session()["context"] == {}


@pytest.mark.parametrize("end", ["a person closed it", "they asked for a new one"])
def test_who_begins_anew_begins_without_the_flow(make_scene, end):
    scene = make_scene(sessions={"new_words": ["new"], "new_text": ""})
    scene.play("order")
    if end == "a person closed it":
        operators.close(scene.runtime, str(scene.session()["_id"]), "ada")
        scene.clock.tick(1)
        assert scene.play(SAID[0]) == []
    else:
        scene.play("new")
    assert scene.session()["context"] == {}
    assert scene.play("order") == [ASKED[0]]


def test_with_threshold_0_each_message_takes_the_flow_into_its_own_session(make_scene):
    scene = make_scene(sessions={"idle_seconds": 0})
    assert scene.play("order", *SAID) == [*ASKED, NOTED]
    assert scene.db.sessions.count_documents({}) == 4
    assert actives(scene) == []


@pytest.mark.parametrize(
    "step",
    [
        (sessions, "close_idle", "after"),
        (store_flows, "leave", "before"),
        (store_flows, "leave", "after"),
        (sessions, "open_session", "after"),
        (messages, "insert", "after"),
        (store_flows, "advance", "after"),
    ],
    ids=lambda step: f"{step[2]} {step[1]}",
)
@pytest.mark.parametrize("again", [True, False], ids=["delivered again", "never again"])
def test_a_rollover_that_died_loses_no_flow_and_doubles_none(scene, dying, step, again):
    scene.play("order", SAID[0])
    scene.clock.tick(AFTER_THRESHOLD)
    dying(*step)
    with pytest.raises(Died):
        scene.twilio.sms(SAID[1], MessageSid="SMdied")
    stored = scene.db.messages.count_documents({"_id": "SMdied"})
    if not again:
        recover(scene)
    if again or not stored:
        assert texts(scene.twilio.sms(SAID[1], MessageSid="SMdied")) == [ASKED[2]]
    assert len(actives(scene)) == 1
    scene.clock.tick(AFTER_THRESHOLD)
    assert scene.play(SAID[2]) == [NOTED]
    assert actives(scene) == []
    recover(scene)
    scene.assert_sound()


def test_an_answer_that_died_before_the_rollover_is_stepped_first_in_the_session_that_goes_on(scene, dying):
    scene.play("order")
    dying(messages, "insert", "after")
    with pytest.raises(Died):
        scene.twilio.sms(SAID[0])
    assert rolled_over(scene, SAID[1]) == []
    assert scene.db.sessions.count_documents({}) == 2
    recover(scene)
    assert scene.carrier.sent == list(ASKED[1:])
    assert scene.play(SAID[2]) == [NOTED]
    scene.assert_sound()


def test_a_late_message_of_an_older_session_moves_no_flow(scene, away):
    scene.play("order")
    with away:
        scene.twilio.sms("ten caps", MessageSid="SMlate")
    scene.clock.tick(AFTER_THRESHOLD)
    is_empty, scene.runtime.spool.is_empty = scene.runtime.spool.is_empty, lambda: True
    assert scene.play(SAID[0]) == [ASKED[1]]
    scene.runtime.spool.is_empty = is_empty
    draining.drain(scene.runtime)
    scene.worker.run(after=5)
    late = scene.db.messages.find_one({"_id": "SMlate"})
    assert late["session_id"] != scene.session()["_id"]
    assert late["answer"]["state"] == "none"
    assert scene.play(*SAID[1:]) == [ASKED[2], NOTED]


def test_a_session_that_is_split_takes_the_flow_with_what_was_said_last(scene):
    scene.play("order", SAID[0])
    first = str(scene.session()["_id"])
    message = scene.db.messages.find_one({"content": SAID[0]})
    done = regroup.split(scene.runtime, first, message["_id"], by="ada")
    assert actives(scene) == [scene.session()["_id"]]
    assert str(scene.session()["_id"]) == done.later
    assert scene.play(SAID[1]) == [ASKED[2]]
    regroup.undo(scene.runtime, done.id, by="ada")
    assert len(actives(scene)) == 1
    assert scene.play(SAID[2]) == [NOTED]


def test_sessions_merged_by_a_person_have_the_newer_ones_flow(scene):
    scene.play("order")
    assert rolled_over(scene, SAID[0]) == [ASKED[1]]
    regroup.merge(scene.runtime, str(scene.session()["_id"]), by="ada")
    assert scene.play(*SAID[1:]) == [ASKED[2], NOTED]
    scene.assert_sound()


def test_contacts_merged_in_the_middle_of_a_flow_go_on_with_it_in_the_session_that_stays_open(make_scene):
    scene = make_scene(sessions={"scope": "contact"})
    scene.play("order", From="+15558675310")
    scene.play("hello", From="+15558675399")
    one, other = (str(scene.db.contacts.find_one({"phones": f"+155586753{end}"})["_id"]) for end in ("10", "99"))
    merging.merge(scene.runtime, one, other, by="ada")
    assert len(actives(scene)) == 1
    assert scene.play(SAID[0], From="+15558675310") == [ASKED[1]]
    assert scene.play(SAID[1], From="+15558675399") == [ASKED[2]]


def test_contacts_parted_again_have_no_flow_in_common(make_scene):
    scene = make_scene(sessions={"scope": "contact"})
    scene.play("order", From="+15558675310")
    scene.play("hello", From="+15558675399")
    one, other = (str(scene.db.contacts.find_one({"phones": f"+155586753{end}"})["_id"]) for end in ("10", "99"))
    merging.merge(scene.runtime, one, other, by="ada")
    assert scene.play(SAID[0], From="+15558675310") == [ASKED[1]]
    merging.unmerge(scene.runtime, one, by="ada")
    merging.settle(scene.runtime)
    assert scene.play("Somebody else", From="+15558675399") == []
    assert scene.play(SAID[1], From="+15558675310") == [ASKED[2]]
    assert scene.play("order", "five mugs", From="+15558675399") == [ASKED[0], "Thanks, five mugs. What is your name?"]
    assert scene.play(SAID[2], From="+15558675310") == [NOTED]


def test_a_flow_begun_since_contacts_were_merged_is_only_theirs_who_began_it(make_scene):
    scene = make_scene(sessions={"scope": "contact"})
    scene.play("order", From="+15558675310")
    scene.play("hello", From="+15558675399")
    one, other = (str(scene.db.contacts.find_one({"phones": f"+155586753{end}"})["_id"]) for end in ("10", "99"))
    merging.merge(scene.runtime, one, other, by="ada")
    scene.play("never mind", "order", "five mugs", From="+15558675399")
    merging.unmerge(scene.runtime, one, by="ada")
    assert scene.play("order", From="+15558675310") == [ASKED[0]]
    assert scene.play("Hari", From="+15558675399") == ["Where, Hari?\n1 Harbour\n2 Market"]


def test_a_flow_in_a_session_that_was_closed_waits_until_it_is_opened_again(scene):
    scene.play("order")
    session = str(scene.session()["_id"])
    operators.close(scene.runtime, session, "ada")
    operators.reopen(scene.runtime, session, "ada")
    scene.clock.moment = TEN + timedelta(seconds=30)
    assert scene.play(SAID[0]) == [ASKED[1]]
