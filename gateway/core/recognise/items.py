"""Lists of things and quantities: "20 shirts and 5 caps", "shirts x 20, caps: 5", 1*20 on a keypad."""

import difflib
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from gateway.core.recognise import choices, numbers
from gateway.core.recognise.choices import Choosable
from gateway.core.recognise.words import folded

ITEMS_LIMIT, NOUN_LIMIT, MOST = 20, 60, 1_000_000

_ENDS = (
    r"please|pls|plz|thanks|thank|thx|for|by|to|at|on|in|from|with|my|i|i'd|i'll|we|we'd|we'll|you|it|they|need|needed|delivered|tomorrow"
    r"|today|next|this|asap|is|are|was|not|instead|if|when|because|but|so|about|only|each|total|am|pm|hours?"
    r"|should|must|will|would|can|be"
    r"|minutes?|days?|weeks?"
)
# "20 shirts n 5 caps" as people type, and the and of our neighbours.
_JOINS = "and|or|plus|n|und|et|y"
# How far before a number its noun may begin.
_BEFORE = 80
# What counts things and is none.
_NO_THING = (
    "(?:the |my )?(?:quantity|quantities|amount|order|number|numbers|items?|total|qty|count|pieces?|pcs|things?)"
)
_WORD = rf"(?!(?:{_ENDS}|{_JOINS})\b)[^\W\d_][^\s\d,;:+=*×()!?\"/|]*"
_NOUN = rf"(?:(?:pcs?\.?|pieces?|units?|boxes|packs|x|×|\*)\s*(?:of\s+)?|of\s+)?(?P<noun>{_WORD}(?:\s+{_WORD}){{0,4}})"
_AFTER_NUMBER = re.compile(rf"\s*[x×*]?\s*{_NOUN}", re.IGNORECASE)
_BEFORE_NUMBER = re.compile(
    rf"(?:^|[,;\n.+&]|\b(?:{_JOINS})\b)\s*(?:\d+[.)]\s*)?(?P<noun>{_WORD}(?:\s+{_WORD}){{0,4}})"
    r"\s*(?:[x×:=*-]|\b(?:to|is|are|should be|must be|will be)\b)?\s*$",
    re.IGNORECASE,
)
_ONE = re.compile(rf"(?<!\w)(?:an?|one)\s+{_NOUN}", re.IGNORECASE)
# 20x shirts
_TIMES = re.compile(r"(?<=\d)[x×](?![\w])")
_LEADING = re.compile(
    r"^(?:(?:can|could|may|i|we|you|i'?d|we'?d|i'?ll|would|want|wanna|need|like|love|have|get|give|take|order|ordering"
    r"|buy|send|me|us|to|please|also|add|make|it|of|the|a|an|some|more|another|bring|my|is|are|about|around|change"
    r"|update|set|only|just|instead|no|actually|sorry|wait)\s+)+",
    re.IGNORECASE,
)


class Items(NamedTuple):
    """What was found, and where it begins and ends; `unknown` is what is not among the options."""

    value: list[dict[str, Any]]
    start: int
    end: int
    unknown: str = ""


def find(text: str, options: Sequence[Choosable] = (), *, other: bool = True) -> Items | None:
    """Find the things and how many of each. Of several mentions of one thing the last counts."""
    found: dict[str, dict[str, Any]] = {}
    start, end, unknown = len(text), 0, ""
    text = _TIMES.sub(" ", text)
    for number in numbers.spot(text):
        noun, first, last = _noun_of(text, number, end)
        if not noun or not number.value.is_integer() or not 0 < number.value <= MOST:
            continue
        known = _known(options, noun, other=other)
        if known is None and options and not other:
            unknown = unknown or noun
            continue
        item = known or noun
        found[folded(item)] = {"item": item, "quantity": int(number.value)}
        start, end = min(start, first), max(end, last)
        if len(found) >= ITEMS_LIMIT:
            break
    if (
        not found
        and not unknown
        and (one := _ONE.search(text))
        and (known := _known(options, one["noun"], other=other))
    ):
        return Items([{"item": known, "quantity": 1}], *one.span())
    return Items(list(found.values()), start, end, unknown) if found or unknown else None


