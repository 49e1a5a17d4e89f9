"""How people are called and reached: names, telephone numbers and e-mail addresses, written or said."""

import re
import unicodedata

from gateway.core import emails
from gateway.core.recognise.numbers import SMALL, TENS, UNITS
from gateway.core.recognise.vocabulary import NO_NAMES, PARTICLES
from gateway.core.recognise.words import folded, without_politeness

NAME_LIMIT = 80
FEWEST_DIGITS, MOST_DIGITS = 7, 15

INTRODUCTION = r"(?:i'?m|i am|this is|it'?s|it is|call me|they call me|you can call me|speaking is|am)"
_INTRODUCED = re.compile(
    rf"^(?:(?:and|but|no|hi|hello|hey|yes|sure|sorry|actually)\b[\s,]*)*"
    r"(?:(?:my|the|our|his|her)?\s*(?:full )?(?:name|nme|nam|naem|nmae)(?:'s| is| was|:| =)?"
    rf"|(?:(?:the |my )?(?:order|it|this|that)(?: is|'?s) )?(?:for|under)|{INTRODUCTION})\b[\s:=,-]*",
    re.IGNORECASE,
)
_AFTER_NAME = re.compile(r"\s+(?:here|speaking|this side)\W*$|[.!,]+$", re.IGNORECASE)


def name(text: str, *, asked: bool = True) -> str | None:
    """Read a name; None where the words are none. One that was not `asked` for begins with a capital."""
    text = re.split(r"[\s,]+not\s", text, maxsplit=1)[0]
    text = _AFTER_NAME.sub("", _INTRODUCED.sub("", without_politeness(text), count=1).strip(" \"'*_"))
    text = _AFTER_NAME.sub("", without_politeness(text)).strip(" \"'*_-")
    words = text.split()
    if not 1 <= len(words) <= 6 or len(text) > NAME_LIMIT or not all(map(_is_name_like, words)):
        return None
    if not any(map(str.isalpha, text)) or folded(words[0]) in NO_NAMES or folded(text) in NO_NAMES:
        return None
    if {"is", "are", "was"} & set(map(str.lower, words)):
        return None
    if words[0].islower() and words[0].endswith("ing") and len(words) > 1:
        return None
    if not asked and (words[0][0] != words[0][0].upper() or len(words) > 4):
        return None
    return " ".join(map(_capitalised, words)) if text == text.lower() else text


def _is_name_like(word: str) -> bool:
    return all(sign.isalpha() or sign in "'-.·\u200c\u200d" or unicodedata.category(sign)[0] == "M" for sign in word)


def _capitalised(word: str) -> str:
    return word if word in PARTICLES else word[:1].upper() + word[1:]


_SAID_DIGITS = {**{word: str(digit) for word, digit in UNITS.items()}, "oh": "0", "o": "0", "nought": "0", "null": "0"}
_REPEATED = {"double": 2, "triple": 3, "treble": 3}
_PLAIN = re.compile(
    r"(?<![\w@.+-])(?P<plus>\+|00(?=[1-9]))?\s?(?P<rest>\(?\d[\d ().\-/\u2010-\u2015]{4,30}\d)(?![\w@])"
)
_DATE_LIKE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}|\d{1,2}([/.-])\d{1,2}\1(?:\d{4}|\d{2})")
_TOKEN = re.compile(r"\+|\d+|[a-z]+", re.IGNORECASE)
_SAID_WORD = rf"(?:\+|\d+|plus|{'|'.join([*_SAID_DIGITS, *SMALL, *_REPEATED, 'hundred', 'thousand'])})"
_SAID = re.compile(rf"(?<![\w@.]){_SAID_WORD}(?:[\s,.()\-]+{_SAID_WORD})+(?![\w@])", re.IGNORECASE)


def phone(text: str, *, spoken: bool = False) -> tuple[str, int, int] | None:
    """Find a telephone number: its digits, with a + where one was given, and where it stands."""
    for found in _PLAIN.finditer(text):
        rest, end = _one_number(found["rest"], bool(found["plus"]))
        digits = re.sub(r"\D", "", rest)
        if FEWEST_DIGITS <= len(digits) <= MOST_DIGITS and not _DATE_LIKE.fullmatch(rest.strip()):
            return ("+" if found["plus"] else "") + digits, found.start(), found.start("rest") + end
    for found in _SAID.finditer(text):
        if not spoken and not re.search("[a-z]", found[0], re.IGNORECASE):
            continue  # a list of answers, or a date
        digits = _said(found[0])
        if FEWEST_DIGITS <= len(digits.lstrip("+")) <= MOST_DIGITS:
            return digits, *found.span()
    return None


