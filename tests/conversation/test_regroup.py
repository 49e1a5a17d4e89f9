"""Split, merge, undo: which messages are where afterwards, what is open, and what the sessions count."""

from datetime import timedelta

import pytest

from gateway.conversation import regroup, upkeep
from gateway.conversation.forget import forget
from gateway.conversation.regroup import NotThere, merge, split, undo
from gateway.conversation.regrouping import CannotRegroup
from gateway.conversation.retention import Order, clean
from gateway.core.replies import Reply
from gateway.store import messages
from tests.conftest import TEN, Twilio
from tests.conversation.conftest import Person
from tests.conversation.worker import Worker, slow_responder


def sid(number):
    return f"SM{number:032x}"


@pytest.fixture
def ada(app, clock):
    return Person(Twilio(app.test_client()), clock, "sms")


@pytest.fixture
def runtime(app):
    return app.extensions["gateway"]


@pytest.fixture
def talked(ada):
    """One session: four messages and their answers, a minute apart."""
    for minute in range(4):
        ada.say(minutes=minute, sid=sid(minute), body=f"Number {minute}")


@pytest.fixture
def rolled(ada):
    """Two sessions: messages at 0 and 1, and half an hour later at 30 and 31."""
    for number, minute in enumerate((0, 1, 30, 31)):
        ada.say(minutes=minute, sid=sid(number), body=f"Number {number}")


def newest(db):
    return str(db.sessions.find_one({"merged_into": None}, sort=[("first_message_at", -1)])["_id"])


def drawn(db):
    """Draw each session that is shown: its messages, and what it says of itself."""
    shown = []
    for session in db.sessions.find({"merged_into": {"$exists": False}}, sort=[("first_message_at", 1)]):
        mine = sorted(m["_id"] for m in db.messages.find({"session_id": session["_id"]}))
        times = [
            session.get(name) and (session[name] - TEN).total_seconds() / 60
            for name in ("first_message_at", "last_message_at", "last_inbound_at")
        ]
        shown.append((mine, session["message_count"], session["status"], session.get("closed_reason"), times))
    return shown


def whole(db):
    """Give everything that a round trip must bring back as it was."""
    aside = ("updatedAt", "merged_into", "merged_at", "absorbed")
    sessions = [
        {name: value for name, value in session.items() if name not in aside}
        for session in db.sessions.find({"merged_into": {"$exists": False}}, sort=[("_id", 1)])
    ]
    messages = [
        {name: value for name, value in message.items() if (name, value) != ("moved", [])}
        for message in db.messages.find({}, sort=[("_id", 1)])
    ]
    return sessions, messages, list(db.outbox.find({}, sort=[("_id", 1)]))


def both(*numbers):
    return sorted([sid(number) for number in numbers] + [f"re:{sid(number)}" for number in numbers])


