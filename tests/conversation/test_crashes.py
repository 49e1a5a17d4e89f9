"""kill -9 at each step of a message, then Twilio delivers it again: same answer, nothing twice, counts right."""

import os
import signal
from datetime import timedelta

import mongoengine
import pytest

from gateway.conversation import upkeep
from gateway.conversation.runtime import build
from gateway.store import connection, contacts, messages, sessions
from gateway.store.connection import collection
from gateway.store.documents import MessageDocument
from tests.conftest import Twilio
from tests.conversation.conftest import Person

STEPS = [
    (sessions, "find_neighbours", "after"),
    (contacts, "resolve", "after"),
    (sessions, "close_idle", "after"),
    (sessions, "open_session", "before"),
    (sessions, "open_session", "after"),
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


def _settle(serving, clock):
    settling = upkeep.Settling(serving)
    for _ in range(3):
        clock.moment += timedelta(seconds=61)
        settling.run()


@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"{step[2]} {step[1]}")
@pytest.mark.parametrize("minutes", [None, 2, 10], ids=["first message", "reuse", "rollover"])
def test_i4_i5_a_message_survives_kill_9(make_app, make_settings, clock, channel, step, minutes):
    def person(app):
        return Person(Twilio(app.test_client()), clock, channel)

    app = make_app()
    if minutes is not None:
        person(app).say(sid="A" * 34)
    crashed = _in_a_process_that_dies(
        make_app, step, lambda child: person(child).say(minutes=minutes or 0, sid="B" * 34)
    )
    app = make_app()
    later = (minutes or 0) + 1 / 60
    first, second = (person(app).say(minutes=later, sid="B" * 34) for _ in range(2))
    assert first.status_code == 200
    assert first.data == second.data
    _settle(build(make_settings(), clock=clock), clock)

    db = mongoengine.get_db()
    stored = list(db.messages.find())
    assert len({m["_id"] for m in stored if m["direction"] == "inbound"}) == (1 if minutes is None else 2)
    if channel != "voice":
        assert b"<Message>Hi</Message>" in first.data
        assert db.messages.count_documents({"_id": "re:" + "B" * 34}) == 1
    found = list(db.sessions.find())
    assert len(found) == (2 if minutes == 10 else 1), f"crashed: {crashed}"
    for session in found:
        mine = [m for m in stored if m["session_id"] == session["_id"]]
        assert session["message_count"] == len(mine)
        assert session["first_message_at"] == min(m["createdAt"] for m in mine)
        assert session["last_message_at"] >= max(m["createdAt"] for m in mine)


def test_every_step_is_reached_by_some_delivery(make_app, clock):
    """A step that no delivery comes to would make the tests above prove nothing."""

    def speak(app):
        ada = Person(Twilio(app.test_client()), clock, "sms")
        ada.say(sid="A" * 34)
        ada.say(minutes=10, sid="B" * 34)

    make_app()
    for step in STEPS:
        mongoengine.get_db().sessions.delete_many({})
        mongoengine.get_db().messages.delete_many({})
        assert _in_a_process_that_dies(make_app, step, speak), step[1:]
        make_app()


def test_a_count_that_is_off_is_corrected_while_messages_keep_coming(make_app, make_settings, clock):
    ada = Person(Twilio(make_app().test_client()), clock, "sms")
    ada.say()
    db = mongoengine.get_db()
    db.sessions.update_one({}, {"$inc": {"message_count": -1}})
    settling = upkeep.Settling(build(make_settings(), clock=clock))
    for second in range(1, 4):
        ada.say(seconds=10 * second)
        settling.run()
    assert db.sessions.find_one()["message_count"] == db.messages.count_documents({}) == 8


def test_a_turn_on_its_way_is_not_taken_for_a_miscount(make_app, make_settings, clock):
    ada = Person(Twilio(make_app().test_client()), clock, "sms")
    ada.say()
    db = mongoengine.get_db()
    db.sessions.update_one({}, {"$inc": {"message_count": -1}})
    settling = upkeep.Settling(build(make_settings(), clock=clock))
    settling.run()
    db.sessions.update_one({}, {"$inc": {"message_count": 1}})
    settling.run()
    assert db.sessions.find_one()["message_count"] == 2


def test_an_answer_that_was_given_but_not_stored_is_stored_by_the_worker(make_app, make_settings, clock):
    Person(Twilio(make_app().test_client()), clock, "sms").say(sid="A" * 34)
    db = mongoengine.get_db()
    db.messages.delete_one({"_id": "re:" + "A" * 34})
    _settle(build(make_settings(), clock=clock), clock)
    answer = db.messages.find_one({"_id": "re:" + "A" * 34})
    assert (answer["content"], answer["sender"]) == ("Hi", "ai")
    assert db.sessions.find_one()["message_count"] == 2


def test_a_session_whose_only_message_never_came_is_dropped(make_app, make_settings, clock):
    Person(Twilio(make_app().test_client()), clock, "sms").say(sid="A" * 34)
    db = mongoengine.get_db()
    db.messages.delete_many({})
    db.sessions.update_one({}, {"$set": {"message_count": 0}})
    _settle(build(make_settings(), clock=clock), clock)
    assert db.sessions.count_documents({}) == 0
