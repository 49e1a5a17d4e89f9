"""Dates and times of day, as people write them, seen from the moment and the place of the one who is asked."""

import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import NamedTuple

from gateway.core.recognise.numbers import SMALL

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_MONTH = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_WEEKDAY = (
    r"(?P<weekday>mon(?:day)?|tues?(?:day)?|wed(?:nesday)?|thu(?:rs?)?(?:day)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?)"
)
_NTH = r"(?P<day>0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?"
_COUNT = rf"(?P<count>\d{{1,3}}|an?|{'|'.join(SMALL)})"

_FORMS = [
    (form, re.compile(rf"(?<![\w/.-]){pattern}(?![\w/-]|\.\d)", re.IGNORECASE))
    for form, pattern in (
        ("iso", r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})(?=$|[\sTt,.;!?])"),
        ("signs", r"(?P<first>\d{1,2})(?P<sign>[/.-])(?P<second>\d{1,2})(?:(?P=sign)(?P<year>\d{4}|\d{2})|\.)?"),
        ("words", rf"{_NTH}\s*(?:of\s+)?{_MONTH}(?:,?\s+(?P<year>\d{{4}}))?"),
        ("words", rf"{_MONTH}\s+(?:the\s+)?{_NTH}(?:,?\s+(?P<year>\d{{4}}))?"),
        ("near", r"(?P<near>(?:the\s+)?day after tomorrow|tomorrow|tmrw|tomorow|tommorow|today|tonight)"),
        ("after", rf"(?:in\s+)?{_COUNT}\s+(?P<unit>minutes?|mins?|hours?|days?|weeks?)(?:\s+from\s+(?:now|today))?"),
        ("after_word", r"(?P<word>next week|next month|(?:right )?now|right away|immediately|as soon as possible|asap"
            r"|any\s?time|whenever)"),
        ("weekday", rf"(?:on\s+)?(?P<which>next|this|coming)?\s*{_WEEKDAY}"),
    )
]  # fmt: skip
_TIME = re.compile(
    r"(?<![\w:./-])(?:at\s+|around\s+|by\s+|after\s+)?(?:"
    r"(?P<hour>[01]?\d|2[0-3])(?:[:.h](?P<minute>[0-5]\d))?\s*(?P<half>[ap])\.?\s?m\b\.?"
    r"|(?P<hour24>[01]?\d|2[0-3])(?::|(?<=\d)h)(?P<minute24>[0-5]\d)"
    r"|(?P<past>half past|quarter past|quarter to)\s+(?P<past_hour>\d{1,2}|[a-z]+)"
    r"(?:\s*(?P<past_half>[ap])\.?\s?m\b\.?)?"
    r"|(?P<said>[a-z]+)\s+(?P<said_half>[ap])\.?\s?m\b\.?"
    r"|(?P<clock>\d{1,2}|[a-z]+)\s*o'?\s?clock"
    r"|(?P<part>noon|midday|midnight|(?:in the\s+)?(?:morning|afternoon|evening)|lunch\s?time))(?![\w:])",
    re.IGNORECASE,
)
_ISO_TIME = re.compile(r"(?<=\d-\d\d)[Tt](?=\d\d:\d\d)")
_BARE = re.compile(r"(?<!\w)(?:at|after|around|about|before|by|from)\s+(?P<hour>\d{1,2})(?![\w:./-])", re.IGNORECASE)
_PARTS = {"noon": 12, "midday": 12, "midnight": 0, "morning": 9, "lunch": 12, "afternoon": 14, "evening": 18}
_MINUTES = {"half past": 30, "quarter past": 15, "quarter to": -15}
# "five" alone means the afternoon, for whoever is called back or comes to a shop.
_FIRST_HOUR = 7


class Day(NamedTuple):
    """A date, or with `T17:00` a moment by the local clock, and where it stands."""

    value: str
    start: int
    end: int


def find(text: str, at: datetime, *, order: str = "dmy", past: bool = False, asked: bool = True) -> Day | None:
    """Find the first date of a text; `at` is now, by the local clock and without a zone.

    Without a year the next such day is meant, without a day the next such hour. A weekday is the next one after
    today, "next friday" the one of the coming week (from Monday). What is gone is none, unless `past`. Where no date
    was `asked` for, weekdays need their whole name, and a time of day alone is none.
    """
    text = _ISO_TIME.sub(" ", text)
    for form, pattern in _FORMS:
        for found in pattern.finditer(text):
            if not asked and form in ("after", "after_word", "signs") and not _is_plain(form, found):
                continue
            if not asked and form == "weekday" and len(found["weekday"]) < 6 and not found["which"]:
                continue
            day = _READERS[form](found, at, order)
            if day is None:
                continue
            return _with_time(text, found, day, at, past)
    if not asked:
        return None
    return next(_times_alone(text, at), None)


def _is_plain(form: str, found: re.Match[str]) -> bool:
    return form == "signs" and bool(found["year"])


def _with_time(text: str, found: re.Match[str], day: date | datetime, at: datetime, past: bool) -> Day | None:
    start, end = found.span()
    if isinstance(day, datetime):
        return Day(_minute(day), start, end)
    clock = _time_near(text, end, start)
    today = at.date()
    if day < today and not past:
        return None
    if clock is None:
        return Day(day.isoformat(), start, end)
    hour, first, last = clock
    if datetime.combine(day, hour) < at and not past:
        return None
    return Day(f"{day.isoformat()}T{hour:%H:%M}", min(start, first), max(end, last))