class TestSplit:
    def test_moves_what_follows_to_a_new_session_that_is_the_open_one(self, db, runtime, talked):
        done = split(runtime, newest(db), sid(2), by="ada")
        assert (done.kind, done.state, done.by) == ("split", "done", "ada")
        assert drawn(db) == [
            (both(0, 1), 4, "closed", "split", [0, 1, 1]),
            (both(2, 3), 4, "active", None, [2, 3, 3]),
        ]

    def test_the_new_session_is_of_the_same_sender_channel_and_contact_and_names_the_old_one(self, db, runtime, talked):
        before = db.sessions.find_one()
        done = split(runtime, str(before["_id"]), sid(2), by="ada")
        old, new = (db.sessions.find_one({"_id": type(before["_id"])(one)}) for one in (done.earlier, done.later))
        for name in ("keys", "channel_id", "communication_type", "contact_id", "title"):
            assert new[name] == before[name] == old[name]
        assert new["previous_session_id"] == old["_id"]
        assert new["open_keys"] == before["open_keys"]
        assert "open_keys" not in old
        assert new["metadata"] == before["metadata"] | {"firstMessageAt": TEN + timedelta(minutes=2)}

    def test_what_comes_next_goes_on_in_the_new_session(self, db, runtime, ada, talked):
        split(runtime, newest(db), sid(2), by="ada")
        ada.say(minutes=4, sid=sid(4))
        assert drawn(db)[1][:2] == (both(2, 3, 4), 6)
        assert db.messages.find_one({"_id": sid(4)})["decision"]["rule"] == "within_threshold"

    def test_a_late_message_from_before_belongs_to_the_old_session(self, db, runtime, ada, talked):
        split(runtime, newest(db), sid(2), by="ada")
        ada.say(minutes=0.5, sid=sid(9))
        assert drawn(db)[0][:2] == (both(0, 1, 9), 6)

    def test_decisions_stay_and_messages_say_who_moved_them(self, db, runtime, talked):
        decided = {m["_id"]: m.get("decision") for m in db.messages.find()}
        done = split(runtime, newest(db), sid(2), by="ada")
        assert {m["_id"]: m.get("decision") for m in db.messages.find()} == decided
        moved = {
            m["_id"]: [(one["id"], one["by"]) for one in m["moved"]] for m in db.messages.find({"moved": {"$ne": None}})
        }
        assert moved == {one: [(done.id, "ada")] for one in both(2, 3)}

    def test_undone_all_is_as_before(self, db, runtime, talked):
        before = whole(db)
        done = split(runtime, newest(db), sid(2), by="ada")
        assert undo(runtime, done.id, by="bob").state == "undone"
        assert whole(db) == before

    def test_undone_the_new_session_leads_to_the_old_one(self, db, runtime, talked):
        done = split(runtime, newest(db), sid(2), by="ada")
        undo(runtime, done.id, by="bob")
        gone = db.sessions.find_one({"merged_into": {"$exists": True}})
        assert (str(gone["_id"]), str(gone["merged_into"]), gone["closed_reason"]) == (
            done.later,
            done.earlier,
            "merged",
        )
        assert not {"keys", "open_keys", "slot", "communication_type", "status"} & set(gone)

    def test_undone_what_came_since_goes_to_the_old_session_too(self, db, runtime, ada, talked):
        done = split(runtime, newest(db), sid(2), by="ada")
        ada.say(minutes=4, sid=sid(4))
        undo(runtime, done.id, by="bob")
        assert drawn(db) == [(both(0, 1, 2, 3, 4), 10, "active", None, [0, 4, 4])]

    def test_a_session_a_person_closed_stays_closed_for_good(self, db, runtime, ada, talked):
        db.sessions.update_one(
            {},
            {
                "$set": {"status": "closed", "closed_reason": "operator", "closed_at": runtime.clock.now()},
                "$unset": {"open_keys": ""},
            },
        )
        done = split(runtime, newest(db), sid(2), by="ada")
        assert [shown[2:4] for shown in drawn(db)] == [("closed", "split"), ("closed", "operator")]
        ada.say(minutes=4, sid=sid(4))
        assert len(drawn(db)) == 3
        undo(runtime, done.id, by="ada")
        assert [shown[2:4] for shown in drawn(db)] == [("closed", "operator"), ("active", None)]
        follower = db.sessions.find_one({"status": "active"})
        assert str(follower["previous_session_id"]) == done.earlier

    def test_the_session_that_follows_is_linked_to_the_new_one_and_back(self, db, runtime, ada, talked):
        first = newest(db)
        ada.say(minutes=30, sid=sid(30))
        done = split(runtime, first, sid(2), by="ada")
        follower = db.sessions.find_one({"status": "active"})
        assert str(follower["previous_session_id"]) == done.later
        assert [shown[2:4] for shown in drawn(db)] == [("closed", "split"), ("closed", "idle"), ("active", None)]
        undo(runtime, done.id, by="ada")
        assert str(db.sessions.find_one({"status": "active"})["previous_session_id"]) == first

    def test_the_same_form_twice_splits_once(self, db, runtime, talked):
        first = newest(db)
        one, two = (split(runtime, first, sid(2), by="ada", token="a" * 32) for _ in range(2))
        assert one.later == two.later
        assert db.sessions.count_documents({}) == 2

    @pytest.mark.parametrize(
        ("number", "why"), [(0, "nothing to split off"), (7, "There is no message")], ids=["first", "unknown"]
    )
    def test_it_is_refused_with_a_reason(self, db, runtime, talked, number, why):
        with pytest.raises((CannotRegroup, NotThere), match=why):
            split(runtime, newest(db), sid(number), by="ada")
        assert db.regroupings.count_documents({}) == 0

    def test_it_is_refused_at_an_answer_and_at_a_message_that_is_elsewhere_by_now(self, db, runtime, talked):
        first = newest(db)
        with pytest.raises(CannotRegroup, match="came in"):
            split(runtime, first, f"re:{sid(2)}", by="ada")
        split(runtime, first, sid(2), by="ada")
        with pytest.raises(CannotRegroup, match=r"in session .* by now"):
            split(runtime, first, sid(2), by="bob")

    def test_it_is_written_into_the_audit_of_both_sessions(self, db, runtime, talked):
        done = split(runtime, newest(db), sid(2), by="ada")
        undo(runtime, done.id, by="bob")
        entries = [(str(e["session_id"]), e["by"], e["action"]) for e in db.audit.find({}, sort=[("_id", 1)])]
        pair = (done.earlier, done.later)
        assert sorted(entries) == sorted(
            [(one, "ada", "session_split") for one in pair] + [(one, "bob", "regrouping_undone") for one in pair]
        )


