"""Five spellings of a moment, and what is said where one can be read in two ways."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from gateway.core.imported import BadRow
from gateway.core.moments import EU, US, Spelling, read_moment

AT = datetime(2026, 3, 4, 9, 5, 7, tzinfo=UTC)
NOWHERE = Spelling()


@pytest.mark.parametrize(
    "written",
    [
        "2026-03-04T09:05:07Z",
        "2026-03-04T10:05:07+01:00",
        "2026-03-04 09:05:07",
        "2026-03-04 09:05:07 UTC",
        "2026-03-04 10:05:07 +0100",
        "2026-03-04 09:05:07+00",
        "20260304T090507Z",
        " 2026-03-04T09:05:07.000Z ",
        AT.timestamp(),
        int(AT.timestamp()),
        int(AT.timestamp() * 1000),
        str(int(AT.timestamp())),
        str(int(AT.timestamp() * 1000)),
        "Wed, 04 Mar 2026 09:05:07 +0000",
        "Wed, 4 Mar 2026 09:05:07 GMT",
        {"$date": "2026-03-04T09:05:07Z"},
        {"$date": {"$numberLong": str(int(AT.timestamp() * 1000))}},
        {"$date": int(AT.timestamp() * 1000)},
        "04.03.2026 09:05:07",
        AT,
        AT.replace(tzinfo=None),
    ],
)
def test_every_spelling_is_the_same_moment(written):
    assert read_moment(written, NOWHERE) == AT


@pytest.mark.parametrize(
    ("written", "order", "expected"),
    [
        ("03/04/2026 09:05:07", US, AT),
        ("04/03/2026 09:05:07", EU, AT),
        ("3/4/2026, 9:05:07 AM", US, AT),
        ("3/4/2026 9:05 pm", US, AT.replace(hour=21, second=0)),
        ("3/4/2026 12:05 AM", US, AT.replace(hour=0, second=0)),
        ("13/04/2026", "", datetime(2026, 4, 13, tzinfo=UTC)),
        ("04/13/2026", "", datetime(2026, 4, 13, tzinfo=UTC)),
        ("04/13/2026", EU, datetime(2026, 4, 13, tzinfo=UTC)),
        ("04/04/2026", "", datetime(2026, 4, 4, tzinfo=UTC)),
    ],
)
def test_a_day_and_a_month_are_told_apart(written, order, expected):
    assert read_moment(written, Spelling(order)) == expected


def test_what_may_be_two_days_is_refused_with_the_remedy():
    with pytest.raises(BadRow, match=r"'03/04/2026' may be the day or the month first: say which with --dates eu"):
        read_moment("03/04/2026", NOWHERE)


def test_a_time_without_a_zone_is_of_the_sources_zone():
    berlin = Spelling(zone=ZoneInfo("Europe/Berlin"))
    assert read_moment("2026-03-04 10:05:07", berlin) == AT
    assert read_moment("2026-07-04 10:05:07", berlin).hour == 8
    assert read_moment("04.03.2026 10:05:07", berlin) == AT
    assert read_moment("2026-03-04T09:05:07Z", berlin) == AT


def test_milliseconds_are_kept_and_what_is_finer_is_not():
    assert read_moment("2026-03-04T09:05:07.123999Z", NOWHERE).microsecond == 123000
    assert read_moment(1772615107123, NOWHERE) == AT.replace(microsecond=123000)


@pytest.mark.parametrize(
    "written",
    [
        *("", "yesterday", "2026-13-40", "99/99/2026", "3/4/2026 13:00 pm", "1" * 300),
        *(7, -1, True, None, [], {}, 1e300, float("nan")),
        *({"$date": None}, {"$date": {"$numberLong": "x"}}, {"$date": 10**40}),
    ],
)
def test_what_is_no_moment_is_named(written):
    with pytest.raises(BadRow, match=r"no time that is known here|the day or the month"):
        read_moment(written, Spelling(US))
