"""Flows: conversations of several steps. Pure: a flow, a state and a message give the next state and the answer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.core.flow_parts.definition import Completion, Field, Flow, FlowError, Kind, Option, Outcome
from gateway.core.flow_parts.state import State

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
    "expire",
    "is_over",
    "offered",
    "read",
    "starts",
    "step",
]


@dataclass(frozen=True, slots=True)
class Advance:
    """What a message led to: the new state, what is answered, and what is to be done at an end.

    `step` is the step that was waiting for the message (empty at the beginning), `filled` the fields it filled or
    changed, `choices` what the question now asked offers (`state` has its name in `asking`).
    """

    state: State
    text: str
    spoken: str
    outcome: Outcome
    completions: tuple[Completion, ...] = ()
    filled: tuple[str, ...] = ()
    step: str = ""
    choices: tuple[Option, ...] = ()


def read(file_name: str, mapping: Mapping[str, Any], *, timezone: str = "UTC") -> Flow:
    """Read and check a flow's file. `timezone` (IANA) is meant where the file names none.

    FlowError names every fault: file, step, key and remedy, a line each.
    """
    raise NotImplementedError


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
    raise NotImplementedError


def step(
    flow: Flow, state: State, text: str, *, at: datetime, by: str, spoken: bool = False, digits: bool = False
) -> Advance:
    """Take a message: fill what it answers, correct what it corrects, and ask on, ask again or end.

    A message after the timeout ends the flow as `expire` does. An ended state stays as it is. Never raises, whatever
    is said and whatever became of the file since the state was stored.
    """
    raise NotImplementedError


def cancel(flow: Flow, state: State, *, at: datetime, by: str = "") -> Advance:
    """End a flow as canceled, whoever wants it."""
    raise NotImplementedError


def expire(flow: Flow, state: State, *, at: datetime, by: str = "") -> Advance:
    """End a flow that waited too long."""
    raise NotImplementedError


def is_over(flow: Flow, state: State, at: datetime) -> bool:
    """Tell whether an answer at this moment comes after the timeout."""
    return state.is_active and at - state.waiting_since > flow.timeout


def offered(flow: Flow, state: State) -> tuple[Option, ...]:
    """Give what the question somebody is at offers to choose from."""
    raise NotImplementedError


def starts(flows: Iterable[Flow], text: str) -> Flow | None:
    """Find the flow that a message begins by its words; the longest wins."""
    raise NotImplementedError


def by_intent(flows: Iterable[Flow], intent: str) -> Flow | None:
    """Find the flow that an intent of a responder begins."""
    return next((flow for flow in flows if intent in flow.intents), None)


def by_event(flows: Iterable[Flow], event: str) -> Flow | None:
    """Find the flow that an event (`missed_call`) begins."""
    return next((flow for flow in flows if event in flow.events), None)
