"""Numbers: 20, 1,000, 2.5, twenty-five, a dozen, one hundred and twenty."""

import re
from collections.abc import Iterator
from typing import NamedTuple

UNITS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
}  # fmt: skip
_TEENS = {
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19,
}  # fmt: skip
TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fourty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80,
    "ninety": 90,
}  # fmt: skip
SMALL = UNITS | _TEENS | TENS
_TIMES = {"dozen": 12, "dozens": 12, "hundred": 100, "thousand": 1000, "million": 1_000_000}
_PAIRS = {"couple": 2, "pair": 2}

# No number that somebody orders has more.
WORDS_LIMIT = 12

_WORD = rf"(?:{'|'.join([*SMALL, *_TIMES, *_PAIRS])})"
_IN_WORDS = rf"(?:(?:half an?|an?|half)\s+(?:{'|'.join([*_TIMES, *_PAIRS])})|{_WORD})(?:(?:\s+|-)(?:and\s+)?{_WORD})*"
_IN_DIGITS = r"[-+]?(?:\d{1,3}(?:[,.' ]\d{3})+(?![\d])(?:[.,]\d{1,6})?|\d{1,15}(?:[.,]\d{1,6})?)"
_NUMBER = re.compile(
    rf"(?<![\w.,@+#/:-])(?:(?P<digits>{_IN_DIGITS})(?P<by>\s?k\b|\s+(?:dozen|hundred|thousand|million)\b)?"
    rf"|(?P<words>{_IN_WORDS}))(?![\w@]|[.,:/-]\d)",
    re.IGNORECASE,
)
_GROUPED = re.compile(r"[-+]?\d{1,3}(?:[,.' ]\d{3})+")


class Number(NamedTuple):
    """A number and where it stands."""

    value: float
    start: int
    end: int


def spot(text: str, *, decimals: bool = False) -> Iterator[Number]:
    """Find the numbers of a text. With `decimals` 1.500 is one and a half, else fifteen hundred."""
    for found in _NUMBER.finditer(text):
        value = _digits(found["digits"], decimals) if found["digits"] else _words(found["words"])
        if value is None:
            continue
        by = (found["by"] or "").strip().lower()
        factor = 1000 if by == "k" else _TIMES.get(by, 1)
        yield Number(value * factor, *found.span())


def _digits(written: str, decimals: bool) -> float:
    if _GROUPED.fullmatch(written) and not (decimals and written.count(".") == 1 and "," not in written):
        return float(re.sub(r"[,.' ]", "", written))
    whole, sign, rest = re.sub("[' ]", "", written).replace(",", ".").rpartition(".")
    return float(f"{whole.replace('.', '')}{sign}{rest}")


def _words(written: str) -> float | None:
    words = re.split(r"[\s-]+", written.lower())
    half = words[0] == "half"
    words = [word for word in words if word not in ("a", "an", "and", "half")]
    if len(words) > WORDS_LIMIT:
        return None
    if len(words) > 1 and all(word in UNITS for word in words):
        return float("".join(str(UNITS[word]) for word in words))  # spelt digit by digit
    total = current = 0
    for word in words:
        if word in _TIMES and _TIMES[word] >= 1000:
            total, current = total + max(current, 1) * _TIMES[word], 0
        elif word in _TIMES:
            current = max(current, 1) * _TIMES[word]
        else:
            value = SMALL.get(word, _PAIRS.get(word, 0))
            if not _follows(current, value):
                return None
            current += value
    return (total + current) / (2 if half else 1)


def _follows(current: int, value: int) -> bool:
    """Tell whether a number word may come after the others: five after twenty, but not after seven."""
    if current == 0:
        return True
    return value < 10 and current % 10 == 0 and current % 100 != 10 if value < 10 else current % 100 == 0


def shown(value: float) -> str:
    """Write a number without needless decimals."""
    return str(int(value)) if float(value).is_integer() else f"{value:g}"
