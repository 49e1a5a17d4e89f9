"""Counted pauses: which bin they are in, and how many sessions they make at a threshold."""

import pytest

from gateway.core.gaps import NEVER, BadThreshold, Tally, bin_of, in_words, read_threshold

FIRST = {"kind": "created", "rule": "first_message", "gap_seconds": None}


def reused(gap, rule="within_threshold"):
    return {"kind": "reused", "rule": rule, "gap_seconds": gap}


def rolled_over(gap, rule="past_threshold"):
    return {"kind": "rolled_over", "rule": rule, "gap_seconds": gap}


def tally(*decisions):
    counted = Tally()
    for decision in decisions:
        counted.add(decision)
    return counted


@pytest.mark.parametrize(
    ("gap", "upper"),
    [
        (0, 0), (0.001, 1), (1, 1), (59.999, 60), (119.001, 120), (120.001, 125), (300, 300), (300.001, 305),
        (899, 900), (900.001, 915), (3600, 3600), (3600.001, 3900), (86_400, 86_400), (86_401, 90_000),
        (31 * 86_400 + 1, 32 * 86_400),
    ],
)  # fmt: skip
def test_a_bin_includes_its_upper_end_and_nothing_beyond(gap, upper):
    assert bin_of(gap) == upper


@pytest.mark.parametrize("threshold", ["0", "1", "60", "90", "300", "905", "900", "3600", "5400", "86400", "1e3"])
def test_what_people_would_set_is_told_apart_exactly(threshold):
    if threshold in ("905", "1e3"):
        with pytest.raises(BadThreshold, match="finer than pauses are counted"):
            read_threshold(threshold)
    else:
        assert bin_of(read_threshold(threshold)) == read_threshold(threshold)


@pytest.mark.parametrize("wrong", ["", "five", "-1", "nan", "inf", "1_000x"])
def test_what_is_no_threshold_is_refused_by_name(wrong):
    with pytest.raises(BadThreshold, match="is no threshold"):
        read_threshold(wrong)


def test_what_no_database_can_compare_is_no_threshold():
    with pytest.raises(BadThreshold, match="longer than any pause"):
        read_threshold("8.64e19")


def test_never_is_a_threshold():
    assert read_threshold(" Never ") == NEVER


def test_exactly_the_threshold_joins_and_a_millisecond_more_does_not():
    counted = tally(FIRST, reused(60.0), reused(60.001))
    assert [counted.sessions(threshold) for threshold in (59, 60, 61)] == [3, 2, 1]


def test_a_longer_threshold_merges_and_a_shorter_splits():
    counted = tally(FIRST, reused(100), rolled_over(400), reused(200), None)
    assert (counted.messages, counted.stored) == (5, 2)
    assert (counted.merging(600), counted.splitting(600), counted.sessions(600)) == (1, 0, 1)
    assert (counted.merging(120), counted.splitting(120), counted.sessions(120)) == (0, 1, 3)
    assert counted.sessions(300) == counted.stored


def test_what_a_person_decided_and_the_first_message_open_a_session_at_any_threshold():
    counted = tally(
        FIRST, rolled_over(5, "asked_for"), {"kind": "created", "rule": "closed_for_good", "gap_seconds": 5}
    )
    assert [counted.sessions(threshold) for threshold in (0, 60, NEVER)] == [3, 3, 3]


def test_a_call_is_never_cut_and_what_came_late_only_at_zero():
    counted = tally(FIRST, reused(900, "same_call"), reused(900, "live_call"), reused(0.0, "inside_session"))
    assert [counted.sessions(threshold) for threshold in (0, 1, 600)] == [3, 1, 1]
    assert counted.late == 1


def test_at_zero_even_messages_of_the_same_moment_are_apart():
    counted = tally(FIRST, reused(0.0), rolled_over(0.0, "every_message"))
    assert (counted.sessions(0), counted.sessions(1)) == (3, 1)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (90, "1 min 30 s"), (300, "5 min"), (5400, "1 h 30 min"), (NEVER, "never")]
)
def test_spans_are_said_in_whole_units(seconds, words):
    assert in_words(seconds) == words
