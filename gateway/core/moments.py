"""Moments as other programs write them: ISO 8601, seconds or milliseconds since 1970, e-mail's dates, 03/04/2026.

Where two readings are possible and nobody said which, that is said, and nothing is guessed.
"""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from email.utils import parsedate_to_datetime
from typing import Any

from gateway.core.checking import BadRow
from gateway.core.times import floor_ms

US, EU = "us", "eu"

# From 1973 to 5138 in seconds, and the same in milliseconds: no moment is both.
_SECONDS, _MILLISECONDS = (10**8, 10**11), (10**11, 10**14)

_LONGEST = 60

_NUMBER = re.compile(r"\d{9,14}(\.\d+)?")
_OFFSET = re.compile(r"\s+(UTC|GMT|Z|[+-]\d{2}:?\d{2})$", re.IGNORECASE)
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}[T ]")
_EMAIL = re.compile(r"([A-Za-z]{3},? )?\d{1,2} [A-Za-z]{3} \d{4} ")
_SLASHED = re.compile(
    r"(?P<one>\d{1,2})(?P<sign>[/.-])(?P<two>\d{1,2})(?P=sign)(?P<year>\d{4})"
    r"(?:,?[ T](?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))?\s*(?P<half>[AaPp]\.?[Mm]\.?)?)?"
)


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a source writes moments that say too little: which of two numbers is the day, and where its clocks are."""

    order: str = ""
    zone: tzinfo = UTC


def read_moment(value: Any, spelling: Spelling) -> datetime:
    """Read a moment in UTC, floored to a millisecond; BadRow says what cannot be read, or not in one way only."""
    try:
        return floor_ms(_read(value, spelling))
    except BadRow:
        raise
    except (ValueError, OverflowError, TypeError, LookupError, OSError):
        raise BadRow(f"{_short(value)} is no time that is known here.") from None


def _short(value: Any) -> str:
    return repr(value)[:60]


def _read(value: Any, spelling: Spelling) -> datetime:
    match value:
        case datetime():
            return value if value.tzinfo else value.replace(tzinfo=UTC)
        case bool():
            raise ValueError
        case int() | float():
            return _since_1970(value)
        case Mapping():
            return _extended(value, spelling)
        case str():
            return _written(value.strip(), spelling)
    raise ValueError


def _since_1970(number: float) -> datetime:
    if _SECONDS[0] <= number < _SECONDS[1]:
        return datetime.fromtimestamp(number, UTC)
    if _MILLISECONDS[0] <= number < _MILLISECONDS[1]:
        whole, rest = divmod(int(number), 1000)
        return datetime.fromtimestamp(whole, UTC).replace(microsecond=rest * 1000)
    raise ValueError


def _extended(value: Mapping[str, Any], spelling: Spelling) -> datetime:
    """Read MongoDB's Extended JSON: a text, or milliseconds since 1970 of any year."""
    inner = value["$date"]
    if isinstance(inner, Mapping):
        inner = int(inner["$numberLong"])
    if isinstance(inner, int) and not isinstance(inner, bool):
        whole, rest = divmod(inner, 1000)
        return datetime.fromtimestamp(whole, UTC).replace(microsecond=rest * 1000)
    return _read(inner, spelling)


def _written(text: str, spelling: Spelling) -> datetime:
    if len(text) > _LONGEST:
        raise ValueError
    if _ISO.match(text):
        with contextlib.suppress(ValueError):
            return _placed(datetime.fromisoformat(text), spelling)
    if _NUMBER.fullmatch(text):
        return _since_1970(float(text) if "." in text else int(text))
    if slashed := _SLASHED.fullmatch(text):
        return _slashed(slashed, spelling)
    try:
        moment = datetime.fromisoformat(_OFFSET.sub(_joined, text))
    except ValueError:
        if not _EMAIL.match(text):
            raise
        moment = parsedate_to_datetime(text)
    return _placed(moment, spelling)


def _placed(moment: datetime, spelling: Spelling) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=spelling.zone)


def _joined(offset: re.Match[str]) -> str:
    name = offset[1].upper()
    return "+00:00" if name in ("UTC", "GMT", "Z") else name


def _slashed(found: re.Match[str], spelling: Spelling) -> datetime:
    one, two = int(found["one"]), int(found["two"])
    if found["sign"] == "." or one > 12:
        day, month = one, two
    elif two > 12 or one == two:
        day, month = two, one
    elif spelling.order:
        day, month = (one, two) if spelling.order == EU else (two, one)
    else:
        raise BadRow(f"{found[0]!r} may be the day or the month first: say which with --dates {EU} or --dates {US}.")
    hour = int(found["hour"] or 0)
    if half := (found["half"] or "").lower():
        if not 1 <= hour <= 12:
            raise ValueError
        hour = hour % 12 + (12 if half.startswith("p") else 0)
    minute, second = int(found["minute"] or 0), int(found["second"] or 0)
    return datetime(int(found["year"]), month, day, hour, minute, second, tzinfo=spelling.zone)
