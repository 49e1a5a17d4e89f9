"""The way through a flow: where somebody is, told by what is known and nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.core.flow_parts.definition import Branch, Condition, Flow, Kind, Outcome, Step
from gateway.core.recognise import items
from gateway.core.recognise.words import folded


@dataclass(frozen=True, slots=True)
class Place:
    """A step that waits, with the fields it still needs, or an ending; `values` and `said` as they are there.

    `passed` are the steps that only say something and were not said before, `path` all steps that led here.
    """

    name: str
    missing: tuple[str, ...]
    values: Mapping[str, Any]
    said: tuple[str, ...]
    passed: tuple[str, ...]
    path: tuple[str, ...]


def walk(flow: Flow, values: Mapping[str, Any], said: Sequence[str] = ()) -> Place:
    """Go from the first step to the first that waits.

    Where the way leads back, what stands from there on is asked anew.
    """
    known, heard = dict(values), list(said)
    path: list[str] = []
    passed: list[str] = []
    name = next(iter(flow.steps))
    while name in flow.steps:
        if name in path:
            _forget(flow, path[path.index(name) :], known, heard)
            path = path[: path.index(name)]
        step = flow.steps[name]
        path.append(name)
        if missing := tuple(one for one in needed(step) if one not in known):
            return Place(name, missing, known, tuple(heard), tuple(passed), tuple(path))
        if not step.asks and name not in heard:
            heard.append(name)
            passed.append(name)
        name = target(flow, step, known)
    return Place(name, (), known, tuple(heard), tuple(passed), tuple(path))


def needed(step: Step) -> tuple[str, ...]:
    """Give the fields a step waits for; a confirmation waits for its own answer."""
    return (step.name,) if step.confirm else step.collect


def _forget(flow: Flow, steps: Sequence[str], known: dict[str, Any], heard: list[str]) -> None:
    for name in steps:
        for one in needed(flow.steps[name]):
            known.pop(one, None)
        if name in heard:
            heard.remove(name)


def target(flow: Flow, step: Step, values: Mapping[str, Any]) -> str:
    """Give where a step leads: its first branch that holds, else the next step of the file, else the end."""
    for branch in step.branches:
        if branch.condition is None or holds(branch.condition, values):
            return branch.target
    return following(flow, step.name)


def following(flow: Flow, name: str) -> str:
    """Give the next step of the file; after the last one the flow is completed."""
    names = list(flow.steps)
    return names[names.index(name) + 1] if names[-1] != name else Outcome.COMPLETED.value


def targets(flow: Flow, step: Step) -> list[str]:
    """Give every place a step may lead to."""
    always = any(branch.condition is None for branch in step.branches) or _answers_all(flow, step.branches)
    return [branch.target for branch in step.branches] + ([] if always else [following(flow, step.name)])


def _answers_all(flow: Flow, branches: Sequence[Branch]) -> bool:
    """Tell whether every answer to a choice or to yes and no has a branch."""
    told: dict[str, set[str]] = {}
    for branch in branches:
        if branch.condition and branch.condition.operator == "=":
            told.setdefault(branch.condition.field, set()).add(folded(branch.condition.value))
    for name, values in told.items():
        one = flow.field(name)
        if one is None:
            continue
        possible = {"yes", "no"} if one.kind is Kind.YES_NO else {folded(option.value) for option in one.options}
        if possible and possible <= values and not one.optional and one.kind in (Kind.YES_NO, Kind.CHOICE):
            return True
    return False


def holds(condition: Condition, values: Mapping[str, Any]) -> bool:
    """Tell whether a condition holds; of items the quantities count together. What is unknown is equal to nothing."""
    value = values.get(condition.field, "")
    number = items.total(value) if isinstance(value, list) else value
    if not isinstance(number, int | float):
        same = folded(str(number)) == folded(condition.value)
        return {"=": same, "!=": not same}.get(condition.operator, False)
    bound = float(condition.value)
    return {
        "=": number == bound, "!=": number != bound,
        "<": number < bound, "<=": number <= bound, ">": number > bound, ">=": number >= bound,
    }[condition.operator]  # fmt: skip
