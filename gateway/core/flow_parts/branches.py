"""Where a step leads: `next = "other_step"`, one for each answer, or conditions tried in turn."""

import re
from typing import Any

from gateway.core.flow_parts.definition import Branch, Condition
from gateway.core.flow_parts.table import NAME, Table

_CONDITION = re.compile(rf"\s*(?P<field>{NAME})\s*(?P<operator>!=|<=|>=|=|<|>)=?\s*(?P<value>.+?)\s*")

_REMEDY = (
    'Write a step: "pickup"; a step for each answer: { yes = "pickup", no = "delivery" }; '
    'or conditions: [{ if = "quantity >= 100", go = "manager" }, { go = "pickup" }].'
)


def read_branches(table: Table, step: str) -> tuple[Branch, ...]:
    """Read the key `next`; whether fields and targets are there is checked with the whole flow."""
    if not table.has("next"):
        return ()
    value = table.take("next")
    if isinstance(value, str):
        return (Branch(value),)
    if isinstance(value, dict) and value and all(isinstance(target, str) for target in value.values()):
        return tuple(Branch(target, Condition(step, "=", str(answer))) for answer, target in value.items())
    if isinstance(value, list) and value:
        return tuple(branch for place, one in enumerate(value, 1) if (branch := _branch(table, place, one)))
    table.wrong("next", value, _REMEDY)
    return ()


def _branch(table: Table, place: int, written: Any) -> Branch | None:
    inner = Table(table.file, f'{table.place}: key "next", {place}', written, table.faults)
    condition, target = inner.text("if"), inner.text("go", required=True)
    inner.finish()
    if not condition:
        return Branch(target)
    if not (parts := _CONDITION.fullmatch(condition)):
        inner.wrong("if", condition, 'Write a field, =, !=, <, <=, > or >=, and a value: "quantity >= 100".')
        return None
    return Branch(target, Condition(parts["field"], parts["operator"], parts["value"].strip("\"'")))
