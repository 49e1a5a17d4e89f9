"""Who is not answered automatically, and when: limits, blocklist, opening hours, and the word for a new session."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.core.hours import is_open
from gateway.core.limits import lately, slot_of, stale
from tests.conftest import Twilio
from tests.webhooks.conftest import is_empty, texts

CLOSED = "We are closed right now and will answer when we are back."


@pytest.fixture
def line(make_app, clock):
    """Make a line to an app of these settings that echoes."""

    def make(**given):
        return Twilio(make_app(**given).test_client())

    return make


def test_only_so_many_answers_an_hour(line, clock, live_db):
    twilio = line(reply={"responder": "echo", "hourly_limit": 3})
    answered = []
    for _ in range(6):
        answered.append(not is_empty(twilio.sms("ping")))
        clock.tick(60)
    assert answered == [True, True, True, False, False, False]
    session = live_db.sessions.find_one()
    assert session["needs_person"]["reason"] == "hourly_limit"
    assert session["message_count"] == 9
    assert live_db.messages.find_one(sort=[("createdAt", -1)])["answer"]["reason"] == "hourly_limit"


def test_the_limit_is_a_sliding_hour(line, clock):
    twilio = line(reply={"responder": "echo", "hourly_limit": 2}, sessions={"idle_seconds": "never"})
    answered = []
    for minute in (0, 40, 59, 61, 99, 101, 119, 122):
        clock.move_to(minutes=minute)
        answered.append(not is_empty(twilio.sms("ping")))
    assert answered == [True, True, False, True, False, True, False, True]


@pytest.mark.parametrize("idle", [0, 1, 300])
def test_the_limit_is_the_senders_over_all_sessions(line, clock, idle):
    twilio = line(reply={"responder": "echo", "hourly_limit": 3}, sessions={"idle_seconds": idle})
    answered = []
    for _ in range(5):
        answered.append(not is_empty(twilio.sms("ping")))
        clock.tick(400)
    assert answered == [True, True, True, False, False]
    assert texts(twilio.sms("hi", From="+15550001111")) == ["hi"]


def test_no_limit_is_no_limit(line):
    twilio = line(reply={"responder": "echo", "hourly_limit": 0})
    assert all(texts(twilio.sms("ping")) == ["ping"] for _ in range(70))


def test_counts_of_minutes_long_gone_are_dropped(line, clock, live_db):
    twilio = line(reply={"responder": "echo"}, sessions={"idle_seconds": "never"})
    for minute in range(0, 200, 10):
        clock.move_to(minutes=minute)
        twilio.sms("ping")
    assert len(live_db.sessions.find_one()["automatic"]) <= 8


def test_a_long_answer_counts_as_one(line, clock):
    twilio = line(reply={"responder": "canned", "hourly_limit": 2}, canned={"default": "word " * 700})
    answered = []
    for _ in range(3):
        answered.append(len(texts(twilio.sms("ping"))))
        clock.tick(400)
    assert answered == [3, 3, 0]


@pytest.mark.parametrize("written", ["+15558675310", "+1 (555) 867-5310", "whatsapp:+15558675310"])
def test_a_blocked_sender_is_stored_and_not_answered(line, live_db, written):
    twilio = line(reply={"responder": "echo", "blocklist": [written]})
    assert is_empty(twilio.sms("Hello", From="+15558675310"))
    assert live_db.messages.find_one()["answer"]["reason"] == "blocked"
    assert texts(twilio.sms("Hello", From="+15550001111")) == ["Hello"]


def test_out_of_hours_everybody_is_told_so_once_a_session(line, clock, live_db):
    # The first of March 2026 is a Sunday, and ten in London is five in New York.
    twilio = line(reply={"responder": "echo", "timezone": "America/New_York", "hours": {"sun": ["09:00-12:00"]}})
    assert texts(twilio.sms("Anybody?")) == [CLOSED]
    assert is_empty(twilio.sms("Hello?"))
    clock.move_to(minutes=4 * 60)
    assert texts(twilio.sms("Good morning")) == ["Good morning"]
    said = list(live_db.messages.find({"direction": "outbound"}).sort("createdAt", 1))
    assert [(message["sender"], message["metadata"]["responder"]) for message in said] == [
        ("system", "out_of_hours"),
        ("ai", "echo"),
    ]


@pytest.mark.parametrize(
    ("hours", "when", "there"),
    [
        ({}, "2026-03-02T03:00", True),
        ({"mon": ["09:00-17:00"]}, "2026-03-02T09:00", True),
        ({"mon": ["09:00-17:00"]}, "2026-03-02T16:59", True),
        ({"mon": ["09:00-17:00"]}, "2026-03-02T17:00", False),
        ({"mon": ["09:00-17:00"]}, "2026-03-03T12:00", False),
        ({"mon": ["09:00-12:00", "13:00-17:00"]}, "2026-03-02T12:30", False),
        ({"mon": ["22:00-06:00"]}, "2026-03-03T05:59", True),
        ({"mon": ["22:00-06:00"]}, "2026-03-03T06:00", False),
        ({"mon": ["22:00-06:00"]}, "2026-03-02T05:00", False),
        ({"sun": ["22:00-06:00"]}, "2026-03-02T05:00", True),
        ({"mon": ["00:00-24:00"]}, "2026-03-02T23:59", True),
        ({"mon": ["18:00-24:00"]}, "2026-03-03T00:00", False),
    ],
)
def test_opening_hours(hours, when, there):
    assert is_open(hours, datetime.fromisoformat(when)) is there


def test_the_minutes_that_count_cover_the_last_sixty():
    moment = datetime(2026, 3, 1, 10, 30, 59, tzinfo=UTC)
    ago = {minutes: slot_of(moment - timedelta(minutes=minutes)) for minutes in (0, 59, 60, 61)}
    counted = dict.fromkeys(ago.values(), 1)
    assert set(lately(counted, moment)) == {ago[0], ago[59], ago[60]}
    assert stale(counted, moment) == (ago[61],)


def test_a_word_for_a_new_session_is_off_unless_somebody_names_one(line, live_db):
    twilio = line(reply={"responder": "echo"})
    twilio.sms("Hello")
    assert texts(twilio.sms("new")) == ["new"]
    assert live_db.sessions.count_documents({}) == 1


@pytest.mark.parametrize("word", ["new", "NEW", " New! "])
def test_the_word_for_a_new_session_starts_one(line, clock, live_db, word):
    twilio = line(reply={"responder": "echo"}, sessions={"new_words": ["new", "neu"], "new_text": "Fresh start."})
    twilio.sms("Hello", MessageSid="SM1")
    clock.tick(1)
    assert texts(twilio.sms(word, MessageSid="SM2")) == ["Fresh start."]
    clock.tick(1)
    twilio.sms("And now", MessageSid="SM3")
    where = {message["_id"]: message["session_id"] for message in live_db.messages.find({"direction": "inbound"})}
    assert where["SM1"] != where["SM2"] == where["SM3"]
    decision = live_db.messages.find_one({"_id": "SM2"})["decision"]
    assert (decision["kind"], decision["rule"], decision["previous_session_id"]) == (
        "rolled_over", "asked_for", where["SM1"],
    )  # fmt: skip
    old = live_db.sessions.find_one({"_id": where["SM1"]})
    assert (old["status"], old["closed_reason"]) == ("closed", "requested")


def test_the_word_in_the_same_millisecond_leaves_nobody_behind(line, clock, live_db):
    twilio = line(reply={"responder": "echo"}, sessions={"new_words": ["new"], "new_text": ""})
    for number, (said, later) in enumerate([("Hello", 0), ("new", 0), ("more", 1), ("again", 400), ("new", 0)]):
        clock.tick(later)
        twilio.sms(said, MessageSid=f"SM{number}")
    stored = [live_db.messages.find_one({"_id": f"SM{number}"}) for number in range(5)]
    where = [message["session_id"] for message in stored]
    assert where[1] == where[2]
    assert len(set(where)) == 4
    followed = [message["decision"]["previous_session_id"] for message in stored]
    assert (followed[1], followed[3], followed[4]) == (where[0], where[1], where[3])
    assert live_db.sessions.count_documents({"status": "active"}) == 1


def test_three_messages_in_one_millisecond_are_a_chain_where_each_has_a_session(line, clock, live_db):
    twilio = line(reply={"responder": "echo"}, sessions={"idle_seconds": 0})
    for number in range(4):
        clock.tick(number // 3)
        twilio.sms("Hello", MessageSid=f"SM{number}")
    where = [live_db.messages.find_one({"_id": f"SM{number}"})["session_id"] for number in range(4)]
    before = [live_db.sessions.find_one({"_id": one})["previous_session_id"] for one in where]
    assert before == [None, *where[:3]]
    assert [live_db.sessions.find_one({"_id": one})["status"] for one in where] == ["closed"] * 3 + ["active"]


def test_the_word_delivered_twice_starts_one_session(line, clock, live_db):
    twilio = line(reply={"responder": "echo"}, sessions={"new_words": ["new"]})
    twilio.sms("Hello")
    clock.tick(1)
    first = twilio.sms("new", MessageSid="SM2").data
    clock.tick(1)
    twilio.sms("more")
    assert twilio.sms("new", MessageSid="SM2").data == first
    assert live_db.sessions.count_documents({}) == 2


def test_the_word_as_a_first_message_is_a_first_message(line, live_db):
    twilio = line(reply={"responder": "echo"}, sessions={"new_words": ["new"]})
    twilio.sms("new")
    assert live_db.sessions.count_documents({}) == 1
    assert live_db.messages.find_one()["decision"]["kind"] == "created"
