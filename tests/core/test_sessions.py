"""`decide`: tables of neighbours and moments; no database, no clock."""

from datetime import timedelta

import pytest

from gateway.core.sessions import Anchor, Kind, Neighbours, Policy, Rule, SessionView, decide
from tests.conftest import TEN


def at(seconds):
    return TEN + timedelta(seconds=seconds)


def session(first, last=None, name="L", **changes):
    last = first if last is None else last
    return SessionView(
        id=name,
        first_message_at=at(first),
        last_message_at=at(last),
        created_at=at(first),
        **({"last_inbound_at": at(last)} | changes),
    )


def decided(before, after, moment, threshold=300_000, **policy):
    return decide(Neighbours(before, after), at(moment), Policy(threshold, **policy))


@pytest.mark.parametrize(
    ("moment", "kind", "gap"),
    [
        (0, Kind.REUSED, 0),
        (120, Kind.REUSED, 120_000),
        (300, Kind.REUSED, 300_000),
        (300.001, Kind.ROLLED_OVER, 300_001),
        (600, Kind.ROLLED_OVER, 600_000),
    ],
)
def test_i1_exactly_the_threshold_reuses_and_one_millisecond_more_rolls_over(moment, kind, gap):
    decision = decided(session(0), None, moment)
    assert (decision.kind, decision.gap_ms) == (kind, gap)


def test_a_sender_never_seen_gets_a_session_without_a_gap():
    decision = decided(None, None, 0)
    assert (decision.kind, decision.rule, decision.gap_ms) == (Kind.CREATED, Rule.FIRST_MESSAGE, None)


def test_a_rollover_names_the_session_before():
    assert decided(session(0), None, 301).previous_session_id == "L"


def test_the_gap_counts_from_the_last_message_not_the_first():
    assert decided(session(0, 250), None, 500).kind is Kind.REUSED


def test_threshold_zero_gives_every_message_its_own_session():
    decision = decided(session(0), None, 0, threshold=0)
    assert (decision.kind, decision.rule) == (Kind.ROLLED_OVER, Rule.EVERY_MESSAGE)


def test_without_a_threshold_a_year_is_no_gap():
    decision = decided(session(0), None, 31_536_000, threshold=None)
    assert (decision.kind, decision.rule) == (Kind.REUSED, Rule.NO_THRESHOLD)


def test_a_session_closed_for_idleness_is_reused_as_if_it_were_open():
    idle = session(0, is_open=False, closed_reason="idle", closed_at=at(100))
    assert decided(idle, None, 200).kind is Kind.REUSED


@pytest.mark.parametrize(("moment", "kind"), [(99, Kind.REUSED), (100, Kind.REUSED), (100.001, Kind.CREATED)])
def test_a_session_closed_by_a_person_is_final_for_messages_after_that(moment, kind):
    closed = session(0, is_open=False, closed_reason="operator", closed_at=at(100))
    assert decided(closed, None, moment).kind is kind


def test_a_live_call_keeps_its_session_whatever_the_gap():
    on_call = session(0, live=("CA1",), live_until=at(14_400))
    assert decided(on_call, None, 1200).rule is Rule.LIVE_CALL
    assert decided(on_call, None, 14_401).kind is Kind.ROLLED_OVER


def test_anchor_inbound_ignores_what_we_said_since():
    answered = session(0, 280, last_inbound_at=at(0))
    assert decided(answered, None, 310).kind is Kind.REUSED
    assert decided(answered, None, 310, anchor=Anchor.INBOUND).kind is Kind.ROLLED_OVER


class TestLateArrivals:
    """T4: judged by event time against the neighbours; what is stored is never merged, split or relinked."""

    def test_before_the_first_session_in_reach_joins_it(self):
        decision = decided(None, session(1000, name="N"), 800)
        assert (decision.session_id, decision.rule, decision.gap_ms) == ("N", Rule.JOINS_NEXT, 0)
        assert decision.next_gap_ms == 200_000

    def test_before_the_first_session_out_of_reach_gets_its_own(self):
        decision = decided(None, session(1000, name="N"), 600)
        assert (decision.kind, decision.rule) == (Kind.CREATED, Rule.BEFORE_FIRST)

    def test_inside_a_session_joins_it_with_gap_zero(self):
        decision = decided(session(0, 500), session(2000, name="N"), 100)
        assert (decision.session_id, decision.rule, decision.gap_ms) == ("L", Rule.INSIDE_SESSION, 0)

    def test_between_two_in_reach_of_the_earlier_joins_that(self):
        assert decided(session(0), session(2000, name="N"), 200).session_id == "L"

    def test_between_two_in_reach_of_the_later_joins_that(self):
        assert decided(session(0), session(2000, name="N"), 1800).session_id == "N"

    def test_between_two_out_of_reach_of_both_gets_its_own(self):
        decision = decided(session(0), session(2000, name="N"), 1000)
        assert (decision.kind, decision.session_id) == (Kind.ROLLED_OVER, None)

    def test_in_reach_of_both_joins_the_earlier_and_records_the_bridge(self):
        decision = decided(session(0), session(500, name="N"), 250)
        assert (decision.session_id, decision.bridges) == ("L", "N")

    @pytest.mark.parametrize(
        ("before", "moment", "threshold", "rule"),
        [
            (session(0), 500, None, Rule.NO_THRESHOLD),
            (session(0, 400), 300, 900_000, Rule.INSIDE_SESSION),
            (session(0, live=("CA1",), live_until=at(950)), 900, 300_000, Rule.LIVE_CALL),
        ],
    )
    def test_t4_whatever_lets_it_join_the_earlier_the_bridge_is_recorded(self, before, moment, threshold, rule):
        decision = decided(before, session(1000, name="N"), moment, threshold=threshold)
        assert (decision.session_id, decision.rule, decision.bridges) == ("L", rule, "N")
        assert decision.next_gap_ms == (1000 - moment) * 1000

    def test_inside_a_session_and_out_of_reach_of_the_next_bridges_nothing(self):
        assert decided(session(0, 400), session(1000, name="N"), 300).bridges is None

    @pytest.mark.parametrize("reason", ["operator", "requested", "merged"])
    @pytest.mark.parametrize("threshold", [None, 300_000])
    def test_sessions_that_somebody_parted_are_not_bridged(self, reason, threshold):
        """On time it would have joined the earlier one as well, and the later one would have begun all the same."""
        ended = session(0, is_open=False, closed_reason=reason, closed_at=at(400))
        decision = decided(ended, session(400, name="N"), 250, threshold=threshold)
        assert (decision.session_id, decision.bridges, decision.next_gap_ms) == ("L", None, None)

    def test_one_that_was_closed_after_the_next_began_is_bridged(self):
        ended = session(0, is_open=False, closed_reason="operator", closed_at=at(600))
        assert decided(ended, session(500, name="N"), 250).bridges == "N"
