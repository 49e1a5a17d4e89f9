"""Moments of whole milliseconds, and how spans are written."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from gateway.core.times import floor_ms, ms_between, parse_moment, seconds, short_seconds, spoken

TEN = datetime(2026, 3, 1, 10, tzinfo=UTC)
EAST = timezone(timedelta(hours=5, minutes=30))


@pytest.mark.parametrize("micro", [0, 1, 999, 1000, 1999, 999_999])
def test_a_moment_is_cut_to_the_millisecond_below(micro):
    assert floor_ms(TEN.replace(microsecond=micro)).microsecond == micro // 1000 * 1000


def test_a_moment_of_another_zone_becomes_utc():
    cut = floor_ms(datetime(2026, 3, 1, 15, 30, tzinfo=EAST))
    assert (cut, cut.tzinfo) == (TEN, UTC)


@pytest.mark.parametrize(
    ("later", "span"),
    [(TEN, 0), (TEN + timedelta(seconds=300), 300_000), (TEN + timedelta(milliseconds=1), 1),
     (TEN - timedelta(milliseconds=1), -1), (datetime(2026, 3, 1, 15, 30, 1, tzinfo=EAST), 1000)],
)  # fmt: skip
def test_a_span_is_whole_milliseconds(later, span):
    assert ms_between(TEN, later) == span


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T10:00:00Z",
        "2026-03-01T10:00:00",
        "2026-03-01T15:30:00+05:30",
        "2026-03-01 10:00",
        "20260301T100000Z",
        "2026-03-01T10:00:00.000999Z",
    ],
)
def test_a_moment_is_read(text):
    assert parse_moment(text) == TEN


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-13-01", "1772359200"])
def test_what_is_no_moment_is_named(text):
    with pytest.raises(ValueError, match=repr(text)):
        parse_moment(text)


@pytest.mark.parametrize(("span", "stored"), [(0, 0.0), (1, 0.001), (300_000, 300.0), (300_001, 300.001)])
def test_seconds_as_stored(span, stored):
    assert seconds(span) == stored


@pytest.mark.parametrize(
    ("span", "written"),
    [
        (0, "0s"),
        (250, "0.25s"),
        (120_000, "120s"),
        (300_001, "300.001s"),
        (1_000_000, "1000s"),
        (100, "0.1s"),
    ],
)
def test_seconds_as_log_lines_write_them(span, written):
    assert short_seconds(span) == written


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (0, "0 s"),
        (250, "0.25 s"),
        (59_999, "59.999 s"),
        (60_000, "1 min 0 s"),
        (120_000, "2 min 0 s"),
        (300_001, "5 min 0.001 s"),
        (90_500, "1 min 30.5 s"),
        (3_599_999, "59 min 59.999 s"),
        (3_600_000, "1 h 0 min"),
        (3_900_000, "1 h 5 min"),
        (86_399_999, "23 h 59 min"),
        (86_400_000, "1 d 0 h"),
        (90_000_000, "1 d 1 h"),
    ],
)
def test_a_span_as_people_read_it(span, words):
    assert spoken(span) == words
