"""The flow of a session as it is shown: where its person is in it, and what they said so far."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.admin import listed, wording
from gateway.admin.login import runtime
from gateway.core.flow_parts.answers import shown
from gateway.core.flows import Flow, Outcome, State
from gateway.store import flow_states

_ENDS = {
    Outcome.COMPLETED: ("Completed", "good"),
    Outcome.CANCELED: ("Canceled", "quiet"),
    Outcome.EXPIRED: ("Not answered in time", "warn"),
    Outcome.GIVEN_UP: ("Given up", "warn"),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """A flow as it stands beside a session. `end` says how it ended, and its colour; empty while it goes on."""

    title: str
    step: str
    number: int
    of: int
    known: list[tuple[str, str]]
    at: datetime
    ago: str
    end: str = ""
    tone: str = ""


def of(session: Mapping[str, Any], now: datetime) -> Shown | None:
    """Show the flow that is under way in a session, or was the last one; None where there is none."""
    state = flow_states.read((session.get("context") or {}).get("flow"))
    if state is None:
        return None
    flow = runtime().flows.get(state.flow)
    names = [name for name, step in flow.steps.items() if step.asks] if flow else []
    end, tone = _ENDS[Outcome(state.outcome)] if state.outcome else ("", "")
    return Shown(
        title=flow.title if flow else state.flow,
        step=state.step.replace("_", " "),
        number=names.index(state.step) + 1 if state.step in names else 0,
        of=len(names),
        known=list(_known(flow, state)),
        at=state.waiting_since,
        ago=listed.ago(state.waiting_since, now),
        end=end,
        tone=tone,
    )


def _known(flow: Flow | None, state: State) -> Iterator[tuple[str, str]]:
    """Give what is known by its label, in the order of the file; what was skipped is left out."""
    fields = flow.fields if flow else {}
    for name in sorted(state.values, key=lambda one: list(fields).index(one) if one in fields else len(fields)):
        field, value = fields.get(name), state.values[name]
        if words := shown(field, value) if field else wording.value(value):
            yield (field.label if field else name.replace("_", " ")).capitalize(), words


def startable() -> dict[str, str]:
    """List the flows that may be begun by hand: titles by name."""
    return {flow.name: flow.title for flow in runtime().flows.values()}
