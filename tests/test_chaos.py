"""The reliability bench: one fault of it, so that it stays alive, and its judge on data that is broken on purpose."""

from datetime import UTC, datetime, timedelta

import pymongo
import pytest
from bson import ObjectId

from benchmarks.reliability import report, trial
from benchmarks.reliability.faults import FAULTS
from benchmarks.reliability.judge import judge
from benchmarks.reliability.load import Delivery
from benchmarks.reliability.oracle import OURS, Event, check
from benchmarks.reliability.plan import Load, write

THRESHOLD = 4000
BEGIN = datetime(2026, 3, 1, 10, tzinfo=UTC)


@pytest.mark.timeout(180)
def test_a_killed_web_process_costs_connections_in_flight_and_nothing_else():
    outcome = trial.run(FAULTS["web-process"], Load(seconds=5, rate=30, senders=60))
    figures = report.figures(outcome)
    assert figures["ok"], report.table([figures])
    assert figures["sent"] == 150
    assert figures["acknowledged"] >= 140
    assert [name for name, _ in figures["marks"]].count("web process killed") == 2


def test_a_load_delivers_each_webhook_as_often_as_asked_within_the_spread():
    sendings = write(Load(seconds=2, rate=50, senders=10, copies=3, spread=1), 8080)
    assert len(sendings) == 300
    assert len({one.sid for one in sendings}) == 100
    assert [one.at for one in sendings] == sorted(one.at for one in sendings)
    assert 2 < sendings[-1].at <= 3


class Stored:
    """Three messages of one person in two sessions, all right, and the deliveries that brought them."""

    def __init__(self, db):
        self.db, self.sessions = db, [ObjectId(), ObjectId()]
        self.deliveries = []
        for number, (seconds, session, kind) in enumerate(
            [(0, 0, "created"), (4, 0, "reused"), (8.001, 1, "rolled_over")]
        ):
            sid = f"SM{number:032x}"
            self.insert(sid, BEGIN + timedelta(seconds=seconds), self.sessions[session], kind)
            sent = (BEGIN + timedelta(seconds=seconds)).timestamp()
            self.deliveries.append(Delivery(sid, "+15550000001", sent, sent + 0.02, "200", True, 0.0))
        for session, count, status in zip(self.sessions, (4, 2), ("closed", "active"), strict=True):
            db.sessions.insert_one({"_id": session, "keys": ["key"], "status": status, "message_count": count})

    def insert(self, sid, at, session, kind):
        shared = {"session_id": session, "createdAt": at, "content": sid, "provider_sid": sid}
        decision = {"kind": kind}
        self.db.messages.insert_one(shared | {"_id": sid, "direction": "inbound", "decision": decision})
        self.db.messages.insert_one(shared | {"_id": f"re:{sid}", "direction": "outbound", "provider_sid": None})

    def faults(self, sends=None):
        found = judge(self.db, self.deliveries, THRESHOLD, {} if sends is None else sends).faults
        return {name: count for name, count in found.items() if count}


