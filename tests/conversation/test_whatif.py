"""Counted pauses against the real rules, and against whatever happens to messages after they were counted."""

from collections import defaultdict
from datetime import timedelta

import mongoengine
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.conversation import replay, whatif
from gateway.conversation.receive import receive
from gateway.conversation.runtime import build
from gateway.conversation.whatif import Question
from gateway.core.gaps import NEVER
from gateway.core.messages import InboundMessage
from gateway.core.participant import address, participant
from gateway.core.rethreading import rethread
from gateway.core.sessions import Policy
from gateway.store import boundaries, gaps, notes, turns
from tests.conftest import TEN

OURS = "+15017122661"
THRESHOLDS = [0, 1, 60, 120, 300, 600, 900, 3600, NEVER]
PAUSES = st.sampled_from([0, 1, 999, 1000, 60_000, 60_001, 299_999, 300_000, 300_001, 600_000, 900_001, 4_000_000])
EVENTS = st.lists(st.tuples(st.sampled_from(["sms", "whatsapp"]), st.integers(0, 2), PAUSES), min_size=1, max_size=25)


@pytest.fixture
def serving(make_app, make_settings, clock):
    make_app()
    return build(make_settings(reply={"responder": "echo"}), clock=clock)


def send(serving, clock, message_id, *, kind="sms", sender="+15558675310", at=None):
    clock.moment = at or clock.moment
    ours = address(OURS)
    receive(serving, InboundMessage(message_id, kind, participant(sender), ours, "Hi", clock.moment, message_id))


def look(serving, **question):
    return whatif.look(serving, Question(**question))


def changes(serving, threshold, **more):
    history = look(serving)
    return replay.changes(serving, history, threshold, **({"channels": None, "limit": 100} | more))


def empty():
    for name in ("sessions", "messages", "contacts", "gaps", "jobs"):
        mongoengine.get_db()[name].delete_many({})


def redrawn(threshold):
    """File all stored messages again by `decide`, one sender after the other; gives the pieces by session."""
    policy, senders = Policy(whatif.as_policy(threshold)), defaultdict(list)
    stored = {str(one["_id"]): one for one in mongoengine.get_db().sessions.find()}
    for session_id, said in boundaries.said(stored, None).items():
        senders[stored[session_id]["keys"][0]] += said
    return [piece for said in senders.values() for piece in rethread(said, policy)]


def test_counting_agrees_with_deciding_again_on_random_timelines(serving, clock, monkeypatch):
    monkeypatch.setattr(gaps, "CHUNK", 7)

    @given(events=EVENTS, stored=st.sampled_from([60, 300, 900]), counted=st.booleans())
    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    def agree(events, stored, counted):
        empty()
        at = TEN
        serving.settings.sessions.idle_seconds = stored * 1000
        for number, (kind, sender, pause) in enumerate(events):
            at += timedelta(milliseconds=pause)
            send(serving, clock, f"SM{number}", kind=kind, sender=f"+1555867531{sender}", at=at)
        if counted:
            clock.tick(60)
            whatif.keep_counted(serving)
        tally = look(serving).tally
        assert tally.messages == 2 * len(events)
        assert tally.sessions(stored) == tally.stored == mongoengine.get_db().sessions.count_documents({})
        for threshold in THRESHOLDS:
            assert tally.sessions(threshold) == len(redrawn(threshold)), threshold
            listed = changes(serving, threshold).changes
            merged = [change for change in listed if not change.splits]
            assert len(merged) == tally.merging(threshold)
            split = [change for change in listed if change.splits]
            assert sum(len(change.pieces) - 1 for change in split) == tally.splitting(threshold)
            assert len({change.session["id"] for change in split}) == len(split)

    agree()


def counts(serving):
    found = look(serving)
    return found.tally, [found.tally.sessions(threshold) for threshold in THRESHOLDS]


@pytest.fixture
def counted(serving, clock, monkeypatch):
    """A history of thirty messages with their answers in several full chunks."""
    monkeypatch.setattr(gaps, "CHUNK", 9)
    for number in range(30):
        send(serving, clock, f"SM{number}", at=TEN + timedelta(minutes=number * (1 + number % 8)))
    clock.move_to(minutes=300)
    whatif.keep_counted(serving)
    assert mongoengine.get_db().gaps.count_documents({"full": True}) >= 3
    return counts(serving)


def test_counting_anew_gives_the_same(serving, counted):
    whatif.count_anew(serving)
    assert counts(serving) == counted


def test_what_was_counted_and_what_came_since_are_added_up(serving, counted, clock):
    send(serving, clock, "SM-new")
    assert counts(serving)[0].messages == counted[0].messages + 2
    clock.tick(60)
    whatif.keep_counted(serving)
    assert counts(serving)[0].messages == counted[0].messages + 2


@pytest.mark.parametrize("change", ["deleted", "restored", "all deleted"])
def test_whatever_happens_to_counted_messages_is_noticed(serving, counted, change):
    messages = mongoengine.get_db().messages
    if change == "restored":
        taken = list(messages.find({"_id": {"$in": ["SM3", "SM4", "re:SM4"]}}))
        messages.delete_many({"_id": {"$in": [row["_id"] for row in taken]}})
        whatif.count_anew(serving)
        assert counts(serving) != counted
        messages.insert_many(taken)
    else:
        messages.delete_many({"_id": {"$in": ["SM3", "re:SM20"]}} if change == "deleted" else {})
    assert whatif.keep_counted(serving) > 0
    noticed = counts(serving)
    assert (noticed == counted) == (change == "restored")
    whatif.count_anew(serving)
    assert counts(serving) == noticed


