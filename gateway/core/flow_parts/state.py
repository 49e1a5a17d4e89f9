"""Where somebody is in a flow: what is kept of it in `sessions.context.flow`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any

from gateway.core.flow_parts.definition import Completion, Option, Outcome

# What BSON may make of a state, with room to spare: the design allows 16 kB.
STORED_LIMIT = 16_000

# What a state is made of; all else in it is text.
_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "version": int,
    "tries": int,
    "started_at": datetime,
    "waiting_since": datetime,
    "values": Mapping,
    "said": (list, tuple),
}


@dataclass(frozen=True, slots=True)
class State:
    """One person's way through one flow. `step` is a step of its file, or an ending once `outcome` is set.

    `values` are what was collected, as `recognise` gives it; "" is an optional one that was skipped. `asking` is the
    field asked for, or `change` after somebody said that something is wrong. `said` are the steps that ask nothing
    and were passed. `run` is new for every time a flow is begun. `advanced_by` is the id of the message that led here,
    `reply` and `spoken` are what it was answered.
    """

    flow: str
    version: int
    step: str
    run: str
    started_at: datetime
    waiting_since: datetime
    values: Mapping[str, Any] = field(default_factory=dict)
    asking: str = ""
    tries: int = 0
    said: tuple[str, ...] = ()
    advanced_by: str = ""
    reply: str = ""
    spoken: str = ""
    outcome: str = ""

    @property
    def is_active(self) -> bool:
        """Tell whether an answer is waited for."""
        return not self.outcome

    def as_stored(self) -> dict[str, Any]:
        """Give the state as a mapping of plain values; moments are aware datetimes."""
        stored = {part.name: getattr(self, part.name) for part in fields(self)}
        return stored | {"values": dict(self.values), "said": list(self.said)}

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> "State":
        """Read a state back; what a later or earlier version wrote beside it is left out.

        KeyError where it is none, TypeError where something in it is of another kind: it may have been adopted.
        """
        known = {part.name: stored[part.name] for part in fields(cls) if part.name in stored}
        if missing := {"flow", "step", "run", "started_at", "waiting_since"} - known.keys():
            raise KeyError(min(missing))
        if odd := sorted(name for name, value in known.items() if not isinstance(value, _KINDS.get(name, str))):
            raise TypeError(odd[0])
        known["values"], known["said"] = dict(known.get("values", {})), tuple(known.get("said", ()))
        return cls(**{"version": 0} | known)

    def ended(self, outcome: Outcome, *, at: datetime, by: str = "") -> "State":
        """Give the state after an end that no file has a word about: the flow itself is gone."""
        return replace(
            self,
            step=outcome.value,
            outcome=outcome.value,
            asking="",
            waiting_since=at,
            advanced_by=by,
            reply="",
            spoken="",
        )


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