class TestTheJudge:
    @pytest.fixture
    def stored(self, mongo):
        with pymongo.MongoClient(mongo.uri, tz_aware=True) as client:
            client.drop_database("judged")
            yield Stored(client["judged"])
            client.drop_database("judged")

    def sid(self, number):
        return f"SM{number:032x}"

    def test_finds_nothing_where_all_is_well(self, stored):
        assert stored.faults() == {}

    def test_finds_a_lost_message(self, stored):
        stored.db.messages.delete_many({"content": self.sid(1)})
        stored.db.sessions.update_one({"_id": stored.sessions[0]}, {"$inc": {"message_count": -2}})
        assert stored.faults()["lost"] == 1

    def test_forgives_what_was_never_acknowledged(self, stored):
        stored.db.messages.delete_many({"content": self.sid(2)})
        stored.db.sessions.delete_one({"_id": stored.sessions[1]})
        stored.deliveries[2] = stored.deliveries[2]._replace(outcome="503")
        assert stored.faults() == {}

    def test_finds_a_double(self, stored):
        first = stored.db.messages.find_one({"_id": self.sid(0)})
        stored.db.messages.insert_one(first | {"_id": "another", "provider_sid": self.sid(0)})
        assert stored.faults()["twice"] == 1

    def test_finds_a_wrong_count(self, stored):
        stored.db.sessions.update_one({"_id": stored.sessions[1]}, {"$inc": {"message_count": 1}})
        assert stored.faults() == {"miscounted": 1}

    @pytest.mark.parametrize(("number", "session", "kind"), [(1, 1, "rolled_over"), (2, 0, "reused")])
    def test_finds_a_message_in_the_wrong_session(self, stored, number, session, kind):
        where = {"$set": {"session_id": stored.sessions[session]}}
        stored.db.messages.update_many({"content": self.sid(number)}, where)
        stored.db.messages.update_one({"_id": self.sid(number)}, {"$set": {"decision.kind": kind}})
        assert stored.faults()["wrong"] >= 1

    def test_finds_a_decision_of_the_wrong_kind(self, stored):
        stored.db.messages.update_one({"_id": self.sid(2)}, {"$set": {"decision.kind": "created"}})
        assert stored.faults() == {"wrong": 1}

    def test_lets_a_webhook_that_timed_out_be_taken_whenever_its_turn_came(self, stored):
        stored.db.messages.update_many({"content": self.sid(2)}, {"$set": {"createdAt": BEGIN + timedelta(seconds=30)}})
        stored.deliveries[2] = stored.deliveries[2]._replace(outcome="timed out", said=False)
        assert "misdated" not in stored.faults()

    def test_finds_a_message_that_was_dated_when_it_was_replayed(self, stored):
        stored.db.messages.update_many({"content": self.sid(2)}, {"$set": {"createdAt": BEGIN + timedelta(seconds=30)}})
        assert stored.faults() == {"misdated": 1}

    def test_finds_two_open_sessions_of_one_sender(self, stored):
        stored.db.sessions.update_many({}, {"$set": {"status": "active"}})
        assert stored.faults() == {"rivals": 1}

    def test_finds_a_message_that_was_answered_twice_or_never(self, stored):
        stored.deliveries[0] = stored.deliveries[0]._replace(said=False)
        assert stored.faults(sends={self.sid(1): 1}) == {"unanswered": 1, "answered_twice": 1}


class TestTheOracle:
    """`first` at 0 opens A; `near` at 3.9 s and `past` at 4.1 s overlap at the threshold, or do not."""

    FIRST = Event("first", 0, "A", "created", sent=0, done=10)
    PAST = Event("past", 4100, "B", "rolled_over", sent=4095, done=4110)

    @pytest.mark.parametrize(("done", "reordered"), [(4120, True), (4000, False)])
    def test_another_order_counts_only_among_messages_in_flight_together(self, done, reordered):
        near = Event("near", 3900, "A", "reused", sent=3890, done=done)
        found = check([self.FIRST, near, self.PAST], THRESHOLD)
        assert found.reordered is reordered
        assert [event.id for event in found.misfiled] == ([] if reordered else ["past"])

    def test_an_answer_that_came_by_itself_keeps_its_session_alive(self):
        answer = Event("answer", 3000, "A", OURS, sent=3000, done=3100)
        later = Event("later", 6000, "A", "reused", sent=5990, done=6010)
        assert check([self.FIRST, answer, later], THRESHOLD).misfiled == ()
        assert check([self.FIRST, later], THRESHOLD).misfiled == (later,)

    def test_a_late_message_that_reaches_the_next_session_joins_it(self):
        late = Event("late", 20_000, "B", "reused", sent=19_990, done=30_000)
        opened = Event("opened", 21_000, "B", "rolled_over", sent=20_990, done=21_010)
        assert check([self.FIRST, late, opened], THRESHOLD).reordered