def _one_number(written: str, international: bool) -> tuple[str, int]:
    """Cut where a number is whole: what follows seven digits in a row is another answer."""
    for group in re.finditer(r"\d+", written):
        if len(group[0]) >= FEWEST_DIGITS and (not international or len(group[0]) <= MOST_DIGITS):
            return written[: group.end()], group.end()
    return written, len(written)


def _said(text: str) -> str:
    digits, times, tens = "", 1, False
    for token in _TOKEN.findall(text.lower()):
        if token in ("+", "plus"):
            digits += "" if digits else "+"
            continue
        if token in _REPEATED:
            times = _REPEATED[token]
            continue
        digit = _SAID_DIGITS.get(token)
        if tens and digit and digit != "0":
            digits = digits[:-1] + digit  # forty eight
        elif digit is not None:
            digits += digit * times
        else:
            digits += {"hundred": "00", "thousand": "000"}.get(token) or str(SMALL.get(token, token)) * times
        times, tens = 1, token in TENS
    return digits


_ADDRESS = re.compile(r"[^\s@<>,;:\"'()\[\]]{1,64}@[^\s@<>,;:\"'()\[\]]{1,189}")
# A sign is part of a name or stands between two, and a word for one stands by itself: with each that could be read both
# ways a search takes longer, until a text of nothing else keeps a process busy for hours.
_ALONE = r"(?<![\w'&-])(?:{})(?![\w'&-])"
_AT = rf"\s*(?:[(\[]\s*at\s*[)\]]|@|{_ALONE.format('at')})\s*"
_DOT = rf"\s*(?:[(\[]\s*dot\s*[)\]]|\.|{_ALONE.format('dot|point')})\s*"
_SIGN = rf"\s*(?:{_ALONE.format('underscore|dash|hyphen|minus|plus')}|[+-])\s*"
_JOIN = rf"(?:{_DOT}|{_SIGN}|(?<=_)\s+|(?<!_)\s+(?=_))"
_SPELT = re.compile(
    rf"(?<![\w.'&])(?P<local>[\w'&]{{1,64}}(?:{_JOIN}[\w'&]{{1,64}}){{0,6}}){_AT}"
    rf"(?P<domain>[a-z0-9-]+(?: [a-z0-9-]+)?(?:{_DOT}[a-z0-9-]+){{0,3}}{_DOT}[a-z]{{2,24}})(?![\w@])",
    re.IGNORECASE,
)
_SIGNS = {"dot": ".", "point": ".", "underscore": "_", "dash": "-", "hyphen": "-", "minus": "-", "plus": "+", "at": "@"}
_BEFORE_ADDRESS = re.compile(r"^.*\b(?:is|it's|its|address|e-?mail|to|at:|:)\s+", re.IGNORECASE)


def email(text: str, *, asked: bool = False) -> tuple[str, int, int] | None:
    """Find an e-mail address, in signs or in words (h at example dot com): as it is kept, and where it stands.

    Where it was `asked` for, words and letters before the "at" are one name: "h a r i at example dot com".
    """
    for found in _ADDRESS.finditer(text):
        address = emails.normalised(found[0].strip(".!?*_"))
        if address and re.search(r"[^.]\.[^.\d]{2,}$", address.rpartition("@")[2]):
            return address, *found.span()
    for found in _SPELT.finditer(text):
        start, local = found.start(), found["local"]
        before = text[: found.start()]
        if asked and before.strip() and "\n" not in before and "," not in before:
            spelt = _BEFORE_ADDRESS.sub("", before)
            if len(spelt.split()) <= 12 and re.fullmatch(r"[\w\s.+-]*", spelt):
                start, local = len(before) - len(spelt), spelt + local
        address = emails.normalised(f"{_in_signs(local)}@{_in_signs(found['domain'])}")
        if address:
            return address, start, found.end()
    return None


def _in_signs(words: str) -> str:
    parts = re.split(r"[\s()\[\]]+", words.lower())
    return "".join(_SIGNS.get(part, part) for part in parts)
