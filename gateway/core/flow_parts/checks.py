"""What only the whole of a flow can show: ways that lead nowhere, words nobody collects, steps nobody reaches."""

from collections.abc import Collection, Iterable, Iterator
from itertools import chain

from gateway.core.flow_parts.definition import Condition, Flow, Kind, Outcome, Step, Wording
from gateway.core.flow_parts.labels import own_labels
from gateway.core.flow_parts.table import near
from gateway.core.flow_parts.walking import targets
from gateway.core.flow_parts.wording import OPTIONS, PLACEHOLDER, SUMMARY, TITLE
from gateway.core.optout import keyword
from gateway.core.recognise.words import folded

_FIXED = {SUMMARY, TITLE, OPTIONS}
_OF_TEXTS = {"label", "value", "least", "most"}


def check(flow: Flow, faults: list[str]) -> None:
    """Add what is wrong with a flow whose keys are all right by themselves."""
    _add(faults, flow, _names(flow), _fields(flow), _targets(flow), _conditions(flow))
    if not faults:
        # A way that leads nowhere leaves steps unreached that are so no more once it is mended.
        _add(faults, flow, _unreachable(flow), _loops(flow))
    _add(faults, flow, _placeholders(flow, _collected(flow)), _triggers(flow))


def check_what_was_read(flow: Flow, faults: list[str]) -> None:
    """Add what is wrong with a flow whatever the keys mean that could not be read; its names all could."""
    possible = _collected(flow) | {*flow.steps, *flow.fields}
    _add(faults, flow, _placeholders(flow, possible), _triggers(flow))


def _add(faults: list[str], flow: Flow, *found: Iterator[str]) -> None:
    faults += [f"{flow.file}: {fault}" for fault in chain(*found)]


def check_together(flows: Collection[Flow]) -> list[str]:
    """Say what is wrong between flows: two that begin by the same words, intent or event."""
    faults = []
    first: dict[tuple[str, str], Flow] = {}
    for flow in flows:
        for key, values in (("words", map(folded, flow.words)), ("intents", flow.intents), ("events", flow.events)):
            for value in dict.fromkeys(values):
                other = first.setdefault((key, value), flow)
                if other is not flow:
                    faults.append(
                        f'{flow.file}: [triggers]: key "{key}" has {value!r}, as {other.file} has. '
                        "Remove it from one of them."
                    )
    return faults


def _names(flow: Flow) -> Iterator[str]:
    for name in flow.steps:
        if name in flow.endings:
            yield f'step "{name}" has the name of an ending. Rename it.'
        if flow.steps[name].confirm and name in flow.fields:
            yield f'step "{name}" confirms, and [fields.{name}] has its name. Rename one of them.'
    for name in {*flow.fields, *flow.steps} & {*_FIXED, *_OF_TEXTS, "change"}:
        yield f'"{name}" cannot be the name of a step or field: texts use it. Rename it.'
    labels: dict[str, str] = {}
    for one in flow.fields.values():
        for label in own_labels(one):
            if (other := labels.setdefault(label, one.name)) != one.name:
                yield f'field "{one.name}": {label!r} is also what field "{other}" is called. Change label or "also".'


def _fields(flow: Flow) -> Iterator[str]:
    for step in flow.steps.values():
        for name in step.collect:
            if name not in flow.fields:
                hint = near(name, flow.fields)
                yield f'step "{step.name}": key "collect" has {name!r}, which is no field. Add [fields.{name}].{hint}'
        if not step.prompt.text and not step.confirm and len(step.collect) != 1:
            yield f'step "{step.name}": key "prompt" is missing. Add what is asked or said: prompt = "...".'
        if step.give_up not in flow.endings:
            yield (
                f'step "{step.name}": key "give_up" is {step.give_up!r}. '
                f"Choose an ending: {', '.join(flow.endings)}.{near(step.give_up, flow.endings)}"
            )
    for name in flow.fields:
        if not any(name in step.collect for step in flow.steps.values()):
            yield f'field "{name}" is collected by no step. Add it to the "collect" of one, or remove it.'


def _targets(flow: Flow) -> Iterator[str]:
    places = [*flow.steps, *flow.endings]
    for step in flow.steps.values():
        for branch in step.branches:
            if branch.target not in places:
                yield (
                    f'step "{step.name}": key "next" leads to {branch.target!r}, which is no step and no ending.'
                    f"{near(branch.target, places) or ' Choose one of ' + ', '.join(places) + '.'}"
                )


def _conditions(flow: Flow) -> Iterator[str]:
    for step in flow.steps.values():
        for branch in step.branches:
            if branch.condition and (fault := _condition(flow, step, branch.condition)):
                yield f'step "{step.name}": key "next": {fault}'


