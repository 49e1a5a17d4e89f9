"""Corrections: "Hari, not Harry", "make it 30 shirts", "also 5 mugs", "remove the caps"."""

import re

from gateway.core.flow_parts.answers import Answer, answer, shown
from gateway.core.flow_parts.definition import Field, Kind
from gateway.core.flow_parts.reading import DENIED, MARKED, Reading
from gateway.core.recognise import items, numbers
from gateway.core.recognise.words import folded

_REMOVE = re.compile(
    r"\b(?:remove|drop|without|delete|no more|leave out|take out|no)\s+(?:the\s+)?(?P<noun>[^\W\d_][^\n,.;]{0,60})",
    re.IGNORECASE,
)
_ADD = re.compile(r"\b(?:add|also|plus|more)\b", re.IGNORECASE)


def read_replaced(reading: Reading) -> None:
    """Read "Hari, not Harry" and "not Harry but Hari": what is denied tells the field."""
    text = MARKED.sub("", reading.rest).strip() if not DENIED.match(reading.rest) else reading.rest.strip()
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
        if (whole := _put_right(shown(one, value), old.strip(" ,.!\n"), new)) and reading.take(
            one, answer(one, whole, reading.heard), cut=False
        ):
            reading.rest = ""
            return


def _put_right(value: str, old: str, new: str) -> str:
    """Put the new words where the old ones stand in a value; nothing where they do not stand there."""
    if not old or not new or not folded(old):
        return ""
    return re.sub(
        rf"(?<!\w){re.escape(old)}(?!\w)", lambda _: new, value, count=1, flags=re.IGNORECASE
    ) if re.search(rf"(?<!\w){re.escape(old)}(?!\w)", value, re.IGNORECASE) else ""  # fmt: skip


def read_changed_items(reading: Reading) -> None:
    """Read "make it 30 shirts", "also 5 mugs" and "no caps" as changes of a list that is known."""
    for name, value in reading.known.items():
        one = reading.flow.fields.get(name)
        if one is None or one.kind is not Kind.ITEMS or not value or name in reading.values:
            continue
        if not (reading.free or reading.corrects):
            continue
        if (gone := _REMOVE.search(reading.rest)) and (rest := items.without(value, gone["noun"].strip())):
            reading.values[name] = rest
            reading.rest = reading.rest.replace(gone[0], "\n")
            return
        found = items_or_count(reading, one, MARKED.sub("", reading.rest).removeprefix("it "))
        if found and not found.wrong:
            adds = reading.free or _ADD.search(reading.rest)
            changed = items.merged(value, found.value, only_known=not adds)
            if changed and reading.take(one, found._replace(value=changed), cut=False):
                reading.rest = ""
                return


def items_or_count(reading: Reading, one: Field, part: str) -> Answer | None:
    """Read items, or a bare quantity where there is one thing alone that it can be of."""
    known = reading.known.get(one.name)
    count = next(numbers.spot(part), None)
    if isinstance(known, list) and len(known) == 1 and count and re.fullmatch(r"\W*", part[count.end :]):
        changed = [{"item": known[0]["item"], "quantity": int(count.value)}]
        return answer(one, items.shown(changed), reading.heard)
    return answer(one, part, reading.heard)
