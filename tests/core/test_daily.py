"""How a day is counted: who waited how long for whom, percentiles, and when a day is counted again."""

import math
from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.daily import DAY, SETTLED, Count, Happened, Tally, day_of, is_stale, percentile, time_class, total
from tests.conftest import TEN


def said(sender, seconds, **more):
    more = {"is_inbound": sender == "contact"} | more
    return Happened("s1", "sms:1", "sms", sender, TEN + timedelta(seconds=seconds), **more)


def count(*messages, before=()):
    counting = Count(lambda _session_id: before)
    for message in messages:
        counting.add(message)
    return counting.tallies["sms:1", "sms"]


def seconds(times):
    return sorted(round(percentile(Counter({one: 1}), 1) / 1000, 1) for one in times.elements())


@pytest.mark.parametrize(
    ("messages", "bot", "human"),
    [
        ([("contact", 0), ("ai", 2)], [2], []),
        ([("contact", 0), ("contact", 5), ("ai", 10)], [10], []),
        ([("contact", 0), ("ai", 1), ("ai", 2)], [1], []),
        ([("contact", 0), ("ai", 1), ("contact", 60), ("ai", 63)], [1, 3], []),
        ([("contact", 0), ("ai", 2), ("agent", 100)], [2], [100]),
        ([("contact", 0), ("ai", 2), ("contact", 50), ("agent", 100)], [2], [50]),
        ([("contact", 0), ("agent", 7), ("agent", 9)], [], [7]),
        ([("contact", 0), ("system", 3), ("agent", 9)], [], [9]),
        ([("agent", 0), ("contact", 4), ("ai", 5)], [1], []),
        ([("ai", 0), ("agent", 5)], [], []),
    ],
)
def test_a_wait_goes_from_the_first_message_nobody_answered_to_the_first_answer(messages, bot, human):
    tally = count(*(said(*message) for message in messages))
    assert (seconds(tally.bot_times), seconds(tally.human_times)) == (
        pytest.approx(bot, 0.03),
        pytest.approx(human, 0.03),
    )


def test_an_answer_given_with_the_webhook_took_what_it_took_to_make():
    tally = count(said("contact", 0), said("ai", 0, processing_ms=840))
    assert percentile(tally.bot_times, 0.5) == pytest.approx(840, rel=0.011)


def test_whoever_says_stop_waits_for_nobody():
    assert not count(said("contact", 0, waits=False), said("agent", 500)).human_times


def test_an_answer_in_the_morning_is_to_what_was_asked_the_evening_before():
    tally = count(said("agent", 0), before=(said("contact", -3600), said("contact", -1800)))
    assert seconds(tally.human_times) == pytest.approx([3600], rel=0.011)


def test_what_is_counted():
    tally = count(
        said("contact", 0, decision="created"),
        said("ai", 1, status="delivered"),
        said("ai", 2, status="failed", error_code="30003", has_error=True),
        said("agent", 3),
        said("system", 4, status="sent"),
    )
    assert (tally.inbound, tally.bot, tally.human, tally.system, tally.outbound) == (1, 2, 1, 1, 4)
    assert tally.hours[10] == sum(tally.hours) == 1
    assert tally.decisions == {"created": 1}
    assert tally.statuses == {"delivered": 1, "failed": 1, "": 1, "sent": 1}
    assert (tally.errors, tally.failed_answers) == ({"30003": 1}, 1)


@given(st.lists(st.floats(1, 1e9), min_size=1), st.sampled_from([0.5, 0.95, 1.0]))
def test_percentiles_are_within_one_percent_of_the_nearest_rank(times, share):
    exact = sorted(times)[math.ceil(share * len(times)) - 1]
    assert percentile(Counter(map(time_class, times)), share) == pytest.approx(exact, rel=0.0101)


def test_there_is_no_percentile_of_nothing_and_none_of_no_time():
    assert percentile(Counter(), 0.5) is None
    assert percentile(Counter([time_class(0.2)]), 0.5) == 0


def test_tallies_add_up_and_stay_as_they_were():
    one = count(said("contact", 0, decision="created"), said("ai", 1, status="sent"))
    both = total([one, one, Tally()])
    assert (both.inbound, both.bot, both.hours[10], both.decisions["created"], both.statuses["sent"]) == (2,) * 5
    assert both.bot_times.total() == 2
    assert (one.inbound, one.decisions["created"]) == (1, 1)


@pytest.mark.parametrize(
    ("age", "counted_ago", "stale"),
    [
        (timedelta(hours=-1), timedelta(minutes=4), False),
        (timedelta(hours=-1), timedelta(minutes=5), True),
        (timedelta(hours=2), timedelta(minutes=29), False),
        (timedelta(hours=2), timedelta(minutes=30), True),
        (timedelta(days=5), timedelta(hours=5), False),
        (timedelta(days=5), timedelta(hours=6), True),
        (SETTLED + timedelta(hours=1), timedelta(hours=2), True),
        (SETTLED + timedelta(hours=3), timedelta(hours=2), False),
        (timedelta(days=300), timedelta(days=200), False),
    ],
)
def test_a_day_is_counted_again_until_its_statuses_have_settled(age, counted_ago, stale):
    day = day_of(TEN)
    now = day + DAY + age
    assert is_stale(day, now - counted_ago, now) is stale


def test_what_nobody_carries_is_no_delivery():
    counting = Count(lambda _session_id: ())
    counting.add(Happened("s1", "chat:web", "chat", "ai", TEN, status="delivered"))
    assert counting.tallies["chat:web", "chat"].statuses == {"": 1}
