"""Stored messages filed again: by the pause, and by what a pause does not say."""

from datetime import timedelta

from gateway.core.rethreading import Bare, Said, cuts, rethread, thread
from gateway.core.sessions import Anchor, Policy
from tests.conftest import TEN

FIVE = Policy(300_000)


def said(minute, name, rule="within_threshold", **more):
    return Said(name, TEN + timedelta(minutes=minute), rule, **more)


def drawn(*messages, policy=FIVE):
    return ["".join(piece.messages) for piece in rethread(messages, policy)]


def test_a_pause_longer_than_the_threshold_begins_a_session():
    messages = [said(0, "a", "first_message"), said(5, "b"), said(10.001, "c"), said(12, "d")]
    assert drawn(*messages) == ["ab", "cd"]
    assert drawn(*messages, policy=Policy(60_000)) == ["a", "b", "c", "d"]
    assert drawn(*messages, policy=Policy(None)) == ["abcd"]
    assert drawn(*messages, policy=Policy(0)) == ["a", "b", "c", "d"]
    assert cuts(rethread(messages, FIVE)) == ["c"]


def test_our_answer_keeps_a_session_alive_unless_only_the_sender_does_or_it_is_a_notice():
    messages = [said(0, "a"), said(4, "r", None), said(8, "b")]
    assert drawn(*messages) == ["arb"]
    assert drawn(*messages, policy=Policy(300_000, anchor=Anchor.INBOUND)) == ["ar", "b"]
    assert drawn(said(0, "a"), said(4, "n", None, activity=False), said(8, "b")) == ["an", "b"]


def test_a_call_is_not_cut_keeps_its_session_and_its_end_is_activity():
    call = {"call": "CA1", "call_ended_at": TEN + timedelta(minutes=20)}
    messages = [said(0, "a", call="CA1", call_ended_at=call["call_ended_at"]), said(15, "b", "same_call")]
    assert drawn(*messages, said(24, "c")) == ["abc"]
    assert drawn(*messages, said(26, "c")) == ["ab", "c"]
    assert drawn(said(0, "a", **call), said(10, "t", "live_call")) == ["at"]


def test_what_a_person_asked_for_stays_whatever_the_threshold():
    messages = [said(0, "a"), said(1, "b", "asked_for"), said(2, "c", "closed_for_good")]
    assert drawn(*messages, policy=Policy(None)) == ["a", "b", "c"]


def test_messages_that_came_late_are_filed_by_when_they_were_sent():
    assert drawn(said(8, "c"), said(4, "b"), said(0, "a")) == ["abc"]


def test_what_we_sent_before_anything_came_is_left_out():
    assert drawn(said(0, "r", None), said(1, "a")) == ["a"]


def threaded(*messages, policy=FIVE):
    bare = [Bare(name, TEN + timedelta(minutes=minute), name.islower()) for minute, name in messages]
    return [(one.session_id, one.decision) for one in thread(bare, policy, lambda message: message.id)]


def test_bare_messages_are_filed_as_if_they_had_come_here():
    filed = threaded((0, "a"), (5, "b"), (10.001, "c"))
    assert [session for session, _ in filed] == ["a", "a", "c"]
    assert [str(decision.rule) for _, decision in filed] == ["first_message", "within_threshold", "past_threshold"]
    assert filed[2][1].previous_session_id == "a"
    assert filed[2][1].as_stored()["gap_seconds"] == 300.06
    assert [one for one, _ in threaded((0, "a"), (1, "b"), policy=Policy(0))] == ["a", "b"]
    assert [one for one, _ in threaded((0, "a"), (9999, "b"), policy=Policy(None))] == ["a", "a"]


def test_what_we_sent_opens_a_session_and_keeps_it_alive_unless_only_the_sender_does():
    assert [one for one, _ in threaded((0, "A"), (4, "b"), (8, "C"), (12, "d"))] == ["A"] * 4
    by_sender = Policy(300_000, anchor=Anchor.INBOUND)
    assert [one for one, _ in threaded((0, "a"), (4, "B"), (8, "c"), policy=by_sender)] == ["a", "a", "c"]
