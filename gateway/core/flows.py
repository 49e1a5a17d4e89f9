"""Flows: conversations of several steps. Pure: a flow, a state and a message give the next state and the answer.

Where somebody is follows from what they said: the way is walked from the first step to the first that still lacks an
answer. So what was said early is not asked again, a correction may lead elsewhere, and a file may change meanwhile.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from gateway.core.flow_parts import wording
from gateway.core.flow_parts.answers import VALUES_LIMIT, Answer, Heard, given, weight
from gateway.core.flow_parts.checks import check_together
from gateway.core.flow_parts.definition import Completion, Field, Flow, FlowError, Kind, Option, Outcome
from gateway.core.flow_parts.file import read
from gateway.core.flow_parts.finding import find
from gateway.core.flow_parts.moving import (
    CHANGE,
    arrive,
    ask,
    ask_again,
    ask_what_to_change,
    completions,
    end,
    field_of,
    fitting,
    leads_on,
    offered,
    on_the_way,
)
from gateway.core.flow_parts.reading import Reading
from gateway.core.flow_parts.starting import by_event, by_intent, cancels, starts, without_trigger
from gateway.core.flow_parts.state import Advance, State
from gateway.core.flow_parts.walking import Place, walk
from gateway.core.recognise import choices
from gateway.core.recognise.vocabulary import AGAIN, BUT
from gateway.core.recognise.words import clean, is_phrase, phrase_in

__all__ = [
    "Advance",
    "Completion",
    "Field",
    "Flow",
    "FlowError",
    "Kind",
    "Option",
    "Outcome",
    "State",
    "begin",
    "by_event",
    "by_intent",
    "cancel",
    "check_together",
    "completions",
    "expire",
    "is_over",
    "offered",
    "read",
    "starts",
    "step",
]

# What is not read from the words that begin a flow: anything would do as a text or a name.
_NOT_AT_ONCE = (Kind.TEXT, Kind.NAME, Kind.YES_NO)


def begin(
    flow: Flow,
    *,
    run: str,
    at: datetime,
    by: str,
    text: str = "",
    values: Mapping[str, str] | None = None,
    spoken: bool = False,
) -> Advance:
    """Begin a flow. `text` may hold answers already ("bulk order 20 shirts"), `values` what is known otherwise.

    Values that no field of the flow takes are left out.
    """
    heard = _heard(flow, without_trigger(flow, text), at, spoken=spoken)
    known: dict[str, Any] = {}
    for name, said in (values or {}).items():
        value = given(flow.fields[name], str(said), heard) if name in flow.fields else None
        if value is not None:
            known[name] = value
    found: dict[str, Any] = {}
    if heard.text:
        missing = [field_of(flow, name) for name in walk(flow, known).missing]
        reading = find(flow, [one for one in missing if one.kind not in _NOT_AT_ONCE], known, heard)
        found = _kept(reading, known)
    state = State(flow.name, flow.version, next(iter(flow.steps)), run, at, at)
    return arrive(flow, state, known | found, at=at, by=by, filled=tuple(found))


def step(
    flow: Flow, state: State, text: str, *, at: datetime, by: str, spoken: bool = False, digits: bool = False
) -> Advance:
    """Take a message: fill what it answers, correct what it corrects, and ask on, ask again or end.

    A message after the timeout ends the flow as `expire` does. An ended state stays as it is. Never raises, whatever
    is said and whatever became of the file since the state was stored.
    """
    if not state.is_active:
        return _over(state)
    if is_over(flow, state, at):
        return expire(flow, state, at=at, by=by)
    place = _place(flow, state)
    if place.name != state.step or state.flow != flow.name:
        return _begin_again(flow, state, place, at=at, by=by)
    heard = _heard(flow, text, at, spoken=spoken, digits=digits)
    if cancels(flow, heard.text):
        return cancel(flow, state, at=at, by=by)
    state = replace(state, values=place.values, said=place.said)
    return _take(flow, state, place, heard, at=at, by=by)


def cancel(flow: Flow, state: State, *, at: datetime, by: str = "") -> Advance:
    """End a flow as canceled, whoever wants it. An ended state stays as it is."""
    if not state.is_active:
        return _over(state)
    return end(flow, state, Outcome.CANCELED.value, at=at, by=by)


def expire(flow: Flow, state: State, *, at: datetime, by: str = "") -> Advance:
    """End a flow that waited too long. An ended state stays as it is."""
    if not state.is_active:
        return _over(state)
    return end(flow, state, Outcome.EXPIRED.value, at=at, by=by)


def is_over(flow: Flow, state: State, at: datetime) -> bool:
    """Tell whether an answer at this moment comes after the timeout."""
    return state.is_active and at - state.waiting_since > flow.timeout


def _over(state: State) -> Advance:
    return Advance(state, state.reply, state.spoken or state.reply, Outcome(state.outcome), step=state.step)


def _heard(flow: Flow, text: str, at: datetime, *, spoken: bool = False, digits: bool = False) -> Heard:
    local = at.astimezone(flow.zone).replace(tzinfo=None)
    keyed = digits and re.fullmatch(r"[0-9*# ]+", text) is not None
    return Heard(clean(text), local, spoken, keyed, flow.answers)


def _place(flow: Flow, state: State) -> Place:
    """Find where somebody is; values that no longer fit the file are asked for again."""
    return walk(flow, fitting(flow, state.values), [name for name in state.said if name in flow.steps])


def _begin_again(flow: Flow, state: State, place: Place, *, at: datetime, by: str) -> Advance:
    """Excuse a file that changed, and ask what it asks now; the message was an answer to something else."""
    excuse = wording.said(flow, wording.wording(flow, "restarted"), place.values)
    return arrive(flow, replace(state, said=()), place.values, at=at, by=by, before=excuse, waited=state.step)


def _take(flow: Flow, state: State, place: Place, heard: Heard, *, at: datetime, by: str) -> Advance:
    """Take a message at the place where somebody is."""
    here = flow.steps[place.name]
    changing = here.confirm and state.asking == CHANGE
    wanted = sorted((field_of(flow, name) for name in place.missing), key=lambda one: one.name != state.asking)
    if changing and (again := _chosen(flow, place, heard)):
        return _ask_anew(flow, state, place, again, at=at, by=by)
    reading = find(flow, wanted, place.values, heard, free=here.confirm)
    found = _kept(reading, place.values)
    if here.confirm and (changing or reading.again or len(found) > 1):
        answered = found.pop(here.name, "")
        if answered and changing and not found and not reading.again:  # nothing to change after all
            question = ask(flow, place, wanted[0])
            return ask_again(flow, state, place, question, asking=here.name, at=at, by=by)
    if found == {here.name: "no"} and here.confirm and not leads_on(here, "no"):
        return ask_what_to_change(flow, state, place, at=at, by=by)
    if found:
        return _go_on(flow, state, place, found, at=at, by=by)
    if reading.again:
        return _ask_anew(flow, state, place, reading.again, at=at, by=by)
    return _not_understood(flow, state, place, wanted[0], reading, at=at, by=by)


def _ask_anew(flow: Flow, state: State, place: Place, name: str, *, at: datetime, by: str) -> Advance:
    """Ask again for a field that somebody wants to change."""
    values = {one: value for one, value in _unconfirmed(flow, place.values).items() if one != name}
    return arrive(flow, state, values, at=at, by=by, waited=place.name)


def _chosen(flow: Flow, place: Place, heard: Heard) -> str:
    """Read which field somebody wants to change: by its number, or by its name alone."""
    values = on_the_way(flow, place)
    menu = wording.menu(flow, values)
    said = re.sub(r"^(?:the|my|our)\s+", "", heard.text.strip("#* ."), flags=re.IGNORECASE)
    named = (one.value for one in menu if is_phrase((one.value, *one.words), said))
    label = choices.by_number(menu, said) or next(named, "")
    return next((one.name for one in wording.listed(flow, values) if one.label == label), "")


def _kept(reading: Reading, known: Mapping[str, Any]) -> dict[str, Any]:
    """Give what was found, as far as a state can hold it; what it cannot is refused as too long."""
    kept: dict[str, Any] = {}
    for name, value in reading.values.items():
        if weight({**known, **kept, name: value}) > VALUES_LIMIT:
            reading.refused[name] = Answer(value, 0, 0, "too_long")
        else:
            kept[name] = value
    return kept


def _go_on(flow: Flow, state: State, place: Place, found: Mapping[str, Any], *, at: datetime, by: str) -> Advance:
    """Put new values in. What was confirmed before is confirmed again where it is different now."""
    corrected = [flow.fields[name] for name in found if name in place.values and name in flow.fields]
    values = {**(_unconfirmed(flow, place.values) if corrected else place.values), **found}
    notes = [] if flow.steps[place.name].confirm else [wording.noted(flow, one, values) for one in corrected]
    return arrive(
        flow, state, values, at=at, by=by, before=wording.joined(notes), filled=tuple(found), waited=place.name
    )


def _unconfirmed(flow: Flow, values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in flow.fields}


def _not_understood(
    flow: Flow, state: State, place: Place, wanted: Field, reading: Reading, *, at: datetime, by: str
) -> Advance:
    """Say what was wrong with an answer, or repeat the question for who asks that, and wait once more."""
    here = flow.steps[place.name]
    refused = reading.refused.get(wanted.name) or next(iter(reading.refused.values()), None)
    unsure = here.confirm and not refused and bool(phrase_in(BUT, reading.heard.text))
    if unsure or state.asking == CHANGE:
        words = wording.what_to_change(flow, on_the_way(flow, place))
    elif not refused and is_phrase(AGAIN, reading.heard.text):
        words = ask(flow, place, wanted)
    else:
        wrong, what = (refused.wrong, refused.what) if refused else ("", "")
        words = wording.again(flow, wanted, here, place.values, wrong, what)
    asking = CHANGE if unsure or state.asking == CHANGE else wanted.name
    return ask_again(flow, state, place, words, asking=asking, at=at, by=by)
