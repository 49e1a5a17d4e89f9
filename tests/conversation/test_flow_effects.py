"""What surrounds flows: what their end does, what begins them beside words, time-outs, and that crashes change none."""

import contextlib
import dataclasses
import tomllib
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from gateway.conversation import failed, flow_effects, flow_starts, flow_upkeep, forget, operators, restored
from gateway.conversation.flow_starts import FlowUnderWay, NoFlow
from gateway.conversation.operators import CannotDo
from gateway.core import flows
from gateway.core.flows import State
from gateway.core.replies import Action, Reply
from gateway.metrics import exposition
from gateway.store import flow_runs, flow_states, outbox
from tests.conftest import TEN, fixture
from tests.conversation.flowing import ASKED, Scene
from tests.conversation.worker import slow_responder
from tests.stand_ins.receiver import Receiver

SUPPLY = """
title = "Supply"
version = 3
timeout_minutes = 30

[triggers]
words = ["supply"]
intents = ["wants_supplies"]
events = ["missed_call"]

[steps.item]
prompt = "Which item?"
spoken = "Please say which item."
kind = "text"

[steps.address]
prompt = "Your e-mail?"
collect = ["email"]

[fields.email]
kind = "email"

[endings.completed]
text = "Thank you."
do = [
  {{ action = "message", text = "We noted {{item}} for {{email}}." }},
  {{ action = "capture", email = "{{email}}" }},
  {{ action = "post", url = "{url}" }},
  {{ action = "tag", tag = "supplied" }},
  {{ action = "hand_over", reason = "Supply {{item}}" }},
]

[endings.expired]
text = "We did not hear from you, so we stopped."
"""


def supply(url="http://127.0.0.1:9/none"):
    return flows.read("supply.toml", tomllib.loads(SUPPLY.format(url=url)))


@pytest.fixture
def receiver():
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def make_scene(make_app, clock, receiver):
    """A gateway whose flows are `order` and `supply`, and a program that the latter posts to."""

    def make(**given):
        scene = Scene(make_app, clock, **given)
        more = {"supply": supply(f"{receiver.url}/supplies")}
        scene.app.extensions["gateway"] = dataclasses.replace(scene.runtime, flows={**scene.runtime.flows, **more})
        return scene

    return make


@pytest.fixture
def scene(make_scene):
    return make_scene(flow={"secret": "shared"})


def rows(scene, **wanted):
    return {row["_id"].rpartition(":")[2]: row for row in scene.db.outbox.find({"step": "flow", **wanted})}


def run(scene):
    return scene.db.flow_runs.find_one(sort=[("started_at", -1)])


# What a finished flow does


def test_the_end_of_a_flow_is_done_by_the_worker_once(scene, receiver, monkeypatch):
    captured = []
    monkeypatch.setattr("gateway.conversation.claims.typed", lambda *args, **said: captured.append(said))
    with capture_logs() as logged:
        assert scene.play("supply", "Nails", "hari@example.com") == ["Which item?", "Your e-mail?", "Thank you."]
        scene.worker.run()
    session = scene.session()
    assert scene.carrier.sent == ["We noted Nails for hari@example.com."]
    assert captured == [
        {
            "name": "",
            "email": "hari@example.com",
            "phone": "",
            "session_id": str(session["_id"]),
            "source": "flow:supply",
        }
    ]
    (told,) = receiver.told
    assert told.is_signed_by("shared")
    assert told.headers["X-Gateway-Flow-Id"] == told.event["id"] == f"flow:{run(scene)['_id']}:2"
    assert told.event["values"] == {"item": "Nails", "email": "hari@example.com"}
    assert (told.event["flow"], told.event["version"], told.event["session_id"]) == ("supply", 3, str(session["_id"]))
    assert told.event["contact"]["number"] == "+15558675310"
    assert told.event["started_at"] == "2026-03-01T10:00:00.000Z"
    assert session["tags"] == ["supplied"]
    assert session["bot_off"] is True
    assert session["needs_person"]["reason"] == "Supply Nails"
    assert {row["state"] for row in rows(scene).values()} == {"done"}
    events = [one["event"] for one in logged if one["event"].startswith("flow_")]
    assert [one for one in events if one != "flow_posted"] == ["flow_started", "flow_advanced", "flow_completed"]
    assert not [one for one in logged if "Nails" in str(one) or "hari@" in str(one)]
    assert "due" not in scene.flow()
    counted = [line for line in exposition().decode().splitlines() if line.startswith("gateway_flows_total")]
    assert any('flow="supply",outcome="completed"' in line for line in counted)