def _time_near(text: str, end: int, start: int) -> tuple[time, int, int] | None:
    for pattern in (_TIME, _BARE):
        for found in pattern.finditer(text):
            apart = text[end : found.start()] if found.start() >= end else text[found.end() : start]
            if (clock := _clock(found)) and re.fullmatch(r"[\s,Tt]*(?:(?:at|on|in the|around)\s*)?", apart):
                return clock, *found.span()
    return None


def _times_alone(text: str, at: datetime) -> Iterator[Day]:
    for pattern in (_TIME, _BARE):
        for found in pattern.finditer(text):
            if clock := _clock(found):
                day = at.date() if clock > at.time() else at.date() + timedelta(1)
                yield Day(f"{day.isoformat()}T{clock:%H:%M}", *found.span())


def _clock(found: re.Match[str]) -> time | None:
    parts = found.groupdict()
    if parts.get("part"):
        return time(next(hour for name, hour in _PARTS.items() if name in parts["part"].lower()))
    said = parts.get("hour") or parts.get("hour24") or parts.get("past_hour") or parts.get("said") or parts.get("clock")
    hour = _hour(said or "")
    if hour is None:
        return None
    half = (parts.get("half") or parts.get("past_half") or parts.get("said_half") or "").lower()
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half == "p" else 0)
    elif not parts.get("hour24") and hour < _FIRST_HOUR:
        hour += 12
    minutes = int(parts.get("minute") or parts.get("minute24") or 0) + _MINUTES.get(
        (parts.get("past") or "").lower(), 0
    )
    hour, minute = divmod(hour * 60 + minutes, 60)
    return time(hour % 24, minute) if hour <= 24 else None


def _hour(said: str) -> int | None:
    hour = int(said) if said.isdecimal() else SMALL.get(said.lower())
    return hour if hour is not None and hour < 24 else None


def _iso(found: re.Match[str], _at: datetime, _order: str) -> date | None:
    return _date(int(found["year"]), int(found["month"]), int(found["day"]))


def _signs(found: re.Match[str], at: datetime, order: str) -> date | None:
    first, second = int(found["first"]), int(found["second"])
    day, month = (first, second) if (order == "dmy" or first > 12) and second <= 12 else (second, first)
    return _next_such(found["year"], month, day, at)


def _in_words(found: re.Match[str], at: datetime, _order: str) -> date | None:
    return _next_such(found["year"], _MONTHS.index(found["month"][:3].lower()) + 1, int(found["day"]), at)


def _next_such(year: str | None, month: int, day: int, at: datetime) -> date | None:
    if year:
        return _date(int(year) + (2000 if len(year) == 2 else 0), month, day)
    # A leap day may be eight years away.
    candidates = (_date(at.year + more, month, day) for more in range(9))
    return next((one for one in candidates if one and one >= at.date()), None)


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _near(found: re.Match[str], at: datetime, _order: str) -> date:
    word = found["near"].lower()
    return at.date() + timedelta(0 if word.startswith("to") and word[2] in "dn" else 2 if "after" in word else 1)


def _after(found: re.Match[str], at: datetime, _order: str) -> date | datetime:
    said, unit = found["count"].lower(), found["unit"].lower()
    count = int(said) if said.isdecimal() else SMALL.get(said, 1)
    if unit[0] in "mh":
        return at + (timedelta(minutes=count) if unit[0] == "m" else timedelta(hours=count))
    return at.date() + timedelta(count * (7 if unit[0] == "w" else 1))


def _after_word(found: re.Match[str], at: datetime, _order: str) -> date | datetime:
    word = found["word"].lower()
    if word == "next week":
        return at.date() + timedelta(7 - at.weekday())
    if word == "next month":
        return date(at.year + at.month // 12, at.month % 12 + 1, 1)
    return at


def _weekday(found: re.Match[str], at: datetime, _order: str) -> date:
    wanted = _WEEKDAYS.index(found["weekday"][:3].lower())
    if (found["which"] or "").lower() == "next":
        return at.date() + timedelta(7 - at.weekday() + wanted)
    return at.date() + timedelta((wanted - at.weekday() - 1) % 7 + 1)


_READERS = {
    "iso": _iso, "signs": _signs, "words": _in_words, "near": _near, "after": _after, "after_word": _after_word,
    "weekday": _weekday,
}  # fmt: skip


def _minute(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M")


def keyed(digits: str, at: datetime, *, order: str = "dmy", past: bool = False) -> str | None:
    """Read a date from a keypad: 2411 (day and month in their order), 24112026, or 1 today and 2 tomorrow."""
    if digits in ("1", "2"):
        return (at.date() + timedelta(int(digits) - 1)).isoformat()
    if len(digits) not in (4, 8):
        return None
    written = f"{digits[:2]}/{digits[2:4]}" + (f"/{digits[4:]}" if len(digits) == 8 else "")
    found = find(written, at, order=order, past=past)
    return found.value if found else None


def shown(value: str, *, spoken: bool = False) -> str:
    """Write a date or moment for people: Fri 27 Nov, 17:00; aloud Friday 27 November at 5 pm."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return value
    day = f"{moment:%A} {moment.day} {moment:%B}" if spoken else f"{moment:%a} {moment.day} {moment:%b}"
    if "T" not in value:
        return day
    if not spoken:
        return f"{day}, {moment:%H:%M}"
    minutes = f":{moment:%M}" if moment.minute else ""
    return f"{day} at {moment.hour % 12 or 12}{minutes} {'am' if moment.hour < 12 else 'pm'}"


def is_valid(value: object) -> bool:
    """Tell whether a stored value is a date or a moment to the minute."""
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d\d-\d\d(T\d\d:\d\d)?", value):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True
