"""Scenarios read from what a TOML file holds, with every fault that is in it."""

import re
from collections.abc import Mapping
from typing import Any

from gateway.core.flow_parts.table import Table, near
from gateway.core.messages import CHAT, SMS, VOICE, WHATSAPP
from gateway.core.participant import is_address
from gateway.core.scenario_expectations import CALL, STATUS, ending, expected
from gateway.core.scenarios import (
    KEYPAD,
    NEW_USER_ID,
    Expected,
    Lost,
    Person,
    Scenario,
    ScenarioError,
    Step,
)
from gateway.core.statuses import MESSAGE_FAILURES, MESSAGE_RANK
from gateway.core.times import parse_moment

DIALLED = ("completed", "no-answer", "busy", "failed", "canceled")
# A step happens so many seconds after the one before, unless it says when.
PAUSE_SECONDS = 1
MOST_COPIES, LONGEST_SECONDS = 50, 366 * 86_400

_DOES = {SMS: SMS, WHATSAPP: WHATSAPP, CALL: VOICE, CHAT: CHAT, STATUS: STATUS}
# Keys of a step that only some of what may happen has.
_ONLY = {
    "button": (WHATSAPP,), "payload": (WHATSAPP,), "choose": (WHATSAPP,), "choice_id": (WHATSAPP,),
    "location": (WHATSAPP,), "media": (SMS, WHATSAPP), "lost": (SMS, WHATSAPP), "copies": (SMS, WHATSAPP, STATUS),
    "dial": (CALL,), "leave": (CALL,), "of": (STATUS,), "error_code": (STATUS,),
}  # fmt: skip
_UNITS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
_SPAN = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d{1,3})?)s)?")
_DEGREES = {"latitude": 90, "longitude": 180}


def read(file: str, document: Mapping[str, Any]) -> Scenario:
    """Read a scenario; ScenarioError names everything that is wrong with it, a line each."""
    faults: list[str] = []
    table = Table(file, "", document, faults)
    title = table.text("title", most=200)
    start = _start(table)
    needs = _needs(table)
    people = {name: _person(name, one) for name, one in table.tables("people", "person").items()}
    if not people:
        table.fault("nobody is in it. Add a person: [people.ada].")
    steps = _steps(file, table.take("steps"), people, faults)
    at_last = ending(table, {step.expected.session for step in steps if step.expected.session})
    table.finish()
    if faults:
        raise ScenarioError("\n".join(faults))
    return Scenario(file, title or file, needs, people, tuple(steps), at_last, start)


def _start(table: Table) -> Any:
    given = table.take("start")
    if given is None:
        return None
    try:
        return parse_moment(given.isoformat() if hasattr(given, "isoformat") else str(given))
    except ValueError as error:
        table.fault(f'key "start": {error}.')
        return None


def _needs(table: Table) -> dict[str, object]:
    """Read which settings are presumed: "reply.responder" = "echo"."""
    value = table.take("needs")
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        table.wrong("needs", value, 'Write settings below [needs]: "reply.responder" = "echo".')
        return {}
    for name, one in value.items():
        if not isinstance(one, str | int | float):
            table.wrong(f"needs.{name}", one, 'Write a setting\'s whole name in quotes: "reply.responder" = "echo".')
    return {str(name): one for name, one in value.items()}


def _person(name: str, table: Table) -> Person:
    number, profile = table.text("number", most=64), table.text("name", most=100)
    if number and number != NEW_USER_ID and not is_address(number):
        table.wrong("number", number, 'Write one as "+15558675310", or "US." for a new user id of WhatsApp.')
    table.finish()
    return Person(name, number, profile or name.capitalize())


def _steps(file: str, value: Any, people: Mapping[str, Person], faults: list[str]) -> list[Step]:
    if not isinstance(value, list) or not value:
        faults.append(f"{file}: it has no steps. Add one: [[steps]].")
        return []
    steps: list[Step] = []
    for number, one in enumerate(value, start=1):
        name = one.get("name") if isinstance(one, Mapping) else None
        place = f'step {number} "{name}"' if isinstance(name, str) else f"step {number}"
        steps.append(_step(number, Table(file, place, one, faults), people, steps))
    return steps


def _step(number: int, table: Table, people: Mapping[str, Person], before: list[Step]) -> Step:
    name = table.text("name", most=60)
    if name and any(step.name == name for step in before):
        table.wrong("name", name, "Another step has that name. Choose another one.")
    does = [key for key in _DOES if table.has(key)]
    if len(does) != 1:
        table.fault(f"it says {'both ' + ' and '.join(does) if does else 'not what happens'}. "
                    f"Give it one of {', '.join(_DOES)}.")  # fmt: skip
    kind = does[0] if does else SMS
    _leave_out(table, does)
    own = _READ[kind](table, before)
    known: dict[str, Any] = {
        "name": name,
        "person": "" if kind == STATUS else _who(table, people),
        "at_ms": _at(table, before),
        "to": "" if kind == STATUS else table.text("to", most=64),
        "copies": table.whole("copies", 1, least=1, most=MOST_COPIES) if kind in (SMS, WHATSAPP, STATUS) else 1,
        "together": table.flag("together", False),
        "lost": _lost(table) if kind in (SMS, WHATSAPP) else None,
        "expected": expected(_inner(table, "expect"), kind),
    }
    if known["together"] and not before:
        table.wrong("together", True, "There is no step before this one. Remove it.")
    if known["lost"] is Lost.WEBHOOK and known["expected"] != Expected():
        table.wrong("lost", known["lost"].value, 'Nothing comes of what never arrives. Remove "expect".')
    table.finish()
    return Step(number=number, kind=_DOES[kind], **known, **own)