def test_whoever_opted_out_is_told_nothing_and_the_rest_is_done(scene, receiver):
    scene.play("supply", "Nails", "hari@example.com", "STOP")
    scene.worker.run()
    assert scene.carrier.sent == []
    assert {name: row["state"] for name, row in rows(scene).items()} == {
        "0": "canceled", "1": "done", "2": "done", "3": "done", "4": "done"
    }  # fmt: skip


def test_a_program_that_fails_is_tried_again_and_one_that_refuses_is_left_to_a_person(scene, receiver):
    receiver.answers = [500, "drop", 429]
    scene.play("supply", "Nails", "hari@example.com")
    for _ in range(5):
        scene.worker.run(after=60)
    assert len(receiver.told) == 4
    assert len({told.headers["X-Gateway-Flow-Id"] for told in receiver.told}) == 1
    assert len({told.headers["X-Gateway-Signature"] for told in receiver.told}) == 4
    assert rows(scene)["2"]["state"] == "done"
    operators.hand_back(scene.runtime, str(scene.session()["_id"]), "ada")
    receiver.answers = [422]
    scene.play("supply", "Bolts", "hari@example.com")
    scene.worker.run(after=60)
    (refused,) = rows(scene, state="failed").values()
    assert refused["error"] == "422: refused for good"
    assert failed.retry(scene.runtime, refused["_id"], "ada") == failed.Done.RETRIED
    scene.worker.run()
    assert rows(scene, state="failed") == {}
    assert receiver.events[-1]["values"]["item"] == "Bolts"


def test_a_private_address_is_posted_to_in_production_only_where_that_is_allowed(scene, receiver):
    guarded = scene.runtime.settings.model_copy(update={"env": "production"})
    scene.app.extensions["gateway"] = dataclasses.replace(scene.runtime, settings=guarded)
    scene.play("supply", "Nails", "hari@example.com")
    scene.worker.run()
    assert receiver.told == []
    assert rows(scene)["2"]["error"].startswith("not_allowed: 127.0.0.1 is a private address")


# Killed anywhere


class Killed(BaseException):
    """The process is gone: nothing catches this."""


def die(*_args, **_given):
    raise Killed


WRITES = (
    (flow_runs, "begin"), (flow_runs, "reach"), (flow_runs, "end"), (outbox, "put"), (flow_states, "put_due"),
)  # fmt: skip


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("number", range(9))
def test_a_process_killed_at_any_write_loses_and_doubles_nothing(scene, receiver, monkeypatch, number, before):
    """Each write of the end of a flow in turn is the last one: before it, and after it."""
    count = 0

    def dying(real):
        def write(*args, **given):
            nonlocal count
            count += 1
            if count == number + 1 and before:
                raise Killed
            done = real(*args, **given)
            if count == number + 1:
                raise Killed
            return done

        return write

    scene.play("supply", "Nails")
    with monkeypatch.context() as patched:
        for module, name in WRITES:
            patched.setattr(module, name, dying(getattr(module, name)))
        with contextlib.suppress(Killed):
            scene.play("hari@example.com")
    assert count > 0
    for _ in range(6):
        flow_upkeep.look(scene.runtime)
        scene.worker.run(after=30)
    assert scene.carrier.sent.count("We noted Nails for hari@example.com.") == 1
    assert len(receiver.told) == 1
    assert scene.session()["tags"] == ["supplied"]
    assert {name: row["state"] for name, row in rows(scene).items()} == dict.fromkeys("01234", "done")
    ended = run(scene)
    assert (ended["outcome"], ended["last_step"]) == ("completed", "address")
    assert [one["step"] for one in ended["steps"]] == ["item", "address"]
    assert "due" not in scene.flow()