def _noun_of(text: str, number: numbers.Number, after: int) -> tuple[str, int, int]:
    """Give the noun behind a number, or before it ("shirts x 20"), and the whole's place."""
    behind = _AFTER_NUMBER.match(text, number.end)
    if behind and (noun := _tidy(behind["noun"])):
        return noun, number.start, behind.end()
    after = max(after, number.start - _BEFORE)
    before = _BEFORE_NUMBER.search(text[after : number.start]) if number.start > after else None
    if before and (noun := _tidy(before["noun"])):
        return noun, after + before.start("noun"), number.end
    return "", 0, 0


def _tidy(noun: str) -> str:
    noun = re.sub(r"\s+[x×-]$", "", _LEADING.sub("", noun.strip(" .-'") + " ").strip(), flags=re.IGNORECASE)
    return "" if re.fullmatch(rf"(?:{_ENDS}|{_NO_THING})", noun, re.IGNORECASE) else noun[:NOUN_LIMIT].strip()


def _known(options: Sequence[Choosable], noun: str, *, other: bool) -> str | None:
    """Give the option a noun means, singular and plural alike; "blue mugs" are mugs where there is nothing `other`."""
    for spelling in (noun, noun.rstrip("s"), f"{noun}s", f"{noun}es"):
        for option in options:
            if folded(spelling) in {folded(name) for name in (option.value, *option.words)}:
                return option.value
    return _misspelt(options, noun) if other else choices.choose(options, noun)


def _misspelt(options: Sequence[Choosable], noun: str) -> str | None:
    """Give the option that a noun was to be: letters changed places in it, or one is too many or missing."""
    spelt = folded(noun).replace(" ", "").rstrip("s")
    for option in options:
        for name in (folded(name).replace(" ", "").rstrip("s") for name in (option.value, *option.words)):
            swapped = spelt[:1] == name[:1] and sorted(spelt) == sorted(name)
            slipped = len(spelt) != len(name) and difflib.SequenceMatcher(None, spelt, name).ratio() > 0.9
            if len(name) > 2 and (swapped or (len(name) > 4 and slipped)):
                return option.value
    return None


def keyed(digits: str, options: Sequence[Choosable]) -> list[dict[str, Any]] | None:
    """Read pairs of option and quantity from a keypad: 1*20*2*5 is twenty of the first and five of the second."""
    parts = [part for part in digits.split("*") if part]
    if not parts or len(parts) % 2 or not all(part.isdecimal() and len(part) < 7 for part in parts):
        return None
    pairs = [(choices.by_number(options, key), int(count)) for key, count in zip(parts[::2], parts[1::2], strict=True)]
    if any(option is None or count == 0 for option, count in pairs):
        return None
    counted = {option: {"item": option, "quantity": count} for option, count in pairs}
    return list(counted.values())[:ITEMS_LIMIT]


def share(old: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]]) -> bool:
    """Tell whether two lists have a thing in common."""
    return bool({_stem(one["item"]) for one in old} & {_stem(one["item"]) for one in new})


def merged(old: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put changed quantities into a list, and new things behind it."""
    by_name = {_stem(one["item"]): dict(one) for one in old}
    for one in new:
        known = by_name.setdefault(_stem(one["item"]), dict(one))
        known["quantity"] = one["quantity"]
    return list(by_name.values())[:ITEMS_LIMIT]


def without(old: Sequence[dict[str, Any]], noun: str) -> list[dict[str, Any]] | None:
    """Leave a thing out of a list; None where it is not in it, or alone in it."""
    rest = [one for one in old if _stem(one["item"]) != _stem(noun)]
    return rest if rest and len(rest) < len(old) else None


def _stem(noun: str) -> str:
    return folded(noun).removesuffix("s")


def shown(value: Sequence[dict[str, Any]]) -> str:
    """Write a list for people: 20 shirts, 5 caps."""
    return ", ".join(f"{one['quantity']} {one['item']}" for one in value)


def total(value: Sequence[dict[str, Any]]) -> int:
    """Add the quantities up."""
    return sum(one["quantity"] for one in value)
