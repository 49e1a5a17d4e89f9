"""What follows from an answer: the next question, the same one again, a correction asked for, or an end."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from gateway.core.flow_parts import wording
from gateway.core.flow_parts.answers import fits
from gateway.core.flow_parts.definition import Completion, Field, Flow, Kind, Option, Outcome, Step, Wording
from gateway.core.flow_parts.state import Advance, State
from gateway.core.flow_parts.walking import Place, walk

# What `asking` is after somebody said that something is wrong, but not what.
CHANGE = "change"


def arrive(
    flow: Flow,
    state: State,
    values: Mapping[str, Any],
    *,
    at: datetime,
    by: str,
    before: Wording = Wording(),  # noqa: B008 - frozen
    filled: tuple[str, ...] = (),
    waited: str = "",
) -> Advance:
    """Go as far as the values lead, and ask there or end there. `before` is said first."""
    place = walk(flow, values, state.said)
    state = replace(state, flow=flow.name, version=flow.version, values=place.values, said=place.said)
    words = [before, *(wording.said(flow, flow.steps[name].prompt, place.values) for name in place.passed)]
    if place.name in flow.endings:
        return end(flow, state, place.name, at=at, by=by, before=words, filled=filled, waited=waited)
    asking = field_of(flow, place.missing[0])
    state = replace(state, step=place.name, asking=asking.name, tries=0)
    question = ask(flow, place, asking)
    return _told(flow, state, Outcome.ASKED, [*words, question], at=at, by=by, filled=filled, waited=waited)


def ask(flow: Flow, place: Place, asking: Field) -> Wording:
    """Word the question that somebody is at."""
    step = flow.steps[place.name]
    partly = any(name in place.values for name in step.collect)
    return wording.question(flow, step, asking, on_the_way(flow, place), partly=partly)


def ask_again(flow: Flow, state: State, place: Place, words: Wording, *, asking: str, at: datetime, by: str) -> Advance:
    """Ask once more at the same place; after as many tries as the step allows the flow is given up."""
    step = flow.steps[place.name]
    tries = state.tries + 1
    if tries >= step.tries:
        return end(flow, state, step.give_up, at=at, by=by, waited=step.name)
    state = replace(state, flow=flow.name, version=flow.version, step=step.name, asking=asking, tries=tries)
    return _told(flow, state, Outcome.ASKED_AGAIN, [words], at=at, by=by, waited=step.name)


def ask_what_to_change(flow: Flow, state: State, place: Place, *, at: datetime, by: str) -> Advance:
    """Ask what is wrong of what was summed up."""
    words = wording.what_to_change(flow, on_the_way(flow, place))
    state = replace(state, flow=flow.name, version=flow.version, asking=CHANGE)
    return _told(flow, state, Outcome.ASKED, [words], at=at, by=by, waited=place.name)


def end(
    flow: Flow,
    state: State,
    name: str,
    *,
    at: datetime,
    by: str,
    before: list[Wording] | None = None,
    filled: tuple[str, ...] = (),
    waited: str = "",
) -> Advance:
    """End a flow at one of its endings, with what its file wants done; values of ways not taken are left out."""
    ending = flow.endings[name]
    values = answers_of(flow, state.values)
    state = replace(state, flow=flow.name, version=flow.version, step=name, asking="", outcome=ending.outcome.value)
    state = replace(state, values=values)
    words = [*(before or []), wording.said(flow, ending.wording, values)]
    ended = _told(flow, state, ending.outcome, words, at=at, by=by, filled=filled, waited=waited or state.step)
    return replace(ended, completions=completions(flow, state))


def completions(flow: Flow, state: State) -> tuple[Completion, ...]:
    """Give what is to be done at the end a state came to; nothing before it, or where the file has no such end."""
    ending = flow.endings.get(state.step)
    return tuple(_with_values(flow, one, state.values) for one in (ending.completions if ending else ()))


def answers_of(flow: Flow, values: Mapping[str, Any]) -> dict[str, Any]:
    """Give the values that are on the way and still fit, without what was only confirmed."""
    place = walk(flow, fitting(flow, values))
    return {name: value for name, value in on_the_way(flow, place).items() if name in flow.fields}


def fitting(flow: Flow, values: Mapping[str, Any]) -> dict[str, Any]:
    """Give the values that the file, as it is now, still has a place for."""
    return {name: value for name, value in values.items() if (one := flow.field(name)) is not None and fits(one, value)}


def on_the_way(flow: Flow, place: Place) -> dict[str, Any]:
    """Give the values that steps on this way collect."""
    asked = {name for step in place.path for name in flow.steps[step].collect}
    return {name: value for name, value in place.values.items() if name in asked}


def field_of(flow: Flow, name: str) -> Field:
    """Give a field that is known to be there."""
    return flow.field(name) or Field(name, Kind.TEXT, name)


def leads_on(step: Step, value: str) -> bool:
    """Tell whether a confirmation has a way to go for this answer."""
    return any(
        branch.condition and branch.condition.field == step.name and branch.condition.value == value
        for branch in step.branches
    )


def offered(flow: Flow, state: State) -> tuple[Option, ...]:
    """Give what the question somebody is at offers to choose from."""
    if not state.is_active:
        return ()
    if state.asking == CHANGE:
        return wording.menu(flow, on_the_way(flow, walk(flow, state.values, state.said)))
    asking = flow.field(state.asking)
    if asking is None:
        return ()
    return (Option("yes", key="1"), Option("no", key="2")) if asking.kind is Kind.YES_NO else asking.options


def _told(
    flow: Flow,
    state: State,
    outcome: Outcome,
    words: list[Wording],
    *,
    at: datetime,
    by: str,
    filled: tuple[str, ...] = (),
    waited: str = "",
) -> Advance:
    answer = wording.bounded(wording.joined(words))
    state = replace(state, waiting_since=at, advanced_by=by, reply=answer.text, spoken=answer.spoken)
    spoken = answer.spoken or answer.text
    return Advance(state, answer.text, spoken, outcome, (), filled, waited, offered(flow, state))


def _with_values(flow: Flow, done: Completion, values: Mapping[str, Any]) -> Completion:
    """Fill the parameters of what is to be done; what has nothing to say is left out."""
    filled = {key: wording.filled(flow, value, values).strip() for key, value in done.parameters.items()}
    return Completion(done.kind, {key: value for key, value in filled.items() if value})
