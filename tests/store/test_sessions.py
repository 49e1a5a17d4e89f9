"""Each write of the session finder alone, against a real MongoDB: what it refuses is what keeps racers apart."""

from datetime import timedelta

import mongoengine
import pytest

from gateway.core.sessions import Anchor
from gateway.store import connection, finding, sessions
from tests.conftest import TEN

KEY = "sms|+15017122661|+15558675310"


@pytest.fixture(autouse=True)
def connected(make_settings):
    connection.connect(make_settings())
    connection.create_indexes()


def opened(*, slot="first", keys=(KEY,), open_keys=(KEY,), at=TEN):
    new = sessions.NewSession(
        id=sessions.new_id(),
        keys=keys,
        open_keys=open_keys,
        slot=slot,
        channel_id="sms",
        communication_type="sms",
        title="SMS from +15558675310",
        metadata={"firstMessageAt": at},
        first_message_at=at,
        now=at,
        opening={},
        closed_at=None if open_keys else at,
    )
    return new.id if sessions.open_session(new) else None


def close(session_id, reason, at=TEN):
    mongoengine.get_db().sessions.update_one(
        {"_id": sessions.ObjectId(session_id)},
        {"$set": {"status": "closed", "closed_reason": reason, "closed_at": at}, "$unset": {"open_keys": ""}},
    )


def touch(session_id, seconds=1, **changes):
    return sessions.Touch(session_id, TEN + timedelta(seconds=seconds), TEN, **changes)


def count(session_id):
    return mongoengine.get_db().sessions.find_one({"_id": sessions.ObjectId(session_id)})["message_count"]


def test_a_second_open_session_of_a_key_is_refused():
    assert opened()
    assert opened(slot="second") is None


def test_a_second_session_in_one_slot_is_refused_even_if_closed():
    assert opened()
    assert opened(open_keys=()) is None


def test_one_of_two_keys_is_enough_to_be_refused():
    assert opened(keys=("a", "b"), open_keys=("a", "b"))
    assert opened(slot="second", keys=("b", "c"), open_keys=("b", "c")) is None


def test_a_closed_session_leaves_its_key_to_the_next():
    close(opened(), "idle")
    assert opened(slot="second")


def test_closing_for_idleness_refuses_a_session_that_had_a_message_since_it_was_seen():
    session = opened()
    seen = finding.get(session)
    sessions.touch([touch(session)])
    assert not sessions.close_idle(seen, TEN, TEN)
    assert sessions.close_idle(finding.get(session), TEN, TEN)


def test_a_touch_refuses_a_closed_session_and_counts_nothing():
    session = opened()
    close(session, "idle")
    assert sessions.touch([touch(session)]) == {session}
    assert count(session) == 0


def test_of_many_touches_those_are_told_whose_session_is_open_no_more_or_gone_and_nothing_is_made():
    ids = [opened(slot=str(number), keys=(str(number),), open_keys=(str(number),)) for number in range(6)]
    sessions.touch([touch(ids[1], seconds=100)])
    close(ids[1], "idle")
    close(ids[3], "operator")
    missing = sessions.new_id()
    assert sessions.touch([touch(one) for one in (*ids, missing)]) == {ids[1], ids[3], missing}
    assert [count(one) for one in ids] == [1, 1, 1, 0, 1, 1]
    assert finding.get(missing) is None
    assert sessions.touch([touch(one) for one in (ids[0], ids[0], ids[2])]) == set()
    assert [count(one) for one in ids] == [3, 1, 2, 0, 1, 1]


@pytest.mark.parametrize(("reason", "taken"), [("idle", True), ("operator", False)])
def test_a_late_touch_counts_in_an_idle_session_but_not_in_one_a_person_closed(reason, taken):
    session = opened()
    close(session, reason)
    assert sessions.touch_closed(touch(session)) is taken
    assert count(session) == int(taken)


def test_a_late_touch_from_before_a_person_closed_still_counts():
    session = opened()
    close(session, "operator", TEN + timedelta(seconds=5))
    assert sessions.touch_closed(touch(session, seconds=5))


def test_an_older_touch_never_moves_the_last_message_back():
    session = opened()
    sessions.touch([touch(session, seconds=10)])
    sessions.touch([touch(session, seconds=-10)])
    found = finding.get(session)
    assert found.last_message_at == TEN + timedelta(seconds=10)
    assert found.first_message_at == TEN - timedelta(seconds=10)


def test_only_the_newest_idle_session_opens_again():
    older, newer = opened(), None
    close(older, "idle")
    newer = opened(slot="second", at=TEN + timedelta(minutes=10))
    close(newer, "idle")
    assert not sessions.reopen_idle(older, [KEY], TEN)
    assert sessions.reopen_idle(newer, [KEY], TEN)


def test_a_session_a_person_closed_does_not_open_by_itself():
    session = opened()
    close(session, "operator")
    assert not sessions.reopen_idle(session, [KEY], TEN)


def test_the_end_of_a_call_counts_as_activity_once():
    session = opened()
    sessions.touch([touch(session, call="CA1", call_until=TEN)])
    assert sessions.end_call(session, "CA1", TEN + timedelta(minutes=20), TEN)
    assert not sessions.end_call(session, "CA1", TEN + timedelta(minutes=30), TEN)
    assert finding.get(session).last_message_at == TEN + timedelta(minutes=20)


def test_finding_a_sender_uses_the_timeline_index():
    opened()
    query = {"keys": {"$in": [KEY]}}
    plan = mongoengine.get_db().sessions.find(query).sort("first_message_at", -1).limit(1).explain()
    assert "sender_timeline" in str(plan["queryPlanner"]["winningPlan"])
    assert "SORT'" not in str(plan["queryPlanner"]["winningPlan"])


def test_open_sessions_are_read_in_small_parts():
    for number in range(700):
        opened(slot=str(number), keys=(str(number),), open_keys=(str(number),))
    database = mongoengine.get_db()
    database.command("profile", 2)
    database.sessions.update_many({}, {"$set": {"last_inbound_at": TEN}})
    found = finding.open_and_older(Anchor.INBOUND, TEN + timedelta(days=1), reopened=TEN)
    assert len(list(found)) == 700
    database.command("profile", 0)
    parts = [row["nreturned"] for row in database["system.profile"].find({"nreturned": {"$gt": 0}})]
    database.drop_collection("system.profile")
    assert max(parts) <= 500
    assert sum(parts) >= 700
