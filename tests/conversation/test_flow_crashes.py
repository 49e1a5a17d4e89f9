"""A process that dies after each write of a flow's turn: the step is taken once, and its answer told once, the same."""

import pytest

from gateway.conversation import flow_effects, flow_upkeep, respond, upkeep
from gateway.store import answers, asked, flow_runs, messages, outbound, outbox_claims, sessions
from gateway.store import flows as store_flows
from tests.conversation.flowing import ASKED, NOTED, SAID, SPOKEN, Scene
from tests.webhooks.conftest import Call, said, texts

IN_WEBHOOK = [
    (messages, "insert", "after"),
    (sessions, "touch", "after"),
    (store_flows, "advance", "before"),
    (store_flows, "advance", "after"),
    (flow_runs, "reach", "before"),
    (flow_effects, "follow", "after"),
    (answers, "give", "before"),
    (answers, "give", "after"),
    (answers, "finish", "after"),
    (sessions, "touch_by_id", "after"),
]
# Where a flow begins and ends, the two steps that matter most stand for all.
FEW = [(store_flows, "advance", "after"), (answers, "give", "before")]
IN_WORKER = [
    (outbox_claims, "claim", "after"),
    (store_flows, "advance", "before"),
    (store_flows, "advance", "after"),
    (flow_effects, "follow", "after"),
    (asked, "claim", "after"),
    (outbound, "insert", "before"),
    (outbound, "insert", "after"),
    (asked, "mark_answered", "before"),
    (asked, "mark_answered", "after"),
    (outbox_claims, "go_on_sending", "after"),
]


class Died(BaseException):
    """Nobody catches this, so nothing is done after it."""


@pytest.fixture
def dying(monkeypatch):
    """Let a function die before or after what it does, once."""

    def die(owner, name, when):
        real = getattr(owner, name)

        def dying_function(*args, **kwargs):
            monkeypatch.setattr(owner, name, real)
            if when == "after":
                real(*args, **kwargs)
            raise Died

        monkeypatch.setattr(owner, name, dying_function)

    return die


@pytest.fixture
def scene(make_app, clock):
    return Scene(make_app, clock)


def recover(scene):
    """Let a worker look after what is left, as often as it takes."""
    for _ in range(3):
        scene.worker.run(after=70)
        upkeep.settle(scene.runtime)
        flow_upkeep.look(scene.runtime)
    scene.worker.run(after=1)


@pytest.mark.parametrize(
    ("number", "step"), [*((1, step) for step in IN_WEBHOOK), *((number, step) for number in (0, 3) for step in FEW)]
)
def test_a_webhook_that_died_is_told_its_answer_when_it_is_delivered_again(scene, dying, step, number):
    lines, answered = ["order", *SAID], [*ASKED, NOTED]
    assert scene.play(*lines[:number]) == answered[:number]
    dying(*step)
    with pytest.raises(Died):
        scene.twilio.sms(lines[number], MessageSid="SMdied")
    scene.clock.tick(1)
    again = [texts(scene.twilio.sms(lines[number], MessageSid="SMdied")) for _ in range(2)]
    assert again == [[answered[number]]] * 2
    assert scene.play(*lines[number + 1 :]) == answered[number + 1 :]
    recover(scene)
    assert scene.ours() == answered
    assert scene.carrier.sent == []
    assert scene.db.flow_runs.count_documents({"outcome": "completed"}) == 1
    scene.assert_sound()


@pytest.mark.parametrize(
    ("number", "step"),
    [*((1, step) for step in IN_WEBHOOK[:7]), *((number, step) for number in (0, 3) for step in FEW)],
)
def test_a_webhook_that_died_and_never_comes_again_is_answered_by_the_worker(scene, dying, step, number):
    lines, answered = ["order", *SAID], [*ASKED, NOTED]
    scene.play(*lines[:number])
    dying(*step)
    with pytest.raises(Died):
        scene.twilio.sms(lines[number], MessageSid="SMdied")
    recover(scene)
    assert scene.carrier.sent == [answered[number]]
    assert texts(scene.twilio.sms(lines[number], MessageSid="SMdied")) == []
    assert scene.play(*lines[number + 1 :]) == answered[number + 1 :]
    recover(scene)
    assert scene.ours() == answered
    assert scene.carrier.sent == [answered[number]]
    scene.assert_sound()


