"""The keys of a field: what it is, what it is called, and which answers it takes."""

from typing import Any

from gateway.core.flow_parts import patterns
from gateway.core.flow_parts.definition import Field, Kind, Option, Wording
from gateway.core.flow_parts.table import Table

OPTIONS_LIMIT = 30
# The longest name of an option: it is shown in lists, and said on calls.
OPTION_LENGTH = 80
_MOST_LENGTH = 1000

# Which kinds a key has a meaning for.
_BOUNDED = (Kind.NUMBER, Kind.ITEMS, Kind.TEXT)
_OF_KINDS: dict[str, tuple[Kind, ...]] = {
    "min": _BOUNDED,
    "max": _BOUNDED,
    "decimals": (Kind.NUMBER,),
    "options": (Kind.CHOICE, Kind.ITEMS),
    "other": (Kind.ITEMS,),
    "pattern": (Kind.REGEX,),
    "date_order": (Kind.DATE,),
    "past": (Kind.DATE,),
}
FIELD_KEYS = ("label", "also", "retry", "retry_spoken", "optional", *_OF_KINDS)


def read_field(table: Table, name: str, order: str, *, of_step: bool = False) -> Field:
    """Read a field; one of a step has the step's prompt, which is not read here."""
    has_kind = table.has("kind")
    written = table.one_of("kind", tuple(Kind), "")
    kind = Kind(written) if written else Kind.TEXT
    if not has_kind:
        table.fault(f'key "kind" is missing. Add it: kind = "text", or another of {", ".join(Kind)}.')
    for key, kinds in _OF_KINDS.items():
        if table.has(key) and kind not in kinds and written:
            table.take(key)
            table.fault(f'key "{key}" means nothing to kind "{kind}". Remove it; it is for {" and ".join(kinds)}.')
    field = Field(
        name=name,
        kind=kind,
        label=table.text("label", most=40) or name.replace("_", " ").capitalize(),
        also=table.phrases("also"),
        prompt=Wording() if of_step else table.wording("prompt", "spoken"),
        retry=table.wording("retry", "retry_spoken"),
        optional=table.flag("optional", False),
        decimals=table.flag("decimals", False),
        least=table.number("min"),
        most=table.number("max"),
        options=_options(table, kind),
        other=table.flag("other", True),
        pattern=table.text("pattern", most=200),
        order=table.one_of("date_order", ("dmy", "mdy"), order),
        past=table.flag("past", False),
    )
    if not of_step:
        table.finish()
    _check(table, field, whole=bool(written))
    return field


def _options(table: Table, kind: Kind) -> tuple[Option, ...]:
    if not table.has("options"):
        if kind is Kind.CHOICE:
            table.fault('key "options" is missing. Add what there is to choose: options = ["Blue", "Red"].')
        return ()
    value = table.take("options")
    if not isinstance(value, list) or not 1 <= len(value) <= OPTIONS_LIMIT:
        table.wrong("options", value, f'Write a list of 1 to {OPTIONS_LIMIT} options: ["Blue", "Red"].')
        return ()
    return tuple(_option(table, place, one) for place, one in enumerate(value, 1))


def _option(table: Table, place: int, written: Any) -> Option:
    if isinstance(written, str):
        written = {"value": written}
    inner = Table(table.file, f"{table.place}: option {place}", written, table.faults)
    option = Option(inner.text("value", most=OPTION_LENGTH, required=True), inner.phrases("words"), inner.text("key"))
    if option.key and not (option.key.isascii() and option.key.isdecimal() and len(option.key) == 1):
        inner.wrong("key", option.key, 'Write one digit of a keypad in quotes: "1".')
    inner.finish()
    return option


def _check(table: Table, field: Field, *, whole: bool) -> None:
    if field.kind is Kind.REGEX and whole:
        if not field.pattern:
            table.fault("key \"pattern\" is missing. Add it: pattern = '[A-Z]{2}\\d{4}'.")
        elif fault := patterns.fault_of(field.pattern):
            table.wrong("pattern", field.pattern, fault)
    if field.least is not None and field.most is not None and field.least > field.most:
        table.wrong("min", field.least, f'It is above "max", {field.most:g}. Swap them.')
    if field.kind is Kind.TEXT and (field.most or 0) > _MOST_LENGTH:
        table.wrong("max", field.most, f"A text has {_MOST_LENGTH} characters at most. Lower it.")
    if field.kind in (Kind.TEXT, Kind.ITEMS) and (field.least or 1) < 1:
        table.wrong("min", field.least, "Write 1 or more.")
    _check_options(table, field)


def _check_options(table: Table, field: Field) -> None:
    names: dict[str, str] = {}
    keys: dict[str, str] = {}
    for option in field.options:
        for name in (option.value, *option.words):
            other = names.setdefault(name.casefold().strip(), option.value)
            if other != option.value:
                table.fault(f'key "options": {name!r} stands for both {other!r} and {option.value!r}. Keep it in one.')
        if option.key and (other := keys.setdefault(option.key, option.value)) != option.value:
            table.fault(
                f'key "options": key {option.key!r} is on both {other!r} and {option.value!r}. Give each its own.'
            )
    if len({option.value for option in field.options}) < len(field.options):
        table.fault('key "options": an option stands there twice. Remove one.')
    if keys and not all(option.key for option in field.options):
        table.fault('key "options": some options have a "key" and some have none. Give one to all, or to none.')
