"""A flow's file, read into a `Flow`: every key checked by itself here, the whole of it in `checks`."""

from collections.abc import Mapping
from datetime import timedelta, tzinfo
from pathlib import PurePath
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.core.flow_parts import checks
from gateway.core.flow_parts.branches import read_branches
from gateway.core.flow_parts.definition import Field, Flow, FlowError, Outcome, Step, Wording
from gateway.core.flow_parts.endings import read_endings
from gateway.core.flow_parts.fields import FIELD_KEYS, read_field
from gateway.core.flow_parts.table import Table, is_name
from gateway.core.flow_parts.wording import TEXTS

DAY_MINUTES = 1440
LONGEST_MINUTES = 30 * DAY_MINUTES
STEPS_LIMIT, FIELDS_LIMIT = 50, 30
# The headings of a file: those with a name behind them, and the others.
_NAMED, _OTHER = ("steps", "fields", "endings"), ("triggers", "answers", "texts")


def read(file_name: str, mapping: Mapping[str, Any], *, timezone: str = "UTC") -> Flow:
    """Read and check a flow's file. `timezone` (IANA) is meant where the file names none.

    FlowError names every fault: file, step, key and remedy, a line each.
    """
    faults: list[str] = []
    file = Table(file_name, "", mapping, faults)
    flow = _flow(file, PurePath(file_name).stem, timezone)
    if not faults:
        checks.check(flow, faults)
    elif flow.steps and _are_names_known(mapping):
        checks.check_what_was_read(flow, faults)
    if faults:
        raise FlowError("\n".join(dict.fromkeys(faults)))
    return flow


def _are_names_known(mapping: Mapping[str, Any]) -> bool:
    """Tell whether all steps, fields and endings are known by name: what is no name now will be none later."""
    named = [mapping.get(key, {}) for key in _NAMED]
    headings = (key for key, value in mapping.items() if isinstance(value, Mapping))
    return (
        all(isinstance(table, Mapping) for table in named)
        and all(is_name(name) for table in named for name in table)
        and all(key in (*_NAMED, *_OTHER) for key in headings)
    )


def _flow(file: Table, name: str, timezone: str) -> Flow:
    title = file.text("title", most=80, required=True)
    version = file.whole("version", 1, least=1, most=1_000_000)
    zone = _zone(file, timezone)
    minutes = file.number("timeout_minutes", DAY_MINUTES, least=1, most=LONGEST_MINUTES) or DAY_MINUTES
    tries = file.whole("tries", 3, least=1, most=10)
    order = file.one_of("date_order", ("dmy", "mdy"), "dmy")
    triggers = file.table("triggers")
    words, intents, events = (triggers.phrases(key) for key in ("words", "intents", "events"))
    triggers.finish()
    answers = _answers(file)
    texts = _texts(file)
    fields = {one: read_field(table, one, order) for one, table in file.tables("fields", "field").items()}
    steps = _steps(file, fields, tries, order)
    endings = read_endings(file)
    file.finish()
    return Flow(
        name=name,
        version=version,
        title=title,
        steps=steps,
        fields=_in_order(steps, fields),
        endings=endings,
        zone=zone,
        timeout=timedelta(minutes=minutes),
        words=words,
        intents=intents,
        events=events,
        answers=answers,
        texts=texts,
        file=file.file,
    )


def _zone(file: Table, timezone: str) -> tzinfo:
    named = file.text("timezone") or timezone
    try:
        return ZoneInfo(named)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        file.wrong("timezone", named, "Write an IANA time zone such as Europe/Berlin.")
        return ZoneInfo("UTC")


def _answers(file: Table) -> dict[str, tuple[str, ...]]:
    table = file.table("answers")
    answers = {key: table.phrases(key) for key in ("yes", "no", "skip", "cancel")}
    table.finish()
    return answers


def _texts(file: Table) -> dict[str, Wording]:
    table = file.table("texts")
    texts = {key: table.either(key) for key in TEXTS if table.has(key)}
    table.finish()
    return texts


def _steps(file: Table, fields: dict[str, Field], tries: int, order: str) -> dict[str, Step]:
    tables = file.tables("steps", "step")
    if not tables:
        file.fault('has no steps. Add at least one: [steps.name] with prompt = "What is your name?" and kind = "name".')
    if len(tables) > STEPS_LIMIT:
        file.fault(f"has {len(tables)} steps. Keep it to {STEPS_LIMIT}, or make two flows of it.")
    return {name: _step(table, name, fields, tries, order) for name, table in tables.items()}


def _step(table: Table, name: str, fields: dict[str, Field], tries: int, order: str) -> Step:
    prompt, confirm = table.wording("prompt", "spoken"), table.flag("confirm", False)
    step = Step(
        name=name,
        prompt=prompt,
        collect=_collected(table, name, fields, order, confirm=confirm),
        confirm=confirm,
        branches=read_branches(table, name),
        tries=table.whole("tries", tries, least=1, most=10),
        give_up=table.text("give_up") or Outcome.GIVEN_UP.value,
    )
    table.finish()
    return step


def _collected(table: Table, name: str, fields: dict[str, Field], order: str, *, confirm: bool) -> tuple[str, ...]:
    """Read what a step collects: the fields it names, or one of its own name whose keys stand in the step."""
    collect = table.phrases("collect", most=FIELDS_LIMIT)
    if table.has("kind"):
        if name in fields:
            table.fault(
                f'key "kind" makes a field of the step\'s name, but there is [fields.{name}]. Remove one of them.'
            )
        if collect or confirm:
            table.fault('key "kind" stands beside "collect" or "confirm". Keep one of them.')
        fields[name] = read_field(table, name, order, of_step=True)
        return (name,)
    for key in [key for key in FIELD_KEYS if table.has(key)]:
        table.take(key)
        table.fault(f'key "{key}" belongs to a field. Add kind = "..." to this step, or move it to [fields.NAME].')
    if collect and confirm:
        table.fault('key "confirm" stands beside "collect". Ask first, and confirm in a step of its own.')
    return collect


def _in_order(steps: Mapping[str, Step], fields: Mapping[str, Field]) -> dict[str, Field]:
    """Put the fields into the order they are asked in; what no step collects comes last, and is refused later."""
    asked = dict.fromkeys(name for step in steps.values() for name in step.collect if name in fields)
    return {name: fields[name] for name in [*asked, *(name for name in fields if name not in asked)]}