@pytest.mark.parametrize("by", ["start", "timeout", "cancel"])
def test_what_nobody_would_answer_again_is_found_by_when_it_is_due(scene, monkeypatch, by):
    """No message leads to these, so the state itself has to say that something still follows from it."""
    scene.play("hello" if by == "start" else "supply")
    session_id = str(scene.session()["_id"])
    scene.clock.tick(3600 if by == "timeout" else 1)
    with monkeypatch.context() as patched:
        patched.setattr(flow_runs, "begin" if by == "start" else "reach", die)
        with pytest.raises(Killed):
            if by == "start":
                flow_starts.start(scene.runtime, session_id, "supply", "ada", run="api:1")
            elif by == "cancel":
                flow_starts.cancel(scene.runtime, session_id, "ada")
            else:
                flow_upkeep.look(scene.runtime)
    assert flow_upkeep.look(scene.runtime) == 0
    scene.clock.tick(20)
    assert flow_upkeep.look(scene.runtime) == 1
    scene.worker.run()
    told = {"start": ["Which item?"], "timeout": ["We did not hear from you, so we stopped."], "cancel": []}
    assert scene.carrier.sent == told[by]
    assert run(scene).get("outcome") == {"start": None, "timeout": "expired", "cancel": "canceled"}[by]


# Time-outs


def test_a_flow_that_waits_too_long_ends_with_the_words_of_its_file(scene):
    scene.play("supply", "Nails")
    scene.clock.tick(30 * 60 - 2)
    assert flow_upkeep.look(scene.runtime) == 0
    scene.clock.tick(3)
    with capture_logs() as logged:
        assert [flow_upkeep.look(scene.runtime) for _ in range(2)] == [1, 0]
    scene.worker.run()
    assert scene.carrier.sent == ["We did not hear from you, so we stopped."]
    assert (run(scene)["outcome"], run(scene)["last_step"]) == ("expired", "address")
    (said,) = [one for one in logged if one["event"] == "flow_abandoned"]
    assert (said["flow"], said["step"], said["version"]) == ("supply", "address", 3)
    assert scene.flow()["outcome"] == "expired"
    scene.play("hello?")
    assert scene.carrier.sent == ["We did not hear from you, so we stopped."]


def test_one_that_nobody_can_do_anything_about_holds_up_no_other(scene, monkeypatch):
    scene.play("supply")
    broken = str(scene.session()["_id"])
    scene.play("supply", From="+15550001111")
    scene.clock.tick(2 * 3600)
    put = flow_effects.put

    def fail(runtime, place, *rest):
        if place.session_id == broken:
            raise AssertionError("bob@example.com wrote this")
        return put(runtime, place, *rest)

    monkeypatch.setattr(flow_effects, "put", fail)
    with capture_logs() as logged:
        assert [flow_upkeep.look(scene.runtime) for _ in range(2)] == [2, 0]
    assert run(scene)["outcome"] == "expired"
    (said,) = [one for one in logged if one["event"] == "flow_upkeep_failed"]
    assert said["session_id"] == broken
    assert "bob" not in str(said)
    monkeypatch.undo()
    scene.clock.tick(3600)
    assert flow_upkeep.look(scene.runtime) == 1
    assert {one["outcome"] for one in scene.db.flow_runs.find()} == {"expired"}


@pytest.mark.parametrize(
    "odd",
    [{"waiting_since": "yesterday"}, {"values": "ab"}, {"values": 1}, {"flow": {"a": 1}}, {"said": 7}, {"tries": "x"}],
    ids=str,
)
def test_what_an_older_system_kept_under_our_name_is_no_flow(scene, odd):
    scene.play("supply")
    changed = {f"context.flow.{name}": value for name, value in odd.items()}
    scene.db.sessions.update_one({}, {"$set": changed})
    assert scene.play("hello") == []
    scene.clock.tick(3600)
    assert [flow_upkeep.look(scene.runtime) for _ in range(2)] in ([0, 0], [1, 0])
    assert scene.play("order") == [ASKED[0]]


