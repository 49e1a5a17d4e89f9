"""Finding answers in a message: several at once, in any order, by label, by form and by place."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.core.flow_parts.answers import Answer, Heard, answer, keyed
from gateway.core.flow_parts.corrections import read_changed_items, read_chosen_otherwise, read_replaced
from gateway.core.flow_parts.definition import Field, Flow, Kind
from gateway.core.flow_parts.labels import read_labelled
from gateway.core.flow_parts.reading import STRONG, Reading, pieces
from gateway.core.recognise import persons
from gateway.core.recognise.vocabulary import SKIP
from gateway.core.recognise.words import is_phrase

# What may be left of a message that was all about other fields.
_FILLER = re.compile(
    r"\b(?:no|nope|sorry|actually|wait|oops|and|but|my|the|please|also|it|is|it's|its|you|can|could|would|be|should|i"
    r"|meant?|change|update|correct|edit|fix|set|hi|hello|hey|thanks|thank|to|are|so|well|ok|okay|yes|that|here|wrong"
    r"|instead|make)\b|[\W_]",
    re.IGNORECASE,
)

_BROKEN = re.compile(r"(?<![^\s@])[^\s@]{1,64}@\w\S{0,99}(?:\s?,\s?[a-z]{2,4}\b)?", re.IGNORECASE)


def find(flow: Flow, wanted: Sequence[Field], known: Mapping[str, Any], heard: Heard, *, free: bool = False) -> Reading:
    """Read a message: fields asked for and others, by label, by form and by place."""
    reading = Reading(flow, wanted, known, heard, free, rest=heard.text)
    first = reading.first
    if heard.digits and first:
        _keyed(reading, first)
        return reading
    if first and first.kind is Kind.TEXT:
        _free_text(reading, first)
        return reading
    read_labelled(reading)
    read_replaced(reading)
    read_changed_items(reading)
    _by_form(reading)
    confirmed = {one.name for one in wanted if reading.values.get(one.name) == "no"}
    if (free or (reading.corrects and not reading.values)) and not reading.values.keys() - confirmed:
        read_chosen_otherwise(reading)
    _by_place(reading)
    if first and not reading.values and first.optional and is_phrase((*SKIP, *heard.words.get("skip", ())), heard.text):
        reading.values[first.name] = ""
    return reading


def _keyed(reading: Reading, first: Field) -> None:
    digits = reading.heard.text.replace(" ", "")
    if first.optional and digits.strip("#") == "*":
        reading.values[first.name] = ""
        return
    value = keyed(first, digits, reading.heard)
    if value is not None:
        found = answer(first, str(value), reading.heard) if first.kind is Kind.NUMBER else None
        reading.take(first, found or Answer(value, 0, 0), cut=False)


def _free_text(reading: Reading, first: Field) -> None:
    """Take the whole message as it is, unless all of it is about other fields."""
    text, heard = reading.heard.text, reading.heard
    read_labelled(reading)
    read_replaced(reading)
    if reading.values and not _FILLER.sub("", reading.rest):
        return
    reading.values, reading.again = {}, ""
    if first.optional and is_phrase((*SKIP, *heard.words.get("skip", ())), text):
        reading.values[first.name] = ""
    else:
        reading.take(first, answer(first, text, heard), cut=False)


def _by_form(reading: Reading) -> None:
    """Read what is known by its form wherever it stands: e-mail addresses, telephone numbers, dates."""
    first, text = reading.first, reading.rest
    if first and first.kind in (Kind.CHOICE, Kind.NUMBER, Kind.REGEX, Kind.YES_NO) and not reading.values:
        _by_place(reading, only=first)
    if first and first.kind is Kind.YES_NO and first.name in reading.values:
        # "No, h2@example.com" says more than no. A date beside it may be what was asked about: "yes, see you tomorrow".
        reading.rest = text
        _strong(reading, (Kind.EMAIL, Kind.PHONE))
        reading.rest = ""
    else:
        _strong(reading, STRONG)


def _strong(reading: Reading, kinds: Sequence[Kind]) -> None:
    for kind in kinds:
        for one in _in_order(reading, kind):
            asked, corrected = one in reading.wanted, reading.corrects and kind is not Kind.DATE
            if reading.lacks(one) or (corrected and one.name not in reading.values):
                alone = one is reading.first if kind is Kind.EMAIL else asked
                reading.take(one, answer(one, reading.rest, reading.heard, asked=alone))
        if kind is Kind.EMAIL:
            _broken_address(reading)


def _broken_address(reading: Reading) -> None:
    """Refuse what was to be an e-mail address and is none, so that it is not taken for something else."""
    one = next((one for one in _in_order(reading, Kind.EMAIL) if one.name not in reading.values), None)
    if one and (broken := _BROKEN.search(reading.rest)):
        reading.refused[one.name] = Answer("", *broken.span(), "bad_email")
        reading.rest = _BROKEN.sub("\n", reading.rest)


def _in_order(reading: Reading, kind: Kind) -> list[Field]:
    wanted = [one for one in reading.wanted if one.kind is kind]
    others = [one for one in reading.flow.fields.values() if one.kind is kind and one not in wanted]
    return wanted + others


def _by_place(reading: Reading, only: Field | None = None) -> None:
    """Read what is asked for from what is left, piece by piece."""
    for one in [only] if only else reading.wanted:
        if one.name in reading.values or (one.kind is Kind.TEXT and one is not reading.first):
            continue
        if one.kind is Kind.YES_NO and (one is not reading.first or reading.values):
            continue
        if one.kind is Kind.ITEMS:
            reading.take(one, answer(one, reading.rest, reading.heard))
            continue
        for piece, start in pieces(reading.rest, whole=one.kind in (Kind.CHOICE, Kind.REGEX, Kind.YES_NO)):
            if reading.take(one, answer(one, piece, reading.heard), start):
                break
    if only is None:
        _introduced(reading)


def _introduced(reading: Reading) -> None:
    """Read "I'm Hari" where nobody asked for a name yet."""
    for one in reading.flow.fields.values():
        if one.kind is not Kind.NAME or not reading.lacks(one) or one in reading.wanted:
            continue
        for piece, start in pieces(reading.rest):
            if re.match(rf"\s*(?:(?:hi|hello|hey)\W+)?{persons.INTRODUCTION}\b", piece, re.IGNORECASE) and reading.take(
                one, answer(one, piece, reading.heard, asked=False), start
            ):
                return