@pytest.mark.parametrize("step", IN_WORKER, ids=lambda step: f"{step[2]} {step[1]}")
def test_a_worker_that_died_leaves_the_same_answer_to_the_next_one(scene, dying, step):
    scene.play("order")
    dying(messages, "insert", "after")
    with pytest.raises(Died):
        scene.twilio.sms(SAID[0])
    dying(*step)
    with pytest.raises(Died):
        scene.worker.run(after=5)
    recover(scene)
    assert scene.carrier.sent == [ASKED[1]]
    assert scene.play(*SAID[1:]) == [ASKED[2], NOTED]
    recover(scene)
    scene.assert_sound()


def test_what_is_said_after_a_webhook_died_waits_for_its_turn_and_is_answered_in_order(scene, dying):
    scene.play("order")
    dying(messages, "insert", "after")
    with pytest.raises(Died):
        scene.twilio.sms(SAID[0])
    scene.clock.tick(1)
    assert scene.play(SAID[1]) == []
    recover(scene)
    assert scene.carrier.sent == list(ASKED[1:])
    assert scene.play(SAID[2]) == [NOTED]
    scene.assert_sound()


def test_an_answer_whose_webhook_died_after_the_step_is_kept_until_it_is_told(scene, dying):
    """The next message may not overwrite the state that alone holds it."""
    scene.play("order")
    dying(answers, "give", "before")
    with pytest.raises(Died):
        scene.twilio.sms(SAID[0])
    scene.clock.tick(1)
    assert scene.play(SAID[1]) == []
    assert scene.flow()["step"] == "who"
    recover(scene)
    assert scene.carrier.sent == list(ASKED[1:])


@pytest.mark.parametrize("far", ["claimed it", "sent it"])
def test_a_webhook_that_was_overtaken_by_the_worker_tells_nothing(scene, monkeypatch, dying, far):
    scene.play("order")
    write = respond.write

    def slowly(*args, **kwargs):
        monkeypatch.setattr(respond, "write", write)
        if far == "sent it":
            scene.worker.run(after=5)
        else:
            dying(outbound, "insert", "before")
            with pytest.raises(Died):
                scene.worker.run(after=5)
        return write(*args, **kwargs)

    monkeypatch.setattr(respond, "write", slowly)
    assert texts(scene.twilio.sms(SAID[0])) == []
    recover(scene)
    assert scene.carrier.sent == [ASKED[1]]
    scene.assert_sound()


def test_a_step_that_another_message_took_meanwhile_is_not_overwritten(scene, monkeypatch):
    scene.play("order")
    advance = store_flows.advance

    def meanwhile(*args):
        monkeypatch.setattr(store_flows, "advance", advance)
        scene.clock.tick(-0.5)
        assert texts(scene.twilio.sms(SAID[0])) == [ASKED[1]]
        scene.clock.tick(0.5)
        return advance(*args)

    monkeypatch.setattr(store_flows, "advance", meanwhile)
    assert scene.play(SAID[1], SAID[2]) == [ASKED[2], NOTED]
    scene.assert_sound()


def test_a_worker_that_claimed_an_answer_is_left_to_send_it(scene, dying):
    scene.play("order")
    dying(messages, "insert", "after")
    with pytest.raises(Died):
        scene.twilio.sms(SAID[0], MessageSid="SMdied")
    dying(asked, "claim", "after")
    with pytest.raises(Died):
        scene.worker.run(after=5)
    assert texts(scene.twilio.sms(SAID[0], MessageSid="SMdied")) == []
    recover(scene)
    assert scene.carrier.sent == [ASKED[1]]


@pytest.mark.parametrize("step", [IN_WEBHOOK[0], *IN_WEBHOOK[2:]], ids=lambda step: f"{step[2]} {step[1]}")
def test_a_call_whose_webhook_died_hears_its_answer_while_it_waits(scene, dying, step):
    call = Call(scene.twilio)
    call.begin()
    assert said(call.say("order")) == [SPOKEN[0]]
    before = call.action
    dying(*step)
    with pytest.raises(Died):
        call.say(SAID[0])
    call.action = before
    scene.clock.tick(2)
    assert said(call.say(SAID[0])) == [ASKED[1]]
    assert said(call.say(SAID[1])) == [SPOKEN[2]]
    recover(scene)
    assert scene.session()["message_count"] == 7