class TestMerge:
    def test_the_previous_session_goes_on_with_both(self, db, runtime, rolled):
        later, earlier = newest(db), str(db.sessions.find_one({"previous_session_id": None})["_id"])
        done = merge(runtime, later, by="ada")
        assert (done.earlier, done.later) == (earlier, later)
        assert drawn(db) == [(both(0, 1, 2, 3), 8, "active", None, [0, 31, 31])]
        assert "open_keys" in db.sessions.find_one({"status": "active"})

    def test_undone_all_is_as_before(self, db, runtime, rolled):
        before = whole(db)
        undo(runtime, merge(runtime, newest(db), by="ada").id, by="ada")
        assert whole(db) == before

    def test_what_comes_next_goes_on_in_it_and_after_an_undo_in_the_later_one(self, db, runtime, ada, rolled):
        done = merge(runtime, newest(db), by="ada")
        ada.say(minutes=32, sid=sid(4))
        assert drawn(db)[0][:2] == (both(0, 1, 2, 3, 4), 10)
        undo(runtime, done.id, by="ada")
        assert drawn(db) == [
            (both(0, 1), 4, "closed", "idle", [0, 1, 1]),
            (both(2, 3, 4), 6, "active", None, [30, 32, 32]),
        ]

    def test_a_late_message_from_before_stays_with_the_earlier_one_after_an_undo(self, db, runtime, ada, rolled):
        done = merge(runtime, newest(db), by="ada")
        ada.say(minutes=2, sid=sid(4))
        undo(runtime, done.id, by="ada")
        assert [shown[0] for shown in drawn(db)] == [both(0, 1, 4), both(2, 3)]

    def test_a_session_that_follows_is_linked_to_it_and_back(self, db, runtime, ada, rolled):
        later = newest(db)
        ada.say(minutes=60, sid=sid(60))
        done = merge(runtime, later, by="ada")
        assert str(db.sessions.find_one({"status": "active"})["previous_session_id"]) == done.earlier
        assert [shown[2:4] for shown in drawn(db)] == [("closed", "idle"), ("active", None)]
        undo(runtime, done.id, by="ada")
        assert str(db.sessions.find_one({"status": "active"})["previous_session_id"]) == later

    def test_after_it_was_rolled_over_the_undone_session_is_closed_beside_the_open_one(self, db, runtime, ada, rolled):
        done = merge(runtime, newest(db), by="ada")
        ada.say(minutes=60, sid=sid(60))
        undo(runtime, done.id, by="ada")
        assert [shown[2:4] for shown in drawn(db)] == [("closed", "idle"), ("closed", "idle"), ("active", None)]
        assert str(db.sessions.find_one({"status": "active"})["previous_session_id"]) == done.later

    def test_i2_of_two_that_were_open_the_earlier_one_is_idle_when_it_is_one_of_its_own_again(
        self, db, runtime, ada, rolled
    ):
        """With one session over all channels a person seen under two identities may have had one open for each."""
        other = {"status": "active", "keys": ["a", *db.sessions.find_one()["keys"]], "open_keys": ["a"]}
        gone = {"closed_reason": "", "closed_at": ""}
        db.sessions.update_one({"status": "closed"}, {"$set": other, "$unset": gone})
        later = db.sessions.find_one({"previous_session_id": {"$ne": None}})
        done = merge(runtime, str(later["_id"]), by="ada")
        (one,) = db.sessions.find({"merged_into": {"$exists": False}})
        assert (set(one["keys"]), one["open_keys"]) == ({"a", *later["keys"]}, later["open_keys"])
        undo(runtime, done.id, by="ada")
        assert [shown[2:4] for shown in drawn(db)] == [("closed", "idle"), ("active", None)]
        assert [one["keys"] for one in db.sessions.find({}, sort=[("_id", 1)])] == [other["keys"], later["keys"]]
        ada.say(minutes=32, sid=sid(4))
        assert drawn(db)[1][0] == both(2, 3, 4)

    def test_without_a_session_before_it_is_refused(self, db, runtime, talked):
        with pytest.raises(CannotRegroup, match="no session before"):
            merge(runtime, newest(db), by="ada")

    def test_three_merge_one_by_one_and_come_out_in_reverse_order(self, db, runtime, ada, rolled):
        ada.say(minutes=60, sid=sid(60))
        before = whole(db)
        one = merge(runtime, newest(db), by="ada")
        two = merge(runtime, newest(db), by="bob")
        assert [shown[0] for shown in drawn(db)] == [both(0, 1, 2, 3, 60)]
        with pytest.raises(CannotRegroup, match="by bob"):
            undo(runtime, one.id, by="ada")
        undo(runtime, two.id, by="ada")
        undo(runtime, one.id, by="ada")
        assert whole(db) == before

    def test_who_turned_the_bot_off_in_the_later_one_has_it_off_in_both(self, db, runtime, rolled):
        db.sessions.update_one({"status": "active"}, {"$set": {"bot_off": True}})
        merge(runtime, newest(db), by="ada")
        assert db.sessions.find_one({"status": "active"})["bot_off"] is True

    def test_somebody_limited_to_one_channel_learns_nothing_of_a_session_on_another(self, db, runtime, rolled):
        later = newest(db)
        db.sessions.update_one({"previous_session_id": None}, {"$set": {"channel_id": "secret"}})
        mine = [db.sessions.find_one({"status": "active"})["channel_id"]]
        with pytest.raises(CannotRegroup, match="no session before"):
            merge(runtime, later, by="ada", channels=mine)
        done = merge(runtime, later, by="root")
        for wanted in (["secret"], mine, []):
            with pytest.raises(NotThere):
                undo(runtime, done.id, by="ada", channels=wanted)


