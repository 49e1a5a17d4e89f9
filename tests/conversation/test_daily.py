"""The counts of days say what is stored, whatever came late, changed since, or was counted before."""

import random
from collections import Counter
from datetime import timedelta

import mongoengine
import pytest
from bson import ObjectId

from gateway.conversation import daily
from gateway.core.daily import DAY, day_of
from gateway.store import analytics
from tests.conftest import TEN

DAY_ONE = day_of(TEN)


@pytest.fixture
def runtime(app):
    return app.extensions["gateway"]


@pytest.fixture
def count(runtime, clock):
    """Let a worker's minute pass."""

    def counted(minutes=2):
        clock.tick(60 * minutes)
        return daily.count(runtime)

    return counted


def days(**filters):
    found = analytics.tallies(DAY_ONE - 30 * DAY, DAY_ONE + 30 * DAY, None, **filters)
    result = {}
    for one in found:
        result.setdefault(one.day, []).append(one.tally)
    return result


def inbound(day=DAY_ONE):
    return sum(tally.inbound for tally in days().get(day, ()))


def message(number, at, *, stored=None, **more):
    return {
        "_id": f"SM{number}", "session_id": ObjectId(), "channel_id": "sms:1", "communication_type": "sms",
        "direction": "inbound", "sender": "contact", "createdAt": at, "storedAt": stored or at,
    } | more  # fmt: skip


def test_what_was_said_and_decided_is_counted_by_day_and_channel(twilio, count, clock):
    twilio.sms()
    clock.move_to(minutes=20)
    twilio.sms()
    twilio.whatsapp()
    assert count() == 1
    (sms,) = days(communication_type="sms")[DAY_ONE]
    assert (sms.inbound, sms.bot, sms.sessions) == (2, 2, 2)
    assert sms.decisions == {"created": 1, "rolled_over": 1}
    assert sms.hours[10] == 2
    assert sms.bot_times.total() == 2
    (whatsapp,) = days(communication_type="whatsapp")[DAY_ONE]
    assert (whatsapp.inbound, whatsapp.sessions) == (1, 1)


def test_the_counts_are_those_of_a_plain_loop(db, count, clock):
    chance, stored = random.Random(7), []
    for number in range(400):
        at = DAY_ONE - chance.randrange(12) * DAY + timedelta(seconds=chance.randrange(86_400))
        sender = chance.choice(["contact", "ai", "agent"])
        stored.append(
            message(
                number, at, stored=TEN, sender=sender, direction="inbound" if sender == "contact" else "outbound",
                channel_id=f"sms:{chance.randrange(3)}", status=chance.choice(["delivered", "failed"]),
            )
        )  # fmt: skip
    db.messages.insert_many(stored)
    count()
    expected = Counter((day_of(one["createdAt"]), one["sender"]) for one in stored)
    for day, tallies in days().items():
        for sender, name in (("contact", "inbound"), ("ai", "bot"), ("agent", "human")):
            assert sum(getattr(tally, name) for tally in tallies) == expected.pop((day, sender), 0)
    assert not expected
    failed = sum(tally.statuses["failed"] for tallies in days().values() for tally in tallies)
    assert failed == sum(one["status"] == "failed" and one["sender"] != "contact" for one in stored)


def test_what_arrives_late_changes_the_day_it_belongs_to(db, count, clock):
    db.messages.insert_one(message(1, TEN))
    count()
    long_ago = DAY_ONE - 20 * DAY
    db.messages.insert_one(message(2, long_ago + timedelta(hours=3), stored=clock.now()))
    assert inbound(long_ago) == 0
    assert count() > 0
    assert (inbound(long_ago), inbound()) == (1, 1)


def test_counting_twice_counts_nothing_twice(db, count):
    db.messages.insert_one(message(1, TEN))
    for _ in range(3):
        count(minutes=10)
    assert inbound() == 1


def test_a_status_that_comes_later_is_counted(db, count):
    db.messages.insert_one(message(1, TEN, sender="ai", direction="outbound", status="sent"))
    count()
    db.messages.update_one({"_id": "SM1"}, {"$set": {"status": "undelivered", "error_code": "30003"}})
    count(minutes=10)
    (tally,) = days()[DAY_ONE]
    assert (tally.statuses, tally.errors) == ({"undelivered": 1}, {"30003": 1})


def test_a_channel_whose_messages_are_gone_is_counted_no_more(db, count):
    db.messages.insert_many([message(1, TEN), message(2, TEN, channel_id="sms:2")])
    count()
    db.messages.delete_one({"_id": "SM2"})
    count(minutes=10)
    assert inbound() == 1


def test_where_old_conversations_are_deleted_their_counts_stay(make_app, clock):
    runtime = make_app(retention={"days": 5}).extensions["gateway"]
    db = mongoengine.get_db()
    old = DAY_ONE - 10 * DAY
    db.messages.insert_many([message(1, old), message(2, old)])
    daily.count(runtime)
    db.messages.delete_many({})
    db.messages.insert_one(message(3, old, stored=clock.now()))
    clock.tick(120)
    daily.count(runtime)
    assert inbound(old) == 2


def test_one_worker_counts_at_a_time_and_once_a_minute(db, runtime, clock):
    db.messages.insert_one(message(1, TEN))
    assert daily.count(runtime) == 1
    db.messages.insert_one(message(2, TEN))
    assert daily.count(runtime) == 0
    clock.tick(61)
    assert daily.count(runtime) == 1


def test_what_a_stopped_worker_left_the_next_one_counts(db, runtime, clock):
    db.messages.insert_many(message(number, TEN - number * DAY) for number in range(5))
    stopping = iter([False, False, True])
    assert daily.count(runtime, lambda: next(stopping)) == 2
    assert analytics.counted().waiting == 3
    assert (inbound(), inbound(DAY_ONE - 4 * DAY)) == (1, 0)
    assert daily.count(runtime) >= 3
    assert inbound(DAY_ONE - 4 * DAY) == 1
    assert analytics.counted().waiting == 0


def test_a_session_that_runs_over_midnight_began_once(db, count, clock):
    session_id = ObjectId()
    late = DAY_ONE + DAY - timedelta(minutes=1)
    clock.moment = late + timedelta(minutes=5)
    session = {"_id": session_id, "channel_id": "sms:1", "communication_type": "sms", "first_message_at": late}
    db.sessions.insert_one(session)
    two = [late, late + timedelta(minutes=2)]
    db.messages.insert_many(message(number, at, session_id=session_id) for number, at in enumerate(two))
    count()
    (first,), (second,) = days()[DAY_ONE], days()[DAY_ONE + DAY]
    assert (first.sessions, second.sessions) == (1, 0)


def test_every_query_has_its_index(db, count):
    db.messages.insert_many(message(number, TEN + timedelta(seconds=number)) for number in range(50))
    count()
    within = {"createdAt": analytics._within(DAY_ONE)}
    for found, index in (
        (db.messages.find(within).sort("createdAt", 1), "happened"),
        (db.messages.find({"storedAt": {"$gte": TEN}}), "stored"),
        (
            db.daily_counts.find({"day": {"$gte": DAY_ONE}, "$and": [{"channel_id": {"$in": ["sms:1"]}}]}).sort(
                "day", 1
            ),
            "day",
        ),
    ):
        plan = str(found.explain()["queryPlanner"]["winningPlan"])
        assert f"'indexName': '{index}'" in plan
        assert "'stage': 'SORT'" not in plan
