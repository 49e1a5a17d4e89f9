"""What follows from a flow's steps: its run is noted and counted, and what its end asks for is put into the outbox.

`follow` is called after a state was stored, and again by whoever finds it stored and does not know whether somebody
did: all of it is made from the state, under ids made from its run. Until then the state says when to look (`due`), so
a process that dies in between is made up for by `flow_upkeep`. A state that is over and still has a `due` is followed
once more before another flow takes its place.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from gateway import metrics
from gateway.conversation.runtime import Runtime
from gateway.core import flows
from gateway.core.flows import Completion, Flow, Outcome, State
from gateway.core.times import MILLISECOND
from gateway.logs import log
from gateway.store import flow_runs, flow_states, outbox
from gateway.store.flow_runs import Run
from gateway.store.outbound import Place
from gateway.store.outbox import Row

# How long whoever stores a state has to do what follows from it, before somebody else looks.
IN_HAND = timedelta(seconds=15)

# The parts of a run that are rows of the outbox: what it says at its beginning, then its completions by number.
BEGIN = "begin"
MESSAGE = "message"

_EVENTS = {
    Outcome.COMPLETED: "flow_completed",
    Outcome.CANCELED: "flow_canceled",
    Outcome.EXPIRED: "flow_abandoned",
    Outcome.GIVEN_UP: "flow_abandoned",
}


def kept(flow: Flow | None, state: State, now: datetime) -> dict[str, Any]:
    """Give what a session keeps of a state under `context.flow`: itself, and `due`, when somebody has to look at it.

    That is when its time is over; or soon, where something has to follow. Store it, then call `follow`.
    """
    if state.is_active and flow and _is_told(state):
        return state.as_stored() | {"due": _over_at(flow, state, now)}
    return state.as_stored() | {"due": now + IN_HAND}


def by_itself(run: str, part: str) -> str:
    """Give the `advanced_by` of what no message led to: what it says is told by nobody, so it is queued too."""
    return row_id(run, part)


def _is_told(state: State) -> bool:
    return not state.advanced_by.startswith(row_id(state.run, ""))


def _over_at(flow: Flow, state: State, now: datetime) -> datetime:
    """Tell when a flow has waited too long: whose message came late has as much time as everybody."""
    return max(state.waiting_since, now) + flow.timeout + MILLISECOND


def follow(runtime: Runtime, place: Place, flow: Flow | None, before: State | None, after: State) -> None:
    """Do what follows from a state that was stored; as often as you like.

    `before` is the state it came from: None at the beginning, or where nobody remembers. `flow` is None where its
    file is gone.
    """
    opening = "" if _is_told(after) or not after.is_active else after.reply
    run = Run(after.run, after.flow, after.version, place, after.started_at, opening=opening)
    if (before is None or before.run != after.run) and flow_runs.begin(run):
        _tell("flow_started", "started", place, after, after.step)
    if flow_runs.reach(run, list(_reached(flow, before, after)), after.waiting_since) and before is not None:
        _tell("flow_advanced", "", place, after, after.step)
    if not after.is_active:
        _end(runtime, place, flow, before, after)
    elif opening:
        _queue(runtime, place, after, BEGIN)
    if opening or not after.is_active:
        look_at_end(runtime, place, flow, after)


def put(runtime: Runtime, place: Place, flow: Flow | None, before: State, after: State) -> bool:
    """Put a state in the place of one, in a session that is closed too; False where it moved on meanwhile."""
    now = runtime.clock.now()
    if not flow_states.replace(place.session_id, before, kept(flow, after, now), now):
        return False
    follow(runtime, place, flow, before, after)
    return True


def look_at_end(runtime: Runtime, place: Place, flow: Flow | None, state: State) -> None:
    """Let a state be looked at when its time is over, and one that is over never again."""
    due = _over_at(flow, state, runtime.clock.now()) if flow and state.is_active else None
    flow_states.put_due(place.session_id, state, due)


def _end(runtime: Runtime, place: Place, flow: Flow | None, before: State | None, after: State) -> None:
    """Note how a run ended, at which step, and queue what is to be done about it."""
    known = flow_runs.get(after.run)
    step = before.step if before else (known.steps[-1][0] if known and known.steps else "")
    said = [Completion(MESSAGE, {"text": after.reply})] if after.reply and not _is_told(after) else []
    completions = [_as_stored(one) for one in (*said, *(flows.completions(flow, after) if flow else ()))]
    ended = Run(
        after.run, after.flow, after.version, place, after.started_at, outcome=after.outcome, last_step=step,
        ended_at=after.waiting_since, values=after.values, completions=tuple(completions),
    )  # fmt: skip
    if flow_runs.end(ended):
        _tell(_EVENTS[Outcome(after.outcome)], after.outcome, place, after, step)
    for number in range(len(completions)):
        _queue(runtime, place, after, str(number))


def _as_stored(one: Completion) -> Mapping[str, Any]:
    return {"kind": one.kind, "parameters": dict(one.parameters)}


def _reached(flow: Flow | None, before: State | None, after: State) -> Iterator[str]:
    """List the steps that somebody came to or needed not be asked, in the order of the file."""
    here = {one.step for one in (before, after) if one and one.is_active} | set(after.said)
    for name, step in flow.steps.items() if flow else ():
        if name in here or (step.collect and all(field in after.values for field in step.collect)):
            yield name


def _queue(runtime: Runtime, place: Place, state: State, part: str) -> None:
    """Queue a part of what follows from a run, once."""
    now = runtime.clock.now()
    row = Row(
        id=row_id(state.run, part),
        step=outbox.FLOW,
        about=state.run,
        due=now,
        queued_at=now,
        session_id=place.session_id,
        contact_id=place.contact_id,
    )
    if outbox.put(row):
        runtime.notify(row.id, row.due)


def row_id(run: str, part: str) -> str:
    """Give the id of a row of the outbox for a part of what follows from a run."""
    return f"flow:{run}:{part}"


def _tell(event: str, outcome: str, place: Place, state: State, step: str) -> None:
    """Say it in the log, without a word of anybody's, and count what is counted."""
    log.info(
        event,
        flow=state.flow,
        version=state.version,
        step=step,
        run=state.run,
        session_id=place.session_id,
        outcome=outcome or None,
    )
    if outcome:
        metrics.FLOWS.labels(state.flow, outcome).inc()