class TestWhatGoesTogether:
    def test_an_answer_given_later_stays_with_what_it_answers(self, db, runtime, talked):
        late = db.messages.find_one({"_id": f"re:{sid(1)}"}) | {"createdAt": TEN + timedelta(minutes=2.5)}
        db.messages.replace_one({"_id": late["_id"]}, late)
        split(runtime, newest(db), sid(2), by="ada")
        assert [shown[0] for shown in drawn(db)] == [both(0, 1), both(2, 3)]

    def test_what_waits_in_the_outbox_goes_with_its_message(self, db, runtime, talked):
        first = db.sessions.find_one()["_id"]
        for number in (1, 2):
            for name in (f"re:{sid(number)}", f"media:{sid(number)}"):
                db.outbox.insert_one({"_id": name, "about": sid(number), "session_id": first, "state": "waiting"})
        done = split(runtime, str(first), sid(2), by="ada")
        where = {row["_id"]: str(row["session_id"]) for row in db.outbox.find()}
        assert where == {
            f"re:{sid(1)}": done.earlier,
            f"media:{sid(1)}": done.earlier,
            f"re:{sid(2)}": done.later,
            f"media:{sid(2)}": done.later,
        }

    def test_i7_a_call_stays_in_one_session(self, db, runtime, app, clock):
        caller = Person(Twilio(app.test_client()), clock, "voice")
        caller.say(minutes=0, sid="CA" + "0" * 32)
        caller.say(minutes=2, sid="CA" + "1" * 32)
        turn = db.messages.find_one({"_id": f"CA{'0' * 32}:0"})
        for number in (1, 2):
            db.messages.insert_one(
                turn | {"_id": f"CA{'0' * 32}:{number}", "createdAt": TEN + timedelta(minutes=2 * number)}
            )
        recording = {"_id": "RE1", "createdAt": TEN + timedelta(minutes=3), "metadata": {"CallSid": "CA" + "0" * 32}}
        db.messages.insert_one(turn | recording)
        with pytest.raises(CannotRegroup, match="Split where the call began"):
            split(runtime, newest(db), f"CA{'0' * 32}:1", by="ada")
        split(runtime, newest(db), f"CA{'1' * 32}:0", by="ada")
        first = sorted([f"CA{'0' * 32}:{n}" for n in range(3)] + ["RE1"])
        assert [shown[0] for shown in drawn(db)] == [first, [f"CA{'1' * 32}:0"]]

    def test_i7_while_a_call_is_on_nothing_is_split_merged_or_undone(self, db, runtime, app, clock):
        caller = Person(Twilio(app.test_client()), clock, "voice")
        caller.say(minutes=0, sid="CA" + "0" * 32)
        caller.say(minutes=30, sid="CA" + "1" * 32)
        done = merge(runtime, newest(db), by="ada")
        clock.move_to(minutes=31)
        caller.twilio.call(CallSid="CA" + "2" * 32, From=caller.number, To=caller.ours)
        for attempt in (
            lambda: undo(runtime, done.id, by="ada"),
            lambda: split(runtime, newest(db), f"CA{'1' * 32}:0", by="ada"),
        ):
            with pytest.raises(CannotRegroup, match="A call is on"):
                attempt()
        assert db.regroupings.count_documents({"busy": {"$exists": True}}) == 0

    def test_the_end_of_a_call_is_still_activity_of_its_session(self, db, runtime, app, clock):
        caller = Person(Twilio(app.test_client()), clock, "voice")
        for minute, call in enumerate("01"):
            caller.say(minutes=minute * 2, sid="CA" + call * 32)
        line = {"From": caller.number, "To": caller.ours}
        clock.move_to(minutes=6)
        caller.twilio.call(CallSid="CA" + "2" * 32, **line)
        clock.move_to(minutes=9)
        caller.twilio.post(
            "/webhooks/voice/status",
            line | {"CallSid": "CA" + "2" * 32, "CallStatus": "completed", "SequenceNumber": "0"},
        )
        before = whole(db)
        done = split(runtime, newest(db), f"CA{'2' * 32}:0", by="ada")
        assert [shown[4] for shown in drawn(db)] == [[0, 2, 2], [6, 9, 9]]
        undo(runtime, done.id, by="ada")
        assert whole(db) == before


