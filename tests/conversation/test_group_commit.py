"""Webhooks that arrive together are stored together, and nobody could tell from what is stored."""

from datetime import timedelta

import mongoengine
import pytest

from gateway.conversation import group_commit
from gateway.core.errors import StoreRefused, StoreUnavailable
from gateway.core.recent import Recent
from gateway.responders import Responder
from gateway.store import calls as store_calls
from gateway.store import connection, finding, messages, sessions
from tests.conftest import Twilio
from tests.conversation.rushing import PEOPLE, Rush, assert_counts_are_right, number, spy
from tests.webhooks.conftest import captured, is_empty, named


@pytest.fixture
def rush(make_app, clock, monkeypatch):
    return Rush(make_app(reply={"responder": "echo"}), clock, monkeypatch)


def test_a_group_shares_one_find_one_insert_and_one_update(rush, monkeypatch):
    rush.meet(seconds=120)
    calls = []
    for module, name in [
        (finding, "find_newest"),
        (messages, "insert"),
        (sessions, "touch"),
        (finding, "find_neighbours"),
    ]:
        spy(monkeypatch, module, name, calls)
    answers = rush.together([(person, f"SM{person}", f"I am {person}") for person in range(PEOPLE)])
    assert [b">I am %d</Message>" % person in answer.data for person, answer in enumerate(answers)] == [True] * PEOPLE
    shared = [call for call in calls if call[1] > 1]
    assert shared == [("find_newest", PEOPLE), ("insert", PEOPLE), ("touch", PEOPLE)]
    assert [name for name, size in calls if size == 1].count("find_neighbours") == 1  # who came ahead is new
    for person in range(PEOPLE):
        decision = rush.stored(f"SM{person}")["decision"]
        assert (decision["rule"], decision["gap_seconds"]) == ("within_threshold", 120)
        assert rush.stored(f"SM{person}")["session_id"] == rush.stored(f"SM-first-{person}")["session_id"]
    assert_counts_are_right()


def test_turns_of_calls_come_along_and_stay_in_their_calls(rush, monkeypatch):
    rush.meet(seconds=400)
    for person in range(3):
        assert rush.phone(person).status_code == 200
    rush.clock.tick(400)
    closed = {"status": "closed", "closed_reason": "operator", "closed_at": rush.clock.now()}
    which = {"_id": rush.stored("CA2:0")["session_id"]}
    mongoengine.get_db().sessions.update_one(which, {"$set": closed, "$unset": {"open_keys": ""}})
    for person in range(3, PEOPLE):
        rush.say(person, f"SM-again-{person}")
    calls = []
    for module, name in [(store_calls, "homes"), (finding, "find_newest"), (messages, "insert"), (sessions, "touch")]:
        spy(monkeypatch, module, name, calls)
    spoken = [(person, f"CA{person}", "yes") for person in range(3)]
    answers = rush.together([*spoken, (0, "SM0"), *((person, f"SM{person}") for person in range(3, PEOPLE))])
    assert {answer.status_code for answer in answers} == {200}
    shared = [call for call in calls if call[1] > 1]
    assert shared == [("homes", 3), ("find_newest", PEOPLE - 2), ("insert", PEOPLE + 1), ("touch", PEOPLE + 1)]
    for person in range(3):
        turn = rush.stored(f"CA{person}:1")
        assert turn["session_id"] == rush.stored(f"CA{person}:0")["session_id"]
        assert turn["decision"]["rule"] == "same_call"
    assert mongoengine.get_db().sessions.find_one(which)["status"] == "closed"
    assert_counts_are_right()


def test_a_turn_of_a_call_that_is_not_known_goes_alone(rush):
    rush.meet(seconds=10)
    answers = rush.together([(0, "CA0", "yes"), (1, "SM1")])
    assert {answer.status_code for answer in answers} == {200}
    assert rush.stored("CA0:1")["decision"]["kind"] == "created"
    assert_counts_are_right()