def _leave_out(table: Table, does: list[str]) -> None:
    """Take the keys that belong to another kind of step; a fault where it is sure which kind this is."""
    for key in does[1:]:
        table.take(key)
    for key, kinds in _ONLY.items():
        if table.has(key) and not set(kinds).intersection(does):
            table.take(key)
            if does:
                table.fault(f'key "{key}" is only for {" and ".join(kinds)}. Remove it.')


def _inner(table: Table, key: str) -> Table:
    """Take a table inside a step; an empty one where there is none."""
    value = table.take(key)
    return Table(table.file, f"{table.place}, {key}", {} if value is None else value, table.faults)


def _who(table: Table, people: Mapping[str, Person]) -> str:
    who = table.text("from", required=True)
    # Where nobody is in the file, that is said, and there is nobody to choose.
    if who and people and who not in people:
        table.wrong("from", who, f"Choose one of {', '.join(people)}.{near(who, people)}")
    return who


def _at(table: Table, before: list[Step]) -> int:
    """Give when a step happens in ms since the start: `at` counts from there, `after` from the step before."""
    if table.has("at") and table.has("after"):
        table.fault('keys "at" and "after" say the same in two ways. Keep one.')
    if (at := _span(table, "at")) is not None:
        table.take("after")
        return at
    after, at_once = _span(table, "after"), not before or table.has("together")
    since = before[-1].at_ms if before else 0
    return since + (after if after is not None else 0 if at_once else PAUSE_SECONDS * 1000)


def _span(table: Table, key: str) -> int | None:
    value = table.take(key)
    if value is None:
        return None
    seconds: float | None = None
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str) and value and (found := _SPAN.fullmatch(value)):
        seconds = sum(float(count or 0) * _UNITS[unit] for count, unit in zip(found.groups(), _UNITS, strict=True))
    if seconds is None or not 0 <= seconds <= LONGEST_SECONDS:
        table.wrong(key, value, 'Write seconds, or a span such as "6m40s" or "1h".')
        return None
    return round(seconds * 1000)


def _lost(table: Table) -> Lost | None:
    given = table.one_of("lost", [lost.value for lost in Lost], "")
    return Lost(given) if given else None


def _text(table: Table, _before: list[Step]) -> dict[str, Any]:
    return {"body": table.text(SMS), "media": table.phrases("media", most=10)}


def _whatsapp(table: Table, _before: list[Step]) -> dict[str, Any]:
    said: dict[str, Any] = {"body": table.text(WHATSAPP), "media": table.phrases("media", most=10)}
    said |= {"button": _pair(table, "button", "payload"), "choice": _pair(table, "choose", "choice_id")}
    if table.has("location"):
        said["location"] = _place(_inner(table, "location"))
    return said


def _pair(table: Table, key: str, other: str) -> tuple[str, str] | None:
    text, value = table.text(key), table.text(other)
    if value and not text:
        table.fault(f'key "{other}" stands without "{key}". Add {key} = "...".')
    return (text, value or text) if text else None


def _place(table: Table) -> tuple[str, str, str, str]:
    for key in _DEGREES:
        if not table.has(key):
            table.fault(f'key "{key}" is missing. Add its degrees: {key} = 34.746481.')
    degrees = [table.number(key, 0.0, least=-most, most=most) for key, most in _DEGREES.items()]
    address, label = table.text("address"), table.text("label")
    table.finish()
    return str(degrees[0]), str(degrees[1]), address, label


def _call(table: Table, _before: list[Step]) -> dict[str, Any]:
    value, turns = table.take(CALL), []
    if not isinstance(value, list):
        table.wrong(CALL, value, 'Write its turns: call = [{ say = "A table" }, { press = "2" }], or [] for none.')
        value = []
    for number, one in enumerate(value, start=1):
        turn = Table(table.file, f"{table.place}, turn {number}", one, table.faults)
        said, pressed = turn.text("say"), turn.text("press", most=32)
        turn.finish()
        if not KEYPAD.issuperset(pressed):
            turn.wrong("press", pressed, "Use digits, * and #.")
        if bool(said) == bool(pressed):
            turn.fault('it needs either "say" or "press". Write { say = "..." } or { press = "1" }.')
        turns.append({"SpeechResult": said, "Confidence": "0.92"} if said else {"Digits": pressed})
    return {"turns": tuple(turns), "dial": table.one_of("dial", DIALLED, ""), "leave": table.text("leave")}


def _chat(table: Table, _before: list[Step]) -> dict[str, Any]:
    return {"body": table.text(CHAT, required=True)}


def _status(table: Table, before: list[Step]) -> dict[str, Any]:
    value = table.take(STATUS)
    given = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    wrong = [one for one in given if one not in MESSAGE_RANK]
    if wrong or not given:
        hint = near(wrong[0], MESSAGE_RANK) if wrong else ""
        table.wrong(STATUS, value, f"Choose of {', '.join(MESSAGE_RANK)}.{hint}")
    of, code = table.text("of", required=True), table.text("error_code", most=10)
    names = [step.name for step in before if step.name and step.kind in (SMS, WHATSAPP)]
    if of and of not in names:
        there = f"Choose one of {', '.join(names)}." if names else 'Give the step whose answer it is a name = "...".'
        table.wrong("of", of, f"No message before has that name. {there}{near(of, names)}")
    if code and MESSAGE_FAILURES.isdisjoint(str(one) for one in given):
        table.wrong("error_code", code, "Only failed and undelivered have one. Remove it.")
    return {"statuses": tuple(map(str, given)), "of": of, "error_code": code}


_READ = {SMS: _text, WHATSAPP: _whatsapp, CALL: _call, CHAT: _chat, STATUS: _status}
