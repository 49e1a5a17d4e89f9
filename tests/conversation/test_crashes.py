"""kill -9 at each step of a message, then Twilio delivers it again: same answer, nothing twice, counts right."""

import dataclasses
import os
import signal
from datetime import timedelta

import mongoengine
import pytest

from gateway.conversation import calls, upkeep
from gateway.conversation.runtime import build
from gateway.store import connection, contacts, finding, messages, senders, sessions, settling
from gateway.store.connection import collection
from gateway.store.documents import MessageDocument
from tests.conftest import Twilio
from tests.conversation.conftest import Person

STEPS = [
    (finding, "find_neighbours", "after"),
    (contacts, "resolve", "after"),
    (senders, "known", "after"),
    (senders, "make", "after"),
    (sessions, "close_each", "after"),
    (sessions, "open_each", "before"),
    (sessions, "open_each", "after"),
    (messages, "insert", "before"),
    (messages, "insert", "halfway"),
    (messages, "insert", "after"),
    (sessions, "touch", "before"),
    (sessions, "touch", "after"),
]


def _crash_at(module, name, when):
    """Make a store function kill its process, before or after what it does."""
    real = getattr(module, name)

    def crashing(*args, **kwargs):
        if when == "halfway":  # as a mongod that dies between the documents of one insert
            collection(MessageDocument).insert_one(messages._inbound(args[0][0]))
        if when == "after":
            real(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(module, name, crashing)


def _in_a_process_that_dies(make_app, step, speak):
    """Run one delivery in a child that is killed at the step; True if it came that far."""
    connection.disconnect()
    child = os.fork()
    if child == 0:
        try:
            app = make_app()
            _crash_at(*step)
            speak(app)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def _once_more(app):
    """Connect an app as a process does that was just started or forked."""
    connection.connect(app.extensions["gateway"].settings)
    return app


def _settle(serving, clock, *, minutes=2.0):
    """Let the worker look some time after the crash, and once more ten seconds later, as it does."""
    clock.moment += timedelta(minutes=minutes)
    upkeep.settle(serving)
    clock.moment += timedelta(seconds=10)
    upkeep.settle(serving)


def _assert_sessions_are_right():
    db = mongoengine.get_db()
    for session in db.sessions.find():
        mine = list(db.messages.find({"session_id": session["_id"]}))
        inbound = [m["createdAt"] for m in mine if m["direction"] == "inbound"]
        assert session["message_count"] == len(mine) > 0
        assert session["first_message_at"] == min(inbound)
        assert session["last_message_at"] == max(inbound)
        assert session["last_inbound_at"] == max(inbound)
        previous = session["previous_session_id"]
        assert previous is None or db.sessions.find_one({"_id": previous})


WHEN = {"first message": None, "reuse": 2, "rollover": 10, "late, a session of its own": -10}


# What is sent by WhatsApp comes the same way as a text from its parser on.
@pytest.mark.parametrize("channel", ["sms", "voice"])
@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"{step[2]} {step[1]}")
@pytest.mark.parametrize("minutes", WHEN.values(), ids=WHEN.keys())
def test_i4_a_message_survives_kill_9_and_is_answered_when_it_comes_again(
    make_app, make_settings, clock, channel, step, minutes
):
    def person(app):
        return Person(Twilio(app.test_client()), clock, channel)

    app = make_app()
    if minutes is not None:
        person(app).say(sid="A" * 34)
    late = minutes or 0
    _in_a_process_that_dies(lambda: _once_more(app), step, lambda child: person(child).say(minutes=late, sid="B" * 34))
    _once_more(app)
    first, second = (person(app).say(minutes=late + 1 / 60, sid="B" * 34) for _ in range(2))
    assert first.status_code == 200
    assert first.data == second.data
    _settle(build(make_settings(), clock=clock), clock)

    db = mongoengine.get_db()
    assert db.messages.count_documents({"direction": "inbound"}) == (1 if minutes is None else 2)
    if channel != "voice":
        assert b">Hi</Message>" in first.data
        assert db.messages.count_documents({"_id": "re:" + "B" * 34}) == 1
        _assert_sessions_are_right()
    assert db.sessions.count_documents({}) == (2 if minutes in (10, -10) else 1)
    assert db.sessions.count_documents({"live": {"$nin": [None, []]}}) == 0


