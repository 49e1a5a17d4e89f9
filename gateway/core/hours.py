"""Opening hours: whether somebody is there at a moment, by the clock on their wall."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def is_open(hours: Mapping[Any, Sequence[str]], local: datetime) -> bool:
    """Tell whether a local moment is within `{"mon": ["09:00-12:00", ...]}`; no hours at all are always.

    The end is not included. A span that ends before it begins goes on past midnight.
    """
    if not hours:
        return True
    today, yesterday = WEEKDAYS[local.weekday()], WEEKDAYS[local.weekday() - 1]
    now = local.hour * 60 + local.minute
    if any(_holds(span, now) for span in hours.get(today, ())):
        return True
    return any(_holds_after_midnight(span, now) for span in hours.get(yesterday, ()))


def _holds(span: str, now: int) -> bool:
    start, end = _minutes(span)
    return start <= now < end if start < end else now >= start


def _holds_after_midnight(span: str, now: int) -> bool:
    start, end = _minutes(span)
    return end <= start and now < end


def _minutes(span: str) -> tuple[int, int]:
    start, _, end = span.partition("-")
    return _clock(start), _clock(end)


def _clock(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)
