"""One field and some words: whether they answer it, and what is wrong with an answer that does not fit."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from gateway.core import emails
from gateway.core.flow_parts.definition import Field, Kind
from gateway.core.recognise import choices, dates, items, numbers, persons
from gateway.core.recognise.words import clean

TEXT_DEFAULT, REGEX_INPUT, NUMBER_MOST = 500, 64, 999_999_999
# What all values of a state may weigh; see `state.STORED_LIMIT`.
VALUES_LIMIT = 5000


@dataclass(frozen=True, slots=True)
class Heard:
    """A message as it is read: cleaned, with the moment by the local clock and the flow's own words."""

    text: str
    at: datetime
    spoken: bool = False
    digits: bool = False
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class Answer(NamedTuple):
    """A value, and where in the text it stands. `wrong` says in one word why it does not fit, `what` about what."""

    value: Any
    start: int
    end: int
    wrong: str = ""
    what: str = ""


def answer(field: Field, text: str, heard: Heard, *, asked: bool = True) -> Answer | None:
    """Read some words as the answer to a field; None where they are none at all."""
    found = _READERS[field.kind](field, text, heard, asked)
    if found is None or found.wrong:
        return found
    return found._replace(wrong=wrong_with(field, found.value))


def keyed(field: Field, digits: str, heard: Heard) -> Any:
    """Read what was keyed on a telephone; None where a keypad cannot say that."""
    digits = digits.strip().rstrip("#")
    if field.kind is Kind.CHOICE:
        return choices.by_number(field.options, digits)
    if field.kind is Kind.YES_NO:
        return {"1": "yes", "2": "no"}.get(digits)
    if field.kind is Kind.NUMBER:
        return _keyed_number(field, digits)
    if field.kind is Kind.PHONE:
        number = re.sub("^00", "+", digits.replace("*", "+", 1) if digits.startswith("*") else digits)
        return number if re.fullmatch(r"\+?\d{7,15}", number) else None
    if field.kind is Kind.DATE:
        return dates.keyed(digits, heard.at, order=field.order, past=field.past)
    if field.kind is Kind.ITEMS:
        return items.keyed(digits, field.options)
    if field.kind is Kind.REGEX:
        return digits if _matches(field.pattern, digits) else None
    return digits if field.kind is Kind.TEXT and digits else None


def _keyed_number(field: Field, digits: str) -> float | int | None:
    written = digits.replace("*", ".", 1) if field.decimals else digits
    return _number(float(written)) if re.fullmatch(r"\d{1,12}(\.\d{1,6})?", written) else None


def _name(_field: Field, text: str, _heard: Heard, asked: bool) -> Answer | None:
    name = persons.name(text, asked=asked)
    return Answer(name, 0, len(text)) if name else None


def _phone(_field: Field, text: str, heard: Heard, _asked: bool) -> Answer | None:
    found = persons.phone(text, spoken=heard.spoken)
    return Answer(*found) if found else None


def _email(_field: Field, text: str, _heard: Heard, asked: bool) -> Answer | None:
    found = persons.email(text, asked=asked)
    return Answer(*found) if found else None


def _number_in(field: Field, text: str, _heard: Heard, _asked: bool) -> Answer | None:
    found = next(numbers.spot(text, decimals=field.decimals), None)
    return Answer(_number(found.value), found.start, found.end) if found else None


def _number(value: float) -> float | int:
    return int(value) if float(value).is_integer() else value


def _date(field: Field, text: str, heard: Heard, asked: bool) -> Answer | None:
    found = dates.find(text, heard.at, order=field.order, past=field.past, asked=asked)
    return Answer(*found) if found else None


def _choice(field: Field, text: str, _heard: Heard, _asked: bool) -> Answer | None:
    chosen = choices.choose(field.options, text)
    return Answer(chosen, 0, len(text)) if chosen else None


def _yes_no(_field: Field, text: str, heard: Heard, _asked: bool) -> Answer | None:
    said = choices.yes_or_no(text, heard.words.get("yes", ()), heard.words.get("no", ()))
    return Answer(said, 0, len(text)) if said else None


def _items(field: Field, text: str, _heard: Heard, _asked: bool) -> Answer | None:
    found = items.find(text, field.options, other=field.other)
    if found is None:
        return None
    wrong = ("unknown_item", found.unknown) if found.unknown else ("", "")
    return Answer(found.value, found.start, found.end, *wrong)


def _text(_field: Field, text: str, _heard: Heard, _asked: bool) -> Answer | None:
    return Answer(text.strip(), 0, len(text)) if text.strip() else None