@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"{step[2]} {step[1]}")
@pytest.mark.parametrize("minutes", WHEN.values(), ids=WHEN.keys())
@pytest.mark.parametrize("away", [1, 600], ids=["a minute later", "ten hours later"])
def test_i5_counts_are_right_after_kill_9_even_if_it_never_comes_again(
    make_app, make_settings, clock, step, minutes, away
):
    def ada(app):
        return Person(Twilio(app.test_client()), clock, "sms")

    app = make_app(reply={"responder": "echo"})
    if minutes is not None:
        ada(app).say(sid="A" * 34)
    if minutes and minutes > 0:  # a worker was here before; this clock stores late messages in the past
        upkeep.settle(build(make_settings(), clock=clock))
    late = minutes or 0
    _in_a_process_that_dies(lambda: _once_more(app), step, lambda child: ada(child).say(minutes=late, sid="B" * 34))
    _once_more(app)
    _settle(build(make_settings(), clock=clock), clock, minutes=away + 10 + 1 / 60)
    _assert_sessions_are_right()


def test_i6_a_message_that_its_writer_did_not_count_still_keeps_its_session_alive(make_app, make_settings, clock):
    """Five minutes are measured from the uncounted message at 4, not from the one at 0 that the session knows of."""

    def ada(app):
        return Person(Twilio(app.test_client()), clock, "sms")

    ada(make_app()).say(sid="A" * 34)
    died = _in_a_process_that_dies(
        make_app, (sessions, "touch", "before"), lambda app: ada(app).say(minutes=4, sid="B" * 34)
    )
    assert died
    ada(make_app()).say(minutes=8, sid="C" * 34)
    db = mongoengine.get_db()
    assert db.sessions.count_documents({}) == 1
    decision = db.messages.find_one({"_id": "C" * 34})["decision"]
    assert (decision["kind"], decision["rule"], decision["gap_seconds"]) == ("reused", "within_threshold", 240)
    _settle(build(make_settings(), clock=clock), clock)
    _assert_sessions_are_right()


def test_a_message_whose_other_copy_opens_the_session_first_is_still_the_one_that_began_it(app, monkeypatch, clock):
    real = sessions.open_each

    def other_copy_first(new):
        monkeypatch.setattr(sessions, "open_each", real)
        assert not real([dataclasses.replace(one, id=sessions.new_id()) for one in new])
        return real(new)

    monkeypatch.setattr(sessions, "open_each", other_copy_first)
    Person(Twilio(app.test_client()), clock, "sms").say(sid="A" * 34)
    decision = mongoengine.get_db().messages.find_one({"_id": "A" * 34})["decision"]
    assert (decision["kind"], decision["rule"]) == ("created", "first_message")


def test_every_step_is_reached_by_some_delivery(make_app, clock):
    """A step that no delivery comes to would make the tests above prove nothing."""

    def speak(app):
        ada = Person(Twilio(app.test_client()), clock, "sms")
        ada.say(sid="A" * 34)
        ada.say(minutes=10, sid="B" * 34)
        Person(Twilio(app.test_client()), clock, "voice").say(sid="C" * 34)

    make_app()
    for step in STEPS:
        mongoengine.get_db().sessions.delete_many({})
        mongoengine.get_db().messages.delete_many({})
        assert _in_a_process_that_dies(make_app, step, speak), step[1:]
        make_app()