def test_messages_of_one_moment_are_all_counted(serving, clock, monkeypatch):
    monkeypatch.setattr(gaps, "CHUNK", 4)
    for number in range(9):
        send(serving, clock, f"SM{number}", sender=f"+1555867530{number}")
    clock.tick(60)
    whatif.keep_counted(serving)
    assert look(serving).tally.messages == 18


def test_a_private_note_is_no_message_and_keeps_nothing_alive(serving, clock):
    send(serving, clock, "SM1", at=TEN)
    send(serving, clock, "SM2", at=TEN + timedelta(minutes=4))
    db = mongoengine.get_db()
    session_id = str(db.sessions.find_one()["_id"])
    assert notes.add("note", session_id, "Call her", "ada", TEN + timedelta(minutes=3))
    assert look(serving).tally.messages == 4
    (split,) = changes(serving, 60).changes
    assert split.pieces == (2, 2)


def test_only_one_process_counts_at_a_time(serving, clock, counted):
    mongoengine.get_db().gaps.delete_many({})
    assert turns.take(whatif.JOB, "another", clock.now(), lease=clock.now() + timedelta(minutes=1), due_only=False)
    whatif.keep_counted(serving)
    assert mongoengine.get_db().gaps.count_documents({}) == 0


def test_more_than_can_be_counted_at_once_is_said_to_wait(serving, clock, counted, monkeypatch):
    monkeypatch.setattr(gaps, "LIVE", 1)
    send(serving, clock, "SM-new")
    seen = look(serving)
    assert (seen.waiting, seen.tally.messages) == (True, counted[0].messages)
    assert seen.as_of < clock.now()


def test_types_numbers_days_and_channels_are_parts_of_the_history(serving, clock):
    send(serving, clock, "SM1", at=TEN)
    send(serving, clock, "SM2", kind="whatsapp", at=TEN + timedelta(days=1))
    clock.tick(60)
    whatif.keep_counted(serving)
    assert look(serving, types=["whatsapp"]).tally.messages == 2
    assert look(serving, numbers=["whatsapp:+1 501 712 2661"]).tally.messages == 4
    assert look(serving, numbers=["+15005550006"]).tally.messages == 0
    assert look(serving, since=(TEN + timedelta(days=1)).date()).tally.messages == 2
    assert look(serving).days == 2
    limited = look(serving, channels=frozenset({f"sms:{OURS}"}))
    assert [line.channel.id for line in limited.known] == [f"sms:{OURS}"]
    assert limited.tally.messages == 2


def test_a_page_ends_where_the_next_begins(serving, clock):
    for number in range(7):
        send(serving, clock, f"SM{number}", at=TEN + timedelta(minutes=10 * number))
    first = changes(serving, 900, limit=4)
    rest = changes(serving, 900, limit=4, cursor=first.next_cursor)
    assert [len(first.changes), len(rest.changes), rest.next_cursor] == [4, 2, None]
    moments = [change.at for change in first.changes + rest.changes]
    assert moments == sorted(moments, reverse=True)
    assert len(set(moments)) == 6
    with pytest.raises(ValueError, match="is no page"):
        changes(serving, 900, cursor="nonsense")


def test_a_change_tells_both_sessions_and_what_would_become_of_them(serving, clock):
    for name, minute in (("SM1", 0), ("SM2", 2), ("SM3", 10)):
        send(serving, clock, name, at=TEN + timedelta(minutes=minute))
    (merge,) = changes(serving, 600).changes
    assert (merge.splits, merge.gap_seconds, merge.pieces) == (False, 480.0, (6,))
    assert merge.before["message_count"] == 4
    assert merge.session["message_count"] == 2
    (split,) = changes(serving, 60).changes
    assert (split.splits, split.gap_seconds, split.pieces, split.before) == (True, 120.0, (2, 2), None)


def test_what_people_joined_or_deleted_by_hand_is_not_listed_as_if_it_were_there(serving, clock):
    for name, minute in (("SM1", 0), ("SM2", 10), ("SM3", 20)):
        send(serving, clock, name, at=TEN + timedelta(minutes=minute))
    db = mongoengine.get_db()
    first, second, third = db.sessions.find().sort("first_message_at", 1)
    db.messages.update_many({"session_id": second["_id"]}, {"$set": {"session_id": first["_id"]}})
    db.sessions.delete_one({"_id": second["_id"]})
    (change,) = changes(serving, 900).changes
    assert change.session["id"] == str(third["_id"])
    assert change.before is None


def test_each_question_of_the_list_uses_an_index(serving, counted):
    db = mongoengine.get_db()
    plans = [
        db.messages.find({"storedAt": {"$gte": TEN}}).hint("stored").explain(),
        db.gaps.find({"last_day": {"$gte": TEN}}).explain(),
        db.gaps.find({"full": True}).sort("checked_at", 1).explain(),
    ]
    assert all("COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"]) for plan in plans)