def test_a_flow_that_is_said_to_go_on_nowhere_stands_in_no_others_way(scene):
    scene.play("supply")
    scene.db.sessions.update_one({}, {"$set": {"context.flow.carried_by": "elsewhere"}})
    assert scene.play("3 apples") == []
    assert scene.play("order") == [ASKED[0]]


def test_a_time_out_says_nothing_while_a_person_answers_or_where_the_file_says_nothing(scene):
    scene.play("supply")
    operators.take_over(scene.runtime, str(scene.session()["_id"]), "ada")
    scene.play("order", From="+15550001111")
    scene.play("supply", From="+15550002222")
    operators.close(scene.runtime, str(scene.session()["_id"]), "ada")
    scene.clock.tick(2 * 3600)
    assert flow_upkeep.look(scene.runtime) == 3
    scene.worker.run()
    assert scene.carrier.sent == []
    assert {one["outcome"] for one in scene.db.flow_runs.find()} == {"expired"}


def test_who_was_heard_late_has_as_much_time_to_answer_as_everybody(scene):
    scene.play("supply")
    message = scene.db.messages.find_one({"direction": "inbound"})
    late = State("supply", 3, "item", "late", message["createdAt"], message["createdAt"], advanced_by="SMlate")
    scene.clock.tick(3600)
    kept = flow_effects.kept(supply(), late, scene.clock.now())
    assert kept["due"] - scene.clock.now() == timedelta(minutes=30, milliseconds=1)


def test_a_flow_whose_file_is_gone_ends_by_itself(scene):
    scene.play("supply", "Nails")
    scene.app.extensions["gateway"] = dataclasses.replace(scene.runtime, flows={})
    scene.clock.tick(2 * 3600)
    assert flow_upkeep.look(scene.runtime) == 1
    assert flow_upkeep.look(scene.runtime) == 0
    assert run(scene)["outcome"] == "expired"


def test_what_is_due_is_found_by_its_index_and_sessions_without_a_flow_are_not_in_it(scene):
    scene.play("supply")
    scene.twilio.sms("hello", From="+15550002222")
    wanted = {"context.flow.due": {"$lte": TEN + timedelta(hours=2)}}
    plan = scene.db.sessions.find(wanted).hint("flow_due").explain()
    assert plan["executionStats"]["totalKeysExamined"] == 1
    assert scene.db.command("validate", "sessions")["keysPerIndex"]["flow_due"] == 1


# Begun by something else than words


def test_a_program_begins_a_flow_with_what_is_known_and_its_question_is_sent_once(scene):
    scene.play("hello")
    session_id = str(scene.session()["_id"])
    for _ in range(2):
        state = flow_starts.start(scene.runtime, session_id, "order", "shop", run="api:1", values={"what": "ten hats"})
    assert state.step == "who"
    assert scene.worker.run() == 2
    assert scene.carrier.sent == ["Thanks, ten hats. What is your name?"]
    assert scene.play("Hari", "Harbour")[-1] == "Noted: ten hats for Hari at Harbour."
    assert [one["by"] for one in scene.db.audit.find({"action": "flow_begun"})] == ["shop"]


def test_a_flow_is_not_begun_over_another_unless_that_is_wanted(scene):
    scene.play("supply")
    session_id = str(scene.session()["_id"])
    with pytest.raises(FlowUnderWay):
        flow_starts.start(scene.runtime, session_id, "order", "shop", run="api:1")
    flow_starts.start(scene.runtime, session_id, "order", "shop", run="api:2", instead=True)
    assert {one["flow"]: one.get("outcome") for one in scene.db.flow_runs.find()} == {
        "supply": "canceled", "order": None
    }  # fmt: skip
    scene.worker.run()
    assert scene.carrier.sent == [ASKED[0]]


