"""The days a chart is about: the last so many, or from one day to another, in UTC."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from gateway.core.spans import LONGEST

PRESETS = (7, 30, 90)
DEFAULT = 7


class BadRange(ValueError):
    """Days that cannot be shown; says which would do."""


@dataclass(frozen=True, slots=True)
class Range:
    """Days, both ends included. `preset` is how many days back it is, None where the ends were given."""

    first: date
    last: date
    preset: int | None = None

    @property
    def days(self) -> list[date]:
        """Give every day of it."""
        return [self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1)]

    @property
    def arguments(self) -> dict[str, str]:
        """Give it as an address has it."""
        if self.preset:
            return {} if self.preset == DEFAULT else {"days": str(self.preset)}
        return {"from": f"{self.first}", "to": f"{self.last}"}

    def moments(self) -> tuple[datetime, datetime]:
        """Give the beginnings of the first and the last day."""
        return datetime.combine(self.first, time(), UTC), datetime.combine(self.last, time(), UTC)


def last_days(number: int, now: datetime) -> Range:
    """Give the last days, today included."""
    return Range(now.date() - timedelta(days=number - 1), now.date(), number)


def read(given: Mapping[str, str], now: datetime) -> Range:
    """Read the days of an address: `days`, or `from` and `to`; BadRange says what is wrong with them."""
    if given.get("from") or given.get("to"):
        last = _day(given.get("to"), "last day") or now.date()
        first = _day(given.get("from"), "first day") or last - timedelta(days=min(DEFAULT, last.toordinal()) - 1)
        return _bounded(Range(first, last))
    written = given.get("days") or str(DEFAULT)
    # Nothing is cut off before it is compared: 0000400999999 begins like a number that would do.
    if not re.fullmatch(r"[0-9]{1,6}", written) or not 1 <= int(written) <= LONGEST.days:
        raise BadRange(f"{written[:20]!r} is no number of days. Choose 1 to {LONGEST.days}.")
    return last_days(int(written), now)


def _day(written: str | None, which: str) -> date | None:
    if not written:
        return None
    try:
        return date.fromisoformat(written)
    except ValueError:
        raise BadRange(f"The {which}, {written[:20]!r}, is no day such as 2026-03-01.") from None


def _bounded(chosen: Range) -> Range:
    if chosen.first > chosen.last:
        raise BadRange(f"The first day, {chosen.first}, comes after the last, {chosen.last}.")
    if (number := (chosen.last - chosen.first).days + 1) > LONGEST.days:
        raise BadRange(f"That is {number:,} days. At most {LONGEST.days} are shown at once: choose a later first day.")
    return chosen