def test_whatever_comes_together_becomes_what_it_would_have_become_alone(rush):
    rush.meet(seconds=301)
    for person in range(4):  # these go on, the others roll over
        rush.say(person, f"SM-again-{person}")
    rush.clock.tick(60)
    arrivals = [
        (0, "SM0", "goes on"),
        (0, "SM0", "goes on"),  # delivered twice
        (1, "SM1a", "one"),
        (1, "SM1b", "two"),
        (2, "SM2", "STOP"),
        (3, "SM-again-3", "delivered before"),
        (4, "SM4", "rolls over"),
        (PEOPLE, "SM8", "is new"),
        (7, "SM7", "rolls over"),
    ]
    answers = rush.together(arrivals)
    assert {answer.status_code for answer in answers} == {200}
    assert answers[0].data == answers[1].data
    assert is_empty(answers[4])
    assert b">Hi</Message>" in answers[5].data
    kinds = {sid: rush.stored(sid)["decision"]["kind"] for _, sid, _ in arrivals}
    assert kinds == {
        **dict.fromkeys(["SM0", "SM1a", "SM1b", "SM2"], "reused"),
        **dict.fromkeys(["SM-again-3", "SM4", "SM7"], "rolled_over"),
        "SM8": "created",
    }
    assert rush.stored("SM2")["metadata"]["keyword"] == "stop"
    assert mongoengine.get_db().messages.count_documents({"direction": "outbound"}) == 8 + 4 + 1 + 7 - 1
    assert_counts_are_right()


def test_who_writes_under_two_names_comes_along_under_one(rush):
    """The other message is judged by what the first has made of their session."""
    rush.write("+15558675310", "SM-both", ExternalUserId="whatsapp:US.13491208655302741918")
    rush.clock.tick(60)
    rush.together([("+15558675310", "SM-one"), ("US.13491208655302741918", "SM-other")])
    assert [rush.stored(f"SM-{which}")["decision"]["gap_seconds"] for which in ("one", "other")] == [60, 0]
    assert len({rush.stored(f"SM-{which}")["session_id"] for which in ("both", "one", "other")}) == 1
    assert_counts_are_right()


def close_before_it_counts(rush, monkeypatch, **closed):
    """Close the third person's session between the insert of a group and its touch."""
    real = sessions.touch

    def closed_first(touches):
        if len(touches) > 1:
            which = {"_id": rush.stored("SM-first-3")["session_id"]}
            change = {"$set": {"status": "closed"} | closed, "$unset": {"open_keys": ""}}
            mongoengine.get_db().sessions.update_one(which, change)
        return real(touches)

    monkeypatch.setattr(sessions, "touch", closed_first)


def test_a_session_closed_by_a_person_at_that_very_moment_costs_the_others_nothing(rush, monkeypatch):
    rush.meet(seconds=10)
    before = rush.clock.now() - timedelta(seconds=5)
    close_before_it_counts(rush, monkeypatch, closed_reason="operator", closed_at=before)
    rush.together([(person, f"SM{person}") for person in range(PEOPLE)])
    moved = rush.stored("SM3")
    assert moved["decision"]["rule"] == "closed_for_good"
    assert moved["session_id"] != rush.stored("SM-first-3")["session_id"]
    assert rush.stored("re:SM3")["session_id"] == moved["session_id"]
    assert mongoengine.get_db().sessions.count_documents({}) == PEOPLE + 2
    assert_counts_are_right()


def test_a_session_that_went_idle_at_that_very_moment_counts_what_is_older_than_what_it_has(rush, monkeypatch):
    rush.meet(seconds=10)
    rush.clock.tick(-5)
    later = rush.clock.now() + timedelta(seconds=5)
    close_before_it_counts(rush, monkeypatch, closed_reason="idle", last_message_at=later)
    rush.together([(person, f"SM{person}") for person in range(PEOPLE)])
    assert rush.stored("SM3")["session_id"] == rush.stored("SM-first-3")["session_id"]
    assert_counts_are_right()


