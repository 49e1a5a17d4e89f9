"""Answers with a label: "name is Hari", "e-mail: h@example.com", "change the quantity to 30"."""

import re
from functools import lru_cache

from gateway.core.flow_parts.answers import answer
from gateway.core.flow_parts.corrections import items_or_count
from gateway.core.flow_parts.definition import Field, Flow, Kind
from gateway.core.flow_parts.reading import DENIED, PIECES, STRONG, Reading
from gateway.core.recognise.words import folded

# What stands between a label and its value.
CONNECTED = (
    r"\s*(?:'s\s|(?:(?:is|are|was|were|should be|should read|will be|would be|must be|changed?|to)\b\s*"
    r"(?:(?:actually|now|really|rather|to|be)\b\s*)*)|[:=]|\s[-–—](?=\s))+"
)
_ARTICLES = "(?:my|the|your|our|his|her|a|and|new)"
_WRONG = re.compile(
    r"^\s*(?:(?:is|was|are|isn't|is not|that's)\s+)?"
    r"(?:wrong|incorrect|not right|not correct|misspelled|misspelt|changed?)?\W*$",
    re.IGNORECASE,
)
_TO_CHANGE = re.compile(r"(?:change|update|correct|edit|fix|wrong|redo)\s+(?:the|my|our)?\s*$", re.IGNORECASE)

# What people call a field of this kind, beside the names its file gives it.
_USUAL = {
    Kind.NAME: ("name", "full name"),
    Kind.PHONE: (
        "phone number", "phone", "mobile number", "mobile", "cell number", "cell", "cell phone", "telephone number",
        "telephone", "tel", "contact number", "whatsapp number", "number",
    ),
    Kind.EMAIL: (
        "email address", "e-mail address", "email", "e-mail", "mail address", "mail", "email id", "mail id",
    ),
    Kind.DATE: ("date", "day", "time", "date and time"),
    Kind.ITEMS: ("items", "order", "quantity", "amount"),
}  # fmt: skip


def labels_of(flow: Flow, wanted: tuple[str, ...] = ()) -> dict[str, str]:
    """Give every label of a flow, folded, with the field it names; a field's own names come before usual ones."""
    labels: dict[str, str] = {}
    for one in flow.fields.values():
        for label in own_labels(one):
            labels.setdefault(label, one.name)
    ordered = sorted(flow.fields.values(), key=lambda one: one.name not in wanted)
    for one in ordered:
        for label in _USUAL.get(one.kind, ()):
            labels.setdefault(folded(label), one.name)
    return labels


def own_labels(one: Field) -> list[str]:
    """Give the names a file gives a field."""
    return [label for label in map(folded, (one.name.replace("_", " "), one.label, *one.also)) if label]


def read_labelled(reading: Reading) -> None:
    """Read "name is Hari", "e-mail: h@example.com", "change the quantity to 30"."""
    labels = labels_of(reading.flow, tuple(one.name for one in reading.wanted))
    pattern = _pattern(tuple(labels))
    text = reading.rest
    marks = list(pattern.finditer(text))
    for mark, following in reversed([*zip(marks, [*marks[1:], None], strict=False)]):
        # Letters that only look alike to a pattern (a dotless i) name nothing.
        one = reading.flow.fields.get(labels.get(folded(mark["label"]), ""))
        end = following.start() if following else len(text)
        chunk = _line(text[mark.end() : end])
        if one is None or one.name in reading.values or _labelled_value(reading, one, mark, chunk):
            continue
        before = text[: mark.start("label")]
        if _WRONG.match(chunk) and (
            reading.free or _TO_CHANGE.search(before) or re.search("wrong|correct|change", chunk)
        ):
            reading.again = one.name if one.name in reading.known else ""


def _labelled_value(reading: Reading, one: Field, mark: re.Match[str], chunk: str) -> bool:
    connected = bool(mark["connected"])
    opens = not mark.string[: mark.start()].strip() or mark.string[: mark.start()].rstrip(" ")[-1:] in "\n,;.:"
    if not connected and one.kind not in STRONG and not opens:
        return False
    for part in _parts(one, chunk):
        found = items_or_count(reading, one, part) if one.kind is Kind.ITEMS else answer(one, part, reading.heard)
        if found and reading.take(one, found, cut=False):
            begin = mark.start() if one.kind is not Kind.ITEMS else mark.start("label")
            end = mark.end() + (found.end if one.kind in STRONG else _length(one, part, chunk))
            reading.rest = f"{reading.rest[:begin]}\n{reading.rest[end:]}"
            return True
    return False


def _length(one: Field, part: str, chunk: str) -> int:
    """Say how much of a chunk its value takes: what it denies ("Hari, not Harry") goes with it."""
    return len(chunk) if DENIED.match(chunk[len(part) :]) or one.kind is Kind.ITEMS else len(part)


def _line(chunk: str) -> str:
    """Cut what follows a label at the end of its line; "Name:" may stand above its value."""
    head = len(chunk) - len(chunk.lstrip())
    end = chunk.find("\n", head)
    return chunk if end < 0 else chunk[:end]


def _parts(one: Field, chunk: str) -> list[str]:
    """Give the beginnings of a chunk that may be the value: all of it, or up to where something else begins."""
    if one.kind in (*STRONG, Kind.ITEMS):
        return [chunk]
    whole = re.sub(r"[\s,;.]+(?:and|but|my|the|,|;)*[\s,;.]*$", "", chunk)
    if (denied := DENIED.search(whole)) and denied.start():
        return [whole[: denied.start()].rstrip(" ,")]
    if one.kind is Kind.TEXT:
        return [whole]
    heads = [whole[: cut.start()] for cut in PIECES.finditer(whole) if cut.start()]
    return [*heads[:1], whole] if one.kind is Kind.NAME else [whole, *reversed(heads)]


@lru_cache(maxsize=256)
def _pattern(labels: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(labels, key=lambda label: (-len(label), label))
    spelt = "|".join(re.escape(label).replace(r"\ ", r"[\s_-]+") for label in longest_first)
    return re.compile(
        rf"(?<!\w)(?:{_ARTICLES}\s+){{0,3}}(?P<label>{spelt or '(?!)'})(?![\w@])(?P<connected>{CONNECTED})?",
        re.IGNORECASE,
    )
