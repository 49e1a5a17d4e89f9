"""Corrections: "Hari, not Harry", "make it 30 shirts", "also 5 mugs", "remove the caps"."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from gateway.core.flow_parts.answers import Answer, answer, shown
from gateway.core.flow_parts.definition import Field, Kind
from gateway.core.flow_parts.reading import DENIED, MARKED, Reading
from gateway.core.recognise import items, numbers
from gateway.core.recognise.words import folded, without_politeness

_REMOVE = re.compile(
    r"\b(?:remove|drop|without|delete|scrap|ditch|skip|cancel|forget(?: about)?|lose|no more|leave out|leave off"
    r"|take out|take off|(?:don't|dont|do not) (?:want|need)|no)\s+(?:the\s+)?(?P<noun>[^\W\d_][^\n,.;]{0,60})",
    re.IGNORECASE,
)
_OTHERWISE = re.compile(r"^(?:it|that)\s+|[\s,]+(?:instead|rather|please|then|actually|i meant?)\W*$", re.IGNORECASE)
_INSTEAD = re.compile(
    r"[\s,]+(?:instead|rather)(?:\s+(?:of|than)\s+(?:the\s+|my\s+|\d+\s+)*(?P<noun>[^\W\d_][^\n,.;]{0,60}))?",
    re.IGNORECASE,
)
_HALF = re.compile(r"\b[ap]\.?\s?m\b|morning|noon|midday|evening|night", re.IGNORECASE)
_HALF_A_DAY, _FAR_APART = timedelta(hours=12), timedelta(hours=10)
_BEFORE_NOT = re.compile(r"^\W*(?:(?:no|nope|sorry|actually|wait|oops)\b[\s,.!]*)+(?=not\b)", re.IGNORECASE)
_ADD = re.compile(r"\b(?:add|also|plus|more)\b", re.IGNORECASE)


def read_replaced(reading: Reading) -> None:
    """Read "Hari, not Harry" and "not Harry but Hari": what is denied tells the field."""
    text = _BEFORE_NOT.sub("", reading.rest).strip()
    text = text if DENIED.match(text) else MARKED.sub("", text).strip()
    halves = re.split(r"[\s,]+(?:but|rather|it's|it is)\s+", text, maxsplit=1, flags=re.IGNORECASE)
    denied = DENIED.match(text)
    if denied and len(halves) == 2:
        old, new = halves[0][denied.end() :], halves[1]
    elif (denied := DENIED.search(text)) and text[: denied.start()].strip():
        old, new = text[denied.end() :], text[: denied.start()]
    else:
        return
    new = re.sub(r"^(?:it's|it is|its|is|that's|i'm|to)\s+", "", new.strip(" ,.\n"), flags=re.IGNORECASE)
    for name, value in reading.known.items():
        one = reading.flow.fields.get(name)
        if one is None or name in reading.values or not value:
            continue
        if one.kind is Kind.ITEMS and not (new.isdecimal() and _is_one_quantity(value, old.strip(" ,.!\n"))):
            continue  # quantities are changed by what they are of
        if (whole := _put_right(shown(one, value), old.strip(" ,.!\n"), new)) and reading.take(
            one, answer(one, whole, reading.heard), cut=False
        ):
            reading.rest = ""
            return


def _is_one_quantity(listed: Sequence[Mapping[str, Any]], said: str) -> bool:
    return said.isdecimal() and [one["quantity"] for one in listed].count(int(said)) == 1


def _put_right(value: str, old: str, new: str) -> str:
    """Put the new words where the old ones stand in a value; nothing where they do not stand there."""
    if not folded(old) or not new:
        return ""
    changed, count = re.subn(rf"(?<!\w){re.escape(old)}(?!\w)", lambda _: new, value, count=1, flags=re.IGNORECASE)
    return changed if count else ""


def read_changed_items(reading: Reading) -> None:
    """Read "make it 30 shirts", "also 5 mugs" and "no caps" as changes of a list that is known."""
    for name, value in reading.known.items():
        one = reading.flow.fields.get(name)
        if one is None or one.kind is not Kind.ITEMS or not value or name in reading.values:
            continue
        if not (reading.free or reading.corrects):
            continue
        gone = _REMOVE.search(reading.rest)
        if gone and (rest := items.without(value, without_politeness(gone["noun"]))):
            reading.values[name] = rest
            reading.rest = reading.rest.replace(gone[0], "\n")
            return
        instead = _INSTEAD.search(reading.rest)
        said = reading.rest[: instead.start()] if instead else reading.rest
        found = items_or_count(reading, one, MARKED.sub("", said).removeprefix("it "))
        if found and not found.wrong:
            changed = _changed(reading, value, found.value, instead)
            if changed and reading.take(one, found._replace(value=changed), cut=False):
                reading.rest = ""
                return


def _changed(
    reading: Reading, old: list[dict[str, Any]], new: list[dict[str, Any]], instead: re.Match[str] | None
) -> list[dict[str, Any]] | None:
    """Put new things into a list, in the place of what they are to be instead of; None where that is not clear."""
    if instead and instead["noun"]:
        left = items.without(old, without_politeness(instead["noun"]))
        return items.merged(left, new) if left else new if len(old) == 1 else None
    if instead and not items.share(old, new):
        return new if len(old) == 1 else None
    adds = reading.free or _ADD.search(reading.rest) or items.share(old, new)
    return items.merged(old, new) if adds else None


def read_chosen_otherwise(reading: Reading) -> None:
    """Read what can only be another answer to a question of before, while a summary is being confirmed."""
    text = _OTHERWISE.sub("", MARKED.sub("", reading.heard.text)).strip()
    numbered = [name for name in reading.known if (one := reading.flow.fields.get(name)) and one.kind is Kind.NUMBER]
    for name, value in reading.known.items():
        one = reading.flow.fields.get(name)
        if one is None or not value or not text or name in reading.values:
            continue
        if one.kind is Kind.CHOICE and not text.isdecimal():
            found = answer(one, text, reading.heard)
        elif one.kind is Kind.DATE:
            found = answer(one, text, reading.heard, asked=False) or _at_another_time(reading, one, text, str(value))
        elif one.kind is Kind.NUMBER and len(numbered) == 1 and (reading.corrects or text not in ("1", "2")):
            found = answer(one, text, reading.heard) if re.fullmatch(r"[\w -]{1,40}", text) else None
        else:
            continue
        if reading.take(one, found, cut=False):
            reading.rest = ""


def _at_another_time(reading: Reading, one: Field, text: str, known: str) -> Answer | None:
    """Read "at 6 pm", and "make it 11", as another time of the day that is known."""
    day = datetime.fromisoformat(known[:10])
    if "T" in known and reading.corrects and re.fullmatch(r"\d{1,2}", text):
        text = f"at {text}"
    if day <= reading.heard.at:
        return None
    found = answer(one, text, replace(reading.heard, at=day))
    return found._replace(value=_same_half(known, found.value)) if found and not re.search(_HALF, text) else found


def _same_half(known: str, said: str) -> str:
    """Read 7:30 as half past seven in the evening where eight in the evening was said before."""
    before, after = datetime.fromisoformat(known), datetime.fromisoformat(said)
    return (after + _HALF_A_DAY).isoformat(timespec="minutes") if before - after > _FAR_APART else said


def items_or_count(reading: Reading, one: Field, part: str) -> Answer | None:
    """Read items, or a bare quantity where there is one thing alone that it can be of."""
    known, found = reading.known.get(one.name), answer(one, part, reading.heard)
    count = next(numbers.spot(part), None)
    if found or not count or not isinstance(known, list) or len(known) != 1 or not count.value.is_integer():
        return found
    return answer(one, items.shown([{"item": known[0]["item"], "quantity": int(count.value)}]), reading.heard)
