"""What was said last in each session of a list: one message of each is read, whatever it has."""

from datetime import timedelta

import mongoengine
import pytest
from bson import ObjectId

from gateway.store import connection, glimpses
from tests.conftest import TEN

ONE, TWO = ObjectId(), ObjectId()


@pytest.fixture(autouse=True)
def connected(make_settings):
    connection.connect(make_settings())
    connection.create_indexes()
    mongoengine.get_db().sessions.insert_many([{"_id": one, "status": "active"} for one in (ONE, TWO)])


def say(session, content, seconds, channel="sms", **more):
    at = TEN + timedelta(seconds=seconds)
    message = {"session_id": session, "content": content, "channel_id": channel, "createdAt": at, **more}
    mongoengine.get_db().messages.insert_one({"_id": str(ObjectId()), **message})


def last(channels=None):
    found = glimpses.last_messages([str(ONE), str(TWO)], channels)
    return {session: message["content"] for session, message in found.items()}


def test_it_is_the_newest_of_each():
    say(ONE, "second", 2)
    say(ONE, "first", 1)
    say(TWO, "x" * 500, 0)
    assert last() == {str(ONE): "second", str(TWO): "x" * glimpses.LENGTH}


def test_of_one_moment_it_is_the_one_that_was_stored_last():
    say(ONE, "question", 1)
    say(ONE, "answer", 1)
    assert last() == {str(ONE): "answer"}


def test_a_private_note_is_passed_over():
    say(ONE, "said", 1)
    say(ONE, "noted", 2, metadata={"private": True})
    say(TWO, "noted too", 2, metadata={"private": True})
    assert last() == {str(ONE): "said"}


def test_what_was_said_on_other_channels_is_passed_over():
    say(ONE, "seen", 1)
    say(ONE, "not seen", 2, channel="voice")
    say(TWO, "not seen either", 2, channel="voice")
    assert last(["sms"]) == {str(ONE): "seen"}


def test_the_whole_of_a_long_session_is_never_read():
    for number in range(100):
        say(ONE, "text", number)
    database = mongoengine.get_db()
    database.command("profile", 2)
    last()
    database.command("profile", 0)
    (row, *_) = database["system.profile"].find({"ns": f"{database.name}.messages", "op": "command"})
    database.drop_collection("system.profile")
    assert row["docsExamined"] == 1
    assert row["keysExamined"] <= 3