def _condition(flow: Flow, step: Step, condition: Condition) -> str:
    one = flow.field(condition.field)
    if one is None:
        if condition.field == step.name:
            return (
                "a step for each answer is for a choice, yes_no or confirm. Use conditions: [{ if = ..., go = ... }]."
            )
        return (
            f"{condition.field!r} is no field.{near(condition.field, flow.fields) or ' Use one that a step collects.'}"
        )
    if one.kind is Kind.CHOICE:
        known = {folded(option.value) for option in one.options}
        if folded(condition.value) not in known:
            options = ", ".join(option.value for option in one.options)
            return f"{condition.value!r} is no option of {one.name!r}. Choose one of {options}."
    if one.kind is Kind.YES_NO and condition.value not in ("yes", "no"):
        return f"{condition.value!r} is no answer to {one.name!r}. Choose yes or no."
    if one.kind in (Kind.NUMBER, Kind.ITEMS):
        try:
            float(condition.value)
        except ValueError:
            return f"{condition.value!r} is no number, and {one.name!r} is compared with numbers. Write one."
    elif condition.operator not in ("=", "!="):
        return f"{condition.operator!r} is for numbers and items. Use = or != with {one.name!r}."
    return ""


def _collected(flow: Flow) -> set[str]:
    return {name for step in flow.steps.values() for name in step.collect}


def _placeholders(flow: Flow, collected: Collection[str]) -> Iterator[str]:
    known = {*collected, *_FIXED}
    for place, words, more in _wordings(flow):
        for text in (words.text, words.spoken):
            for found in PLACEHOLDER.finditer(text):
                if found["name"] not in known | more:
                    hint = near(found["name"], collected) or " Remove it, or collect it."
                    yield f"{place} has {{{found['name']}}}, which no step collects.{hint}"
            rest = PLACEHOLDER.sub("", text)
            if "{" in rest or "}" in rest:
                yield f"{place} has a brace that is no placeholder. Write {{name}}, with small letters, digits and _."


def _wordings(flow: Flow) -> Iterator[tuple[str, Wording, set[str]]]:
    for step in flow.steps.values():
        yield f'step "{step.name}": key "prompt"', step.prompt, set()
    for one in flow.fields.values():
        noun = "step" if one.name in flow.steps else "field"
        yield f'{noun} "{one.name}": key "prompt"', one.prompt, set()
        yield f'{noun} "{one.name}": key "retry"', one.retry, set()
    for name, words in flow.texts.items():
        yield f'[texts]: key "{name}"', words, _OF_TEXTS
    for ending in flow.endings.values():
        yield f'ending "{ending.name}": key "text"', ending.wording, set()
        for place, done in enumerate(ending.completions, 1):
            for key, value in done.parameters.items():
                yield f'ending "{ending.name}": key "do", {place}: key "{key}"', Wording(value), set()


def _triggers(flow: Flow) -> Iterator[str]:
    if not any(folded(word) for word in flow.words) and flow.words:
        yield '[triggers]: key "words" has no letters. Write words people send.'
    for word in flow.words:
        if keyword(word):
            yield (
                f'[triggers]: key "words" has {word!r}, which carriers take as an opt-out or a request for help. '
                "Choose another."
            )
    for key in ("yes", "no"):
        for word in flow.answers.get(key, ()):
            if word in flow.answers.get("cancel", ()):
                yield f'[answers]: {word!r} is both "{key}" and "cancel". Keep it in one.'


def _unreachable(flow: Flow) -> Iterator[str]:
    reached, ahead = set(), [next(iter(flow.steps))]
    while ahead:
        name = ahead.pop()
        if name not in reached:
            reached.add(name)
            ahead += targets(flow, flow.steps[name]) if name in flow.steps else []
    for name in flow.steps:
        if name not in reached:
            yield f'step "{name}" is reached from nowhere. Lead to it with "next", or remove it.'
    usual = {outcome.value for outcome in Outcome} | {step.give_up for step in flow.steps.values()}
    for name in flow.endings:
        if name not in reached | usual:
            yield f'ending "{name}" is reached from nowhere. Lead to it with "next" or "give_up", or remove it.'
    if not any(flow.endings[name].outcome is Outcome.COMPLETED for name in reached & set(flow.endings)):
        yield 'no way leads to a completed end. Let the last step go on: next = "completed".'


def _loops(flow: Flow) -> Iterator[str]:
    """Find steps that only say something and lead to one another for ever."""
    silent = {name for name, step in flow.steps.items() if not step.asks}
    for start in silent:
        path, name = [start], targets(flow, flow.steps[start])
        if _comes_back(flow, start, name, silent, set(path)):
            yield f'step "{start}" leads back to itself, and nothing on the way asks anything. Ask, or lead on.'


def _comes_back(flow: Flow, start: str, ahead: Iterable[str], silent: set[str], seen: set[str]) -> bool:
    for name in ahead:
        if name == start:
            return True
        if name in silent and name not in seen:
            seen.add(name)
            if _comes_back(flow, start, targets(flow, flow.steps[name]), silent, seen):
                return True
    return False
