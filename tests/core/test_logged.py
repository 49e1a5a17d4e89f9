"""Which of our rows an entry of the log is, how spans are read, and how they are cut into days."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.core.logged import Candidate, choose, days
from gateway.core.spans import BadSpan, bounded, moment_of

TEN = datetime(2026, 3, 1, 10, tzinfo=UTC)


def row(name, text, seconds=0, **changes):
    return Candidate(name, TEN + timedelta(seconds=seconds), text, **changes)


@pytest.mark.parametrize(
    ("rows", "text", "chosen"),
    [
        ([], "ok", None),
        ([row("a", "ok")], "no", None),
        ([row("a", " ok\n")], "ok", "a"),
        ([row("a", "ok", -60), row("b", "ok", 2)], "ok", "b"),
        ([row("a", "It's", 0), row("b", "It\u2019s", 5)], "It\u2019s", "b"),
        ([row("a", "It\u2019s \u2013 ok", 0)], "It's - ok", "a"),
        ([row("a", "\u2026", 0)], "!", None),
        ([row("a", "fields", is_template=True)], "Hello Ada", "a"),
        ([row("a", "fields", is_template=True), row("b", "Hello Ada", 90)], "Hello Ada", "b"),
    ],
)
def test_the_text_decides_first_and_then_the_time(rows, text, chosen):
    found = choose(rows, text, TEN)
    assert (found and found.id) == chosen


def test_a_span_is_cut_at_midnight():
    cut = list(days(TEN, TEN + timedelta(days=2)))
    midnights = [datetime(2026, 3, day, tzinfo=UTC) for day in (2, 3)]
    assert cut == [(TEN, midnights[0]), (midnights[0], midnights[1]), (midnights[1], TEN + timedelta(days=2))]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("30m", TEN - timedelta(minutes=30)),
        ("2h", TEN - timedelta(hours=2)),
        (" 3D ", TEN - timedelta(days=3)),
        ("2026-03-01T08:00:00+01:00", TEN - timedelta(hours=3)),
        ("2026-02-01", datetime(2026, 2, 1, tzinfo=UTC)),
    ],
)
def test_a_start_is_a_span_or_a_moment(text, moment):
    assert moment_of(text, TEN) == moment


@pytest.mark.parametrize("text", ["", "2", "2w", "-2h", "yesterday", "999999d", "1e3h"])
def test_what_is_neither_is_named(text):
    with pytest.raises(BadSpan, match="30m, 2h or 3d"):
        moment_of(text, TEN)


def test_a_span_has_an_end_and_a_length():
    bounded(TEN - timedelta(days=400), TEN)
    with pytest.raises(BadSpan, match="more than 400 days"):
        bounded(TEN - timedelta(days=400, seconds=1), TEN)
    with pytest.raises(BadSpan, match="nothing between"):
        bounded(TEN, TEN)