class TestWhatIsInFlight:
    def test_a_turn_stored_where_it_is_split_away_follows_and_is_counted_once(
        self, db, runtime, ada, talked, monkeypatch
    ):
        """The webhook found the session before the split, and stores and counts its message after it."""
        first, real = newest(db), messages.insert

        def split_first(turns):
            monkeypatch.setattr(messages, "insert", real)
            split(runtime, first, sid(2), by="ada")
            return real(turns)

        monkeypatch.setattr(messages, "insert", split_first)
        ada.say(minutes=4, sid=sid(4))
        assert drawn(db)[1] == (both(2, 3, 4), 6, "active", None, [2, 4, 4])

    @pytest.mark.parametrize("regrouping", ["split", "merge"])
    def test_a_turn_between_storing_and_counting_is_right_when_it_was_settled(
        self, db, runtime, ada, rolled, clock, monkeypatch, regrouping
    ):
        clock.move_to(minutes=35)
        upkeep.settle(runtime)  # so that what was stored before is looked at no more, but for the regrouping
        later, real = newest(db), messages.insert

        def regroup_then(turns):
            monkeypatch.setattr(messages, "insert", real)
            stored = real(turns)
            split(runtime, later, sid(3), by="ada") if regrouping == "split" else merge(runtime, later, by="ada")
            return stored

        monkeypatch.setattr(messages, "insert", regroup_then)
        ada.say(minutes=36, sid=sid(4))
        clock.tick(10)
        upkeep.settle(runtime)
        found = drawn(db)
        assert [(shown[0], shown[1]) for shown in found] == (
            [(both(0, 1), 4), (both(2), 2), (both(3, 4), 4)] if regrouping == "split" else [(both(0, 1, 2, 3, 4), 10)]
        )
        assert found[-1][2:] == ("active", None, [31 if regrouping == "split" else 0, 36, 36])

    def test_an_answer_stored_afterwards_where_its_question_was_follows(self, db, runtime, rolled, clock):
        later = db.sessions.find_one({"status": "active"})
        merge(runtime, str(later["_id"]), by="ada")
        answer = db.messages.find_one({"_id": f"re:{sid(3)}"})
        db.messages.insert_one(answer | {"_id": "re:late", "session_id": later["_id"], "storedAt": clock.now()})
        db.sessions.update_one({"_id": later["_id"]}, {"$inc": {"message_count": 1}})
        clock.tick(10)
        upkeep.settle(runtime)
        assert drawn(db)[0][1] == len(drawn(db)[0][0]) == 9

    def test_it_is_looked_for_a_quarter_of_an_hour_and_then_no_more(self, db, runtime, rolled, clock):
        merge(runtime, newest(db), by="ada")
        clock.tick(10)
        upkeep.settle(runtime)
        assert db.regroupings.count_documents({"unsettled": {"$exists": True}}) == 1
        clock.tick(1000)
        upkeep.settle(runtime)
        assert db.regroupings.count_documents({"unsettled": {"$exists": True}}) == 0
        assert regroup.settle(runtime) == 0