def test_one_of_a_group_that_another_process_stored_meanwhile_costs_the_others_nothing(rush, monkeypatch):
    rush.meet(seconds=10)
    real = messages.insert

    def beaten(turns):
        if len(turns) > 1:
            real(turns[3:4])
        return real(turns)

    monkeypatch.setattr(messages, "insert", beaten)
    answers = rush.together([(person, f"SM{person}", f"I am {person}") for person in range(PEOPLE)])
    assert [b">I am %d</Message>" % person in answer.data for person, answer in enumerate(answers)] == [True] * PEOPLE
    db = mongoengine.get_db()
    assert db.messages.count_documents({"_id": {"$in": [f"re:SM{person}" for person in range(PEOPLE)]}}) == PEOPLE
    # Whoever stored it is to count it; that process never came so far.
    short = rush.stored("SM3")["session_id"]
    for session in db.sessions.find():
        lacking = 2 if session["_id"] == short else 0
        assert session["message_count"] == db.messages.count_documents({"session_id": session["_id"]}) - lacking


def test_a_redelivery_that_another_process_took_first_moves_nothing(rush, monkeypatch):
    rush.meet(seconds=10)
    rush.say(3, "SM-once")
    rush.clock.tick(100)
    monkeypatch.setattr(Recent, "__contains__", lambda *_: False)
    before = mongoengine.get_db().sessions.find_one({"_id": rush.stored("SM-once")["session_id"]})
    again = [(3, "SM-once"), *((person, f"SM{person}") for person in range(PEOPLE) if person != 3)]
    answers = rush.together(again)
    assert {answer.status_code for answer in answers} == {200}
    assert mongoengine.get_db().sessions.find_one({"_id": before["_id"]}) == before
    assert_counts_are_right()


def test_what_mongodb_cannot_hold_costs_only_itself(rush, monkeypatch):
    rush.meet(seconds=10)
    real = messages.insert

    def refusing(turns):
        if any(turn.message.content == "too much" for turn in turns):
            raise StoreRefused("DocumentTooLarge")
        return real(turns)

    monkeypatch.setattr(messages, "insert", refusing)
    rush.together([(person, f"SM{person}", "too much" if person == 5 else "Hi") for person in range(PEOPLE)])
    assert [bool(rush.stored(f"SM{person}")) for person in range(PEOPLE)] == [person != 5 for person in range(PEOPLE)]
    (kept,) = rush.app.extensions["gateway"].spool.oldest(9, set_aside=True)
    assert kept.key == "SM5"


@pytest.mark.parametrize("spoiled", [{"metadata": None}, {"metadata": "x"}, {"message_count": "3"}])
def test_a_session_that_somebody_spoiled_costs_the_others_nothing(rush, spoiled):
    rush.meet(seconds=10)
    db = mongoengine.get_db()
    db.sessions.update_one({"_id": rush.stored("SM-first-5")["session_id"]}, {"$set": spoiled})
    with captured() as events:
        answers = rush.together([(person, f"SM{person}", "Hi") for person in range(PEOPLE)])
    assert {answer.status_code for answer in answers} == {200}
    (kept,) = rush.app.extensions["gateway"].spool.oldest(9, set_aside=True)
    assert kept.key == "SM5"
    assert rush.app.extensions["gateway"].spool.oldest(9) == []
    assert not connection.breaker.is_open
    told = {event["message_sid"] for event in named(events, "session_reused")}
    assert told >= {f"SM{person}" for person in set(range(PEOPLE)) - {5}}
    for person in set(range(PEOPLE)) - {5}:
        session = db.sessions.find_one({"_id": rush.stored(f"SM{person}")["session_id"]})
        assert session["message_count"] == db.messages.count_documents({"session_id": session["_id"]})


def test_one_id_of_two_senders_is_stored_and_counted_once(rush):
    rush.meet(seconds=10)
    answers = rush.together([(4, "SM4"), (5, "SM4"), (6, "SM4"), (7, "SM7")])
    assert {answer.data for answer in answers[:3]} == {answers[0].data}
    session = mongoengine.get_db().sessions.find_one({"_id": rush.stored("SM4")["session_id"]})
    assert (session["metadata"]["fromNumber"], len(session["keys"])) == (number(4), 1)
    assert_counts_are_right()


def test_a_fault_of_ours_in_a_group_costs_nobody_anything(rush, monkeypatch):
    rush.meet(seconds=10)
    monkeypatch.setattr(finding, "find_newest", lambda *_: 1 / 0)
    with captured() as events:
        answers = rush.together([(person, f"SM{person}") for person in range(PEOPLE)])
    assert {answer.status_code for answer in answers} == {200}
    assert named(events, "group_failed")[-1]["error"].startswith("ZeroDivisionError at ")
    assert all(rush.stored(f"SM{person}") for person in range(PEOPLE))
    assert_counts_are_right()