def _regex(field: Field, text: str, _heard: Heard, _asked: bool) -> Answer | None:
    for part in [text.strip(" .,!?"), *re.split(r"[\s,;]+", text)[:40]]:
        if _matches(field.pattern, part):
            return Answer(part, (start := text.index(part)), start + len(part))
    return None


def _matches(pattern: str, text: str) -> bool:
    return bool(0 < len(text) <= REGEX_INPUT and re.fullmatch(pattern, text, re.IGNORECASE))


_READERS = {
    Kind.NAME: _name, Kind.PHONE: _phone, Kind.EMAIL: _email, Kind.NUMBER: _number_in, Kind.DATE: _date,
    Kind.CHOICE: _choice, Kind.YES_NO: _yes_no, Kind.ITEMS: _items, Kind.TEXT: _text, Kind.REGEX: _regex,
}  # fmt: skip


def wrong_with(field: Field, value: Any) -> str:
    """Say in a word why a value does not fit its field; empty where it does."""
    if field.kind is Kind.NUMBER:
        if not field.decimals and not float(value).is_integer():
            return "not_whole"
        return _out_of_range(field, value, NUMBER_MOST)
    if field.kind is Kind.ITEMS:
        return next(filter(None, (_out_of_range(field, one["quantity"], items.MOST) for one in value)), "")
    if field.kind is Kind.TEXT:
        least, most = field.least or 1, field.most or TEXT_DEFAULT
        return "too_short" if len(value) < least else "too_long" if len(value) > most else ""
    return ""


def _out_of_range(field: Field, value: float, most: float) -> str:
    if field.least is not None and value < field.least:
        return "too_small"
    return "too_large" if value > (most if field.most is None else field.most) or value < -most else ""


def fits(field: Field, value: Any) -> bool:
    """Tell whether a stored value is one this field may have: the file may have changed since."""
    if value == "" and field.optional:
        return True
    if field.kind is Kind.ITEMS:
        if not _is_items(value):
            return False
        known = {option.value for option in field.options}
        return (field.other or all(one["item"] in known for one in value)) and not wrong_with(field, value)
    if field.kind is Kind.NUMBER:
        return isinstance(value, int | float) and not isinstance(value, bool) and not wrong_with(field, value)
    if not isinstance(value, str) or not value:
        return False
    return _FITTING[field.kind](field, value)


def _is_items(value: object) -> bool:
    return (
        isinstance(value, list)
        and 0 < len(value) <= items.ITEMS_LIMIT
        and all(isinstance(one, Mapping) and set(one) == {"item", "quantity"} for one in value)
        and all(isinstance(one["item"], str) and isinstance(one["quantity"], int) for one in value)
    )


_FITTING: Mapping[Kind, Callable[[Field, str], bool]] = {
    Kind.NAME: lambda _field, value: len(value) <= persons.NAME_LIMIT,
    Kind.PHONE: lambda _field, value: re.fullmatch(r"\+?\d{7,15}", value) is not None,
    Kind.EMAIL: lambda _field, value: emails.normalised(value) == value,
    Kind.DATE: lambda _field, value: dates.is_valid(value),
    Kind.CHOICE: lambda field, value: any(option.value == value for option in field.options),
    Kind.YES_NO: lambda _field, value: value in ("yes", "no"),
    Kind.TEXT: lambda field, value: not wrong_with(field, value),
    Kind.REGEX: lambda field, value: _matches(field.pattern, value),
}


def given(field: Field, text: str, heard: Heard) -> Any:
    """Read what somebody else knows of a field (a contact's name, an API's value); None where it does not fit."""
    found = answer(field, clean(text), heard)
    return found.value if found and not found.wrong and fits(field, found.value) else None


def weight(values: Mapping[str, Any]) -> int:
    """Say how much values take in the database, in bytes and about."""
    return len(json.dumps(values, ensure_ascii=False).encode("utf-8", "replace"))


def shown(field: Field, value: Any, *, spoken: bool = False) -> str:
    """Write a value for people to read, or for the ear."""
    if value == "" or value is None:
        return ""
    if field.kind is Kind.ITEMS:
        return items.shown(value)
    if field.kind is Kind.DATE:
        return dates.shown(value, spoken=spoken)
    if field.kind is Kind.NUMBER:
        return numbers.shown(value)
    if spoken and field.kind is Kind.PHONE:
        number = str(value)
        return "plus " * number.startswith("+") + " ".join(number.lstrip("+"))
    if spoken and field.kind is Kind.EMAIL:
        return str(value).replace("@", " at ").replace(".", " dot ").replace("_", " underscore ").replace("-", " dash ")
    return str(value)