def test_a_session_that_was_adopted_is_split_too(db, runtime):
    """The Node application's messages have ids of MongoDB's own, and neither type nor what they answer."""
    session = db.sessions.insert_one(
        {"keys": ["sms|+1|+2"], "open_keys": ["sms|+1|+2"], "status": "active", "message_count": 4, "createdAt": TEN}
        | {"communication_type": "sms", "channel_id": "c", "last_message_at": TEN + timedelta(minutes=1)}
    ).inserted_id
    ids = []
    for number in range(4):
        at, direction = TEN + timedelta(minutes=number // 2), ("inbound", "outbound")[number % 2]
        message = {"session_id": session, "createdAt": at, "direction": direction, "channel_id": "c"}
        ids.append(db.messages.insert_one(message).inserted_id)
    done = split(runtime, str(session), str(ids[2]), by="ada")
    assert {str(m["_id"]): str(m["session_id"]) for m in db.messages.find()} == {
        str(one): done.earlier if number < 2 else done.later for number, one in enumerate(ids)
    }
    undo(runtime, done.id, by="ada")
    assert db.sessions.find_one({"_id": session})["message_count"] == 4


class TestAnswersThatTakeTheirTime:
    @pytest.fixture
    def worker(self, app, clock):
        return Worker(app, clock)

    def sessions_of(self, db, names):
        return [db.messages.find_one({"_id": name})["session_id"] for name in names]

    def test_each_message_that_waits_is_answered_in_the_session_it_is_in_by_then(self, db, runtime, app, ada, worker):
        with slow_responder(app, lambda turn: Reply(f"To {turn.content}")):
            for number in range(3):
                ada.say(seconds=number, sid=sid(number), body=f"Number {number}")
            done = split(worker.runtime, newest(db), sid(2), by="ada")
            worker.run(after=30)
        said = {m["content"]: str(m["session_id"]) for m in db.messages.find({"direction": "outbound"})}
        assert said == {"To Number 0\nNumber 1": done.earlier, "To Number 2": done.later}
        assert [shown[1] for shown in drawn(db)] == [3, 2]

    def test_what_was_being_thought_about_is_thought_about_anew(self, db, runtime, app, ada, worker, clock):
        splits = []

        def answer(turn):
            if not splits:
                splits.append(split(worker.runtime, newest(db), sid(1), by="ada"))
            return Reply(f"To {turn.content}")

        with slow_responder(app, answer):
            for number in range(2):
                ada.say(seconds=number, sid=sid(number), body=f"Number {number}")
            for _ in range(8):
                worker.run(after=10)
                upkeep.settle(worker.runtime)
        said = {m["content"]: str(m["session_id"]) for m in db.messages.find({"direction": "outbound"})}
        assert said == {"To Number 0": splits[0].earlier, "To Number 1": splits[0].later}
        assert [shown[1] for shown in drawn(db)] == [2, 2]


class TestWhatIsDeleted:
    def test_retention_takes_the_record_of_a_merged_session_and_its_regroupings_too(self, db, runtime, rolled, clock):
        merge(runtime, newest(db), by="ada")
        clock.tick(86_400)
        order = Order(clock.now() - timedelta(hours=1), wait=lambda seconds: clock.tick(seconds))
        clean(runtime, order)
        assert [db[name].count_documents({}) for name in ("sessions", "messages", "regroupings")] == [0, 0, 0]

    def test_who_is_forgotten_is_forgotten_in_merged_sessions_too(self, db, runtime, rolled, clock):
        merge(runtime, newest(db), by="ada")
        split(runtime, newest(db), sid(1), by="ada")
        forget(runtime, "+15558675310", wait=lambda seconds: clock.tick(seconds))
        assert [db[name].count_documents({}) for name in ("sessions", "messages", "regroupings")] == [0, 0, 0]

    def test_what_is_partly_deleted_cannot_be_undone(self, db, runtime, rolled):
        done = merge(runtime, newest(db), by="ada")
        db.sessions.delete_one({"merged_into": {"$exists": True}})
        with pytest.raises(CannotRegroup, match="was deleted"):
            undo(runtime, done.id, by="ada")


def test_tags_of_both_sessions_hold_for_the_merged_one_and_each_has_its_own_again(db, runtime, rolled):
    later = newest(db)
    db.sessions.update_one({"status": "closed"}, {"$set": {"tags": ["vip"]}})
    db.sessions.update_one({"status": "active"}, {"$set": {"tags": ["late"], "assigned_to": "bob"}})
    before = whole(db)
    done = merge(runtime, later, by="ada")
    (one,) = db.sessions.find({"merged_into": {"$exists": False}})
    assert (one["tags"], one["assigned_to"]) == (["vip", "late"], "bob")
    undo(runtime, done.id, by="ada")
    assert whole(db) == before