class TestSettling:
    @pytest.fixture
    def ada(self, make_app, clock):
        return Person(Twilio(make_app().test_client()), clock, "sms")

    @pytest.fixture
    def serving(self, ada, make_settings, clock):
        return build(make_settings(), clock=clock)

    def miscount(self, by=-1):
        mongoengine.get_db().sessions.update_one({}, {"$inc": {"message_count": by}})

    def counted(self):
        return mongoengine.get_db().sessions.find_one()["message_count"]

    @pytest.mark.parametrize("by", [-1, 1])
    def test_puts_a_count_right_in_one_pass(self, ada, serving, clock, by):
        ada.say()
        self.miscount(by)
        _settle(serving, clock, minutes=0.1)
        assert self.counted() == 2

    def test_leaves_a_session_alone_while_a_turn_may_be_on_its_way(self, ada, serving, clock):
        ada.say()
        self.miscount()
        clock.moment += timedelta(seconds=3)
        upkeep.settle(serving)
        assert self.counted() == 1

    def test_comes_back_to_a_session_that_was_too_busy(self, ada, serving, clock):
        ada.say()
        self.miscount()
        for second in range(1, 40):
            ada.say(seconds=second)
            upkeep.settle(serving)
        assert self.counted() == 79
        _settle(serving, clock, minutes=0.1)
        assert self.counted() == 80

    def test_a_second_worker_with_the_same_finding_changes_nothing(self, ada, serving, clock):
        ada.say()
        self.miscount()
        (found,) = settling.miscounts(settling.look_through(clock.moment, clock.moment + timedelta(seconds=1)))
        assert settling.correct(found)
        assert not settling.correct(found)
        assert self.counted() == 2

    def test_a_turn_counted_meanwhile_wins(self, ada, serving, clock):
        ada.say()
        self.miscount()
        (found,) = settling.miscounts(settling.look_through(clock.moment, clock.moment + timedelta(seconds=1)))
        ada.say(seconds=5)
        assert not settling.correct(found)
        assert self.counted() == 3

    def test_stores_an_answer_that_was_given_but_not_stored(self, ada, serving, clock):
        ada.say(sid="A" * 34)
        mongoengine.get_db().messages.delete_one({"_id": "re:" + "A" * 34})
        _settle(serving, clock, minutes=0.1)
        answer = mongoengine.get_db().messages.find_one({"_id": "re:" + "A" * 34})
        assert (answer["content"], answer["sender"], answer["has_error"]) == ("Hi", "ai", False)
        assert self.counted() == 2


class TestCallsThatEndInBetween:
    CALL = "CA" + "3" * 32

    def end(self, twilio):
        line = {"CallSid": self.CALL, "From": "+15558675310", "To": "+15017122661"}
        ended = {"CallStatus": "completed", "CallDuration": "1", "SequenceNumber": "0"}
        assert twilio.post("/webhooks/voice/status", line | ended).status_code == 204

    def live(self):
        return mongoengine.get_db().sessions.find_one()["live"]

    def test_between_storing_the_call_and_counting_it(self, app, monkeypatch):
        twilio, real = Twilio(app.test_client()), sessions.touch

        def ends_first(touch):
            monkeypatch.setattr(sessions, "touch", real)
            self.end(Twilio(app.test_client()))
            return real(touch)

        monkeypatch.setattr(sessions, "touch", ends_first)
        twilio.call(CallSid=self.CALL)
        assert self.live() == []

    def test_before_a_crash_let_the_session_know(self, app, make_settings, clock, monkeypatch):
        twilio = Twilio(app.test_client())
        twilio.call(CallSid=self.CALL)
        with monkeypatch.context() as crash:
            crash.setattr(sessions, "end_call", lambda *_: None)
            self.end(twilio)
        clock.move_to(minutes=30)
        serving = build(make_settings(), clock=clock)
        upkeep.sweep(serving)
        assert self.live() == []
        upkeep.sweep(serving)
        assert mongoengine.get_db().sessions.find_one()["status"] == "closed"

    def test_before_the_call_and_its_writer_dies_before_looking(self, app, monkeypatch):
        twilio = Twilio(app.test_client())
        self.end(twilio)
        with monkeypatch.context() as crash:
            crash.setattr(calls, "apply_waiting", lambda *_: None)
            crash.setattr(calls, "let_go_if_over", lambda *_: None)
            twilio.call(CallSid=self.CALL)
        assert self.live() == [self.CALL]
        twilio.call(CallSid=self.CALL)
        assert self.live() == []
        assert mongoengine.get_db().callbacks.count_documents({}) == 0
