"""Messages made comparable: one spelling of signs and digits, no invisible ones, words in lower case."""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

# What is read of a message; nobody's answer is longer, and every pattern below is quick on so much.
READ_LIMIT = 1000

_QUOTES = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "`": "'", "´": "'", "“": '"', "”": '"', "„": '"', "\u00a0": " "})
# Two of the format characters are letters' joiners (Persian, Malayalam); the others only turn or hide text.
_KEPT = {"\n", "\u200c", "\u200d"}
_POLITE = r"(?:please|pls|plz|thanks|thank you|thx|sir|madam|ma'am)"
_AROUND = re.compile(
    rf"^(?:(?:{_POLITE}|well|so|um+|uh+|er+|oh|hi|hello|hey|ok|okay)\b[\s,.!]*)+|[\s,]+{_POLITE}\W*$", re.I
)


def clean(text: str) -> str:
    """Write a message plainly: ASCII digits and quotes, single spaces, lines kept; no control characters."""
    text = unicodedata.normalize("NFC", text[:READ_LIMIT].translate(_QUOTES))
    kept = "".join(filter(None, map(_plain, text.replace("\r", "\n"))))
    lines = (" ".join(line.split(" ")) for line in kept.split("\n"))
    return "\n".join(filter(None, (re.sub(" +", " ", line).strip() for line in lines)))


def _plain(character: str) -> str:
    if character < "\x7f" and character >= " ":
        return character
    if character in _KEPT:
        return character
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category.startswith("Z") or category == "Cc":
        return " "
    if category in ("Cf", "Cs", "Cn", "Co"):
        return ""
    return "+" if character == "＋" else "@" if character == "＠" else character


def folded(text: str) -> str:
    """Give the words of a text alone, in lower case: what two spellings of one answer have in common."""
    return " ".join(
        "".join(sign if is_of_word(sign) or sign == "'" else " " for sign in text.casefold()).split()
    ).strip("' ")


def is_of_word(sign: str) -> bool:
    """Tell whether a sign is part of a word; vowel signs are, which many scripts write as marks of their own."""
    return sign.isalnum() or sign in "\u200c\u200d" or unicodedata.category(sign)[0] == "M"


def without_politeness(text: str) -> str:
    """Leave greetings, hesitation and thanks out, where there is anything else."""
    previous, shorter = "", text.strip()
    while shorter != previous:
        previous, shorter = shorter, _AROUND.sub("", shorter).strip()
    return shorter or text.strip()


@lru_cache(maxsize=512)
def _phrases(phrases: tuple[str, ...]) -> re.Pattern[str]:
    spelt = sorted({folded(phrase) for phrase in phrases} - {""}, key=lambda phrase: (-len(phrase), phrase))
    return re.compile(rf"(?<![^ ])(?:{'|'.join(map(re.escape, spelt))})(?![^ ])") if spelt else re.compile(r"(?!)")


def phrase_in(phrases: Iterable[str], text: str) -> str:
    """Find the longest phrase that stands in a text as whole words, as folded; empty where none does."""
    found = _phrases(tuple(phrases)).findall(folded(text))
    return max(found, key=len, default="")


def is_phrase(phrases: Iterable[str], text: str) -> bool:
    """Tell whether a text is one of these phrases, politeness and signs aside."""
    return bool(_phrases(tuple(phrases)).fullmatch(folded(without_politeness(text))))


def begins_with_phrase(phrases: Iterable[str], text: str) -> bool:
    """Tell whether a text begins with one of these phrases as whole words."""
    return bool(_phrases(tuple(phrases)).match(folded(without_politeness(text))))