@pytest.mark.parametrize("case", ["unknown", "field", "taken_over", "closed", "newer", "opted_out"])
def test_a_flow_that_nobody_could_answer_is_refused(scene, case):
    scene.play("hello")
    session_id, given, expected = str(scene.session()["_id"]), {"name": "order"}, CannotDo
    if case == "unknown":
        given, expected = {"name": "none"}, NoFlow
    elif case == "field":
        given = {"name": "order", "values": {"colour": "red"}}
    elif case == "taken_over":
        operators.take_over(scene.runtime, session_id, "ada")
    elif case == "closed":
        operators.close(scene.runtime, session_id, "ada")
    elif case == "newer":
        scene.clock.tick(3600)
        scene.play("hello again")
    else:
        scene.play("STOP")
    name = given.pop("name")
    with pytest.raises(expected):
        flow_starts.start(scene.runtime, session_id, name, "ada", run="console:1", **given)
    assert scene.db.flow_runs.count_documents({}) == 0


def test_a_flow_is_canceled_by_hand_without_a_word(scene):
    scene.play("supply")
    session_id = str(scene.session()["_id"])
    assert [flow_starts.cancel(scene.runtime, session_id, "ada") for _ in range(2)] == [True, False]
    scene.worker.run()
    assert scene.carrier.sent == []
    assert (run(scene)["outcome"], run(scene)["last_step"]) == ("canceled", "item")


def test_a_responder_begins_a_flow_by_intent_and_says_its_question_with_its_own_words(make_scene):
    scene = make_scene(reply={"responder": "echo", "debounce_seconds": 0})
    asked_for = Action("flow", {"intent": "wants_order", "values": {"what": "hats"}})
    with slow_responder(scene.app, lambda _turn: Reply("Of course.", actions=(asked_for,))):
        scene.play("I need hats")
        scene.worker.run()
        assert scene.carrier.sent == ["Of course.\nThanks, hats. What is your name?"]
        assert scene.play("Hari")[0].startswith("Where, Hari?")
    with slow_responder(scene.app, lambda _turn: Reply("Hm.", actions=(Action("flow", {"flow": "none"}),))):
        scene.play("Harbour", "and more")
        scene.worker.run()
    assert scene.carrier.sent[1:] == ["Hm."]


def test_an_action_is_repeated_after_a_crash_without_a_second_flow(make_scene, monkeypatch):
    scene = make_scene(reply={"responder": "echo", "debounce_seconds": 0})
    with slow_responder(scene.app, lambda _turn: Reply("", actions=(Action("flow", {"flow": "order"}),))):
        scene.play("hats")
        with monkeypatch.context() as patched:
            patched.setattr("gateway.store.outbound.insert", die)
            with pytest.raises(Killed):
                scene.worker.run()
        scene.worker.run(after=120)
    assert scene.carrier.sent == [ASKED[0]]
    assert scene.db.flow_runs.count_documents({}) == 1


# Missed calls


def missed(scene, status="no-answer", **changes):
    """Let a call to us end so; gives its SID."""
    params = fixture("voice/incoming") | changes
    scene.twilio.post("/webhooks/voice", params)
    end = params | {"CallStatus": status, "SequenceNumber": "3"}
    for _ in range(2):
        assert scene.twilio.post("/webhooks/voice/status", end).status_code == 204
    return params["CallSid"]


def test_a_missed_call_is_answered_by_a_flow_in_a_text_once(make_scene):
    scene = make_scene(voice={"mode": "dial", "dial_to": "+15005550006", "text_back": "Sorry we missed you."})
    sid = missed(scene)
    scene.worker.run()
    assert scene.carrier.sent == ["Which item?"]
    call, texts = scene.db.sessions.find().sort("_id", 1)
    assert (call["communication_type"], texts["communication_type"]) == ("voice", "sms")
    assert scene.db.messages.find_one({"_id": f"text-back:{sid}"})["session_id"] == texts["_id"]
    person = {"From": fixture("voice/incoming")["From"], "To": fixture("voice/incoming")["To"]}
    assert scene.play("Nails", "hari@example.com", **person) == ["Your e-mail?", "Thank you."]
    missed(scene)
    scene.worker.run()
    assert scene.carrier.sent[:1] + scene.carrier.sent[2:] == ["Which item?"]