def test_a_responder_that_fails_in_a_group_is_logged_for_each_message(rush):
    rush.meet(seconds=10)
    rush.app.extensions["gateway"].responders["echo"] = Responder(lambda turn: 1 / 0, quick=True)
    with captured() as events:
        rush.together([(person, f"SM{person}") for person in range(PEOPLE)])
    failed = [event["message_id"] for event in named(events, "responder_failed")]
    assert sorted(failed) == sorted(["SM-ahead", *(f"SM{person}" for person in range(PEOPLE))])


def test_who_is_alone_is_looked_up_once(rush, monkeypatch):
    real, looks = finding.find_neighbours, []

    def looked_up(keys, moment):
        looks.append(keys)
        return real(keys, moment)

    monkeypatch.setattr(finding, "find_neighbours", looked_up)
    for seconds in (0, 10, 1000):  # first, along, and rolled over
        rush.clock.tick(seconds)
        rush.say(0, f"SM-{seconds}")
    assert len(looks) == 3
    assert [rush.stored(f"SM-{seconds}")["decision"]["rule"] for seconds in (0, 10, 1000)] == [
        "first_message", "within_threshold", "past_threshold"
    ]  # fmt: skip


def test_who_is_alone_is_looked_up_again_where_somebody_was_faster(rush, make_app, monkeypatch):
    real, other_process = sessions.close_each, Twilio(make_app(reply={"responder": "echo"}).test_client())

    def beaten(*given, **named):
        monkeypatch.setattr(sessions, "close_each", real)
        assert other_process.sms(From=number(0), MessageSid="SM-faster").status_code == 200
        return real(*given, **named)

    rush.say(0, "SM-before")
    rush.clock.tick(1000)
    monkeypatch.setattr(sessions, "close_each", beaten)
    rush.say(0, "SM-slower")
    assert rush.stored("SM-slower")["session_id"] == rush.stored("SM-faster")["session_id"]
    assert mongoengine.get_db().sessions.count_documents({}) == 2


def test_with_mongodb_away_the_whole_group_is_kept_and_who_comes_next_waits_for_nothing(rush, monkeypatch):
    rush.meet(seconds=10)
    asked = []

    def away(*_):
        asked.append(connection.breaker.is_open)
        raise StoreUnavailable("gone")

    monkeypatch.setattr(connection.breaker, "_probe", away)
    for finder in ("find_neighbours", "find_newest"):
        monkeypatch.setattr(finding, finder, away)
    rush.together([(person, f"SM{person}") for person in range(PEOPLE)])
    assert {record.key for record in rush.app.extensions["gateway"].spool.oldest(99)} == {
        "SM-ahead", *(f"SM{person}" for person in range(PEOPLE))
    }  # fmt: skip
    # Only who led the first group asked MongoDB at all.
    assert asked.count(False) == 1
    connection.breaker.reset()


def test_that_mongodb_is_away_is_known_before_another_group_begins(rush, monkeypatch):
    real, known = group_commit._commit, []

    def commit(runtime, group):
        try:
            return real(runtime, group)
        finally:
            known.append(connection.breaker.is_open)

    def away(*_):
        raise StoreUnavailable("gone")

    monkeypatch.setattr(group_commit, "_commit", commit)
    monkeypatch.setattr(connection.breaker, "_probe", away)
    monkeypatch.setattr(finding, "find_neighbours", away)
    rush.say(0, "SM0")
    assert known == [True]
    connection.breaker.reset()


def test_who_has_talked_for_hours_goes_on_all_the_same(rush):
    rush.meet()
    for _ in range(20):
        rush.clock.tick(299)
        rush.say(0, rush.twilio.sid())
    assert mongoengine.get_db().sessions.count_documents({}) == PEOPLE
    rush.clock.tick(301)
    rush.say(0, "SM-over")
    assert rush.stored("SM-over")["decision"]["kind"] == "rolled_over"
