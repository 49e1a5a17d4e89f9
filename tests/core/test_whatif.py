"""What is made of counted pauses: the table, the histogram, and a suggestion that says when it has none."""

import random
from collections import Counter

import pytest

from gateway.core.gaps import HOUR, MINUTE, Tally, bin_of
from gateway.core.whatif import ENOUGH, cut, histogram, suggest


def pauses(*hills, seed=1):
    """Draw pauses around each hill: (how many, median in seconds, spread)."""
    drawn = random.Random(seed)
    return Counter(
        bin_of(drawn.lognormvariate(0, spread) * median) for count, median, spread in hills for _ in range(count)
    )


def test_a_cut_counts_sessions_per_day_and_messages_per_session():
    counted = Tally(messages=20, always=2, opened=Counter({600: 2}), joined=Counter({60: 6}))
    shown = cut(counted, 120, days=2)
    assert (shown.sessions, shown.merging, shown.splitting) == (4, 0, 0)
    assert (shown.sessions_per_day, shown.messages_per_session) == (2.0, 5.0)


def test_without_messages_nothing_is_divided_by_nothing():
    shown = cut(Tally(), 300, days=0)
    assert (shown.sessions, shown.sessions_per_day, shown.messages_per_session) == (0, 0.0, 0.0)


def test_every_pause_is_in_one_bucket_and_the_upper_end_belongs_to_it():
    buckets = histogram(Counter({0: 1, 1: 1, 60: 2, 65: 3, 40 * 86_400: 4}))
    assert sum(bucket.gaps for bucket in buckets) == 11
    shown = {(bucket.lower, bucket.upper): bucket.gaps for bucket in buckets if bucket.gaps}
    assert shown[0, 1] == 2
    assert shown[45, 60] == 2
    assert shown[60, 90] == 3
    assert list(shown.values())[-1] == 4
    assert histogram(Counter()) == []


def test_few_pauses_suggest_nothing_and_say_so():
    suggestion = suggest(pauses((ENOUGH - 21, 40, 0.8), (20, 9 * HOUR, 0.5)))
    assert suggestion.threshold is None
    assert "Not enough data: 199 pauses" in suggestion.reason


def test_the_valley_between_two_hills_is_suggested_with_its_reason():
    suggestion = suggest(pauses((4000, 45, 0.9), (1000, 14 * HOUR, 0.8)))
    assert 10 * MINUTE <= suggestion.threshold <= 2 * HOUR
    assert "are the rarest" in suggestion.reason
    assert "of 5,000" in suggestion.reason


@pytest.mark.parametrize("hill", [(5000, 120, 1.0), (5000, 600, 2.5)])
def test_one_hill_has_no_valley(hill):
    suggestion = suggest(pauses(hill))
    assert suggestion.threshold is None
    assert suggestion.reason.startswith("No clear value")


@pytest.mark.parametrize(
    ("hills", "side"),
    [
        ([(5000, 60, 0.5), (10, 9 * HOUR, 0.5)], "above"),
        ([(10, 45, 0.5), (5000, 9 * HOUR, 0.5)], "up to"),
    ],
)
def test_a_valley_with_a_few_pauses_on_one_side_suggests_nothing_and_says_so(hills, side):
    suggestion = suggest(pauses(*hills))
    assert suggestion.threshold is None
    assert suggestion.reason.startswith(f"Not enough data: only 10 of 5,010 pauses {side}")
    assert suggestion.reason.endswith("20 on either side.")


def test_a_suggestion_moves_with_the_hills():
    quick = suggest(pauses((4000, 10, 0.6), (1000, 1 * HOUR, 0.6))).threshold
    slow = suggest(pauses((4000, 120, 0.6), (1000, 20 * HOUR, 0.6))).threshold
    assert quick < slow


def test_with_nothing_in_between_the_middle_is_suggested():
    suggestion = suggest(Counter({20: 500, 40: 500, 20 * HOUR: 500}))
    assert 5 * MINUTE <= suggestion.threshold <= 2 * HOUR