@pytest.mark.parametrize(
    ("case", "texted"),
    [
        ("withheld", []),
        ("answered", []),
        ("stopped", []),
        ("blocked", []),
        ("failed", ["Which item?"]),
        ("off", []),
        ("no flows", []),
        ("flows by text", ["Which item?"]),
    ],
)
def test_who_is_texted_after_a_call(make_scene, case, texted):
    blocked = {"reply": {"responder": "flow", "blocklist": ["+15558675310"]}} if case == "blocked" else {}
    off = {"flow": {"missed_calls": []}} if case == "off" else {}
    others = {"reply": {"responder": "echo"}} if case in ("no flows", "flows by text") else {}
    scene = make_scene(**blocked, **off, **others)
    if case == "flows by text":
        line = fixture("voice/incoming")["To"]
        scene.db.channels.insert_one(
            {"_id": f"sms:{line}", "phone_number": line, "communication_type": "sms", "responder": "flow"}
        )
    changes = {"From": "+15558675310"}
    if case == "withheld":
        changes = {"From": "+266696687", "Caller": "+266696687"}
    if case == "stopped":
        scene.play("STOP", To=fixture("voice/incoming")["To"], **changes)
    missed(scene, "completed" if case == "answered" else "failed", **changes)
    scene.worker.run()
    assert scene.carrier.sent == texted


def test_a_voicemail_and_a_silent_call_are_missed_where_the_settings_say_so(make_scene):
    scene = make_scene(flow={"missed_calls": ["voicemail", "silent"]}, voice={"mode": "voicemail"})
    missed(scene, "completed")
    scene.worker.run()
    assert scene.carrier.sent == ["Which item?"]
    scene = make_scene(flow={"missed_calls": ["voicemail", "silent"]})
    missed(scene, "completed", CallSid="CA" + "9" * 32, From="+15550003333")
    scene.worker.run()
    assert scene.carrier.sent == ["Which item?"]


def test_a_worker_killed_after_the_flow_began_texts_the_caller_once(make_scene, monkeypatch):
    scene = make_scene()
    missed(scene, "failed")
    with monkeypatch.context() as patched:
        patched.setattr("gateway.conversation.send.write", die)
        with pytest.raises(Killed):
            scene.worker.run()
    assert scene.db.flow_runs.count_documents({}) == 1
    scene.worker.run(after=120)
    assert scene.carrier.sent == ["Which item?"]
    assert scene.db.flow_runs.count_documents({}) == 1


def test_nothing_of_a_forgotten_person_is_left_in_runs_but_numbers(scene):
    scene.play("supply", "Nails", "hari@example.com")
    scene.worker.run()
    scene.play("supply", From="+15550004444")
    forget.forget(scene.runtime, "+15558675310", wait=scene.clock.tick)
    emptied, kept = scene.db.flow_runs.find().sort("started_at", 1)
    assert emptied.keys() == {
        "_id", "flow", "version", "channel_id", "communication_type", "started_at", "steps", "outcome", "last_step",
        "ended_at",
    }  # fmt: skip
    assert "session_id" in kept
    assert scene.db.outbox.count_documents({"about": emptied["_id"]}) == 0


def test_a_backup_that_is_brought_back_leaves_to_a_person_what_flows_may_have_done(scene, receiver):
    scene.play("supply", "Nails", "hari@example.com")
    scene.play("supply", From="+15550004444")
    scene.clock.tick(3600)
    restored.make_safe(scene.runtime)
    scene.worker.run()
    assert (scene.carrier.sent, receiver.told) == ([], [])
    assert len(rows(scene, state="failed")) == 5
    assert {one["outcome"] for one in scene.db.flow_runs.find()} == {"completed", "expired"}
