"""A flow begun by something else than a person's words: a responder, an event, a program, somebody at the console."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from gateway.conversation import flow_effects
from gateway.conversation.runtime import Runtime
from gateway.core import flows
from gateway.core.errors import StoreUnavailable
from gateway.core.flows import Flow, Outcome, State
from gateway.store import flow_states, sessions
from gateway.store import flows as store_flows
from gateway.store.flows import Held
from gateway.store.outbound import Place

# Each attempt that fails means that something else moved the flow, so several in a row are a fault.
ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class Beginning:
    """How a flow is to begin. `run` is the same however often this is asked for.

    `by` is what led to it; empty where nobody answers with what it says, so that it is sent. `instead` ends a flow
    that is under way.
    """

    flow: Flow
    run: str
    by: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    spoken: bool = False
    instead: bool = False


def begin(runtime: Runtime, place: Place, wanted: Beginning) -> State | None:
    """Begin a flow in a session, once for its run; gives its state, None where another one is under way.

    None also where the session is closed for good. One that was begun so and went on since is left as it is.
    """
    for _ in range(ATTEMPTS):
        now = runtime.clock.now()
        held = _opened(place.session_id, now)
        if held is None:
            return None
        before = flow_states.read(held.state)
        if before and before.run == wanted.run:
            flow_effects.follow(runtime, place, wanted.flow, None, before)
            return before
        if before and before.is_active:
            if not wanted.instead and not _is_over(runtime, before, now):
                return None
            cancel(runtime, place, before)
        elif before and held.state and held.state.get("due"):
            flow_effects.follow(runtime, place, runtime.flows.get(before.flow), None, before)
        else:
            after = _first(wanted, now)
            if store_flows.advance(place.session_id, held.state, flow_effects.kept(wanted.flow, after, now), now):
                flow_effects.follow(runtime, place, wanted.flow, None, after)
                return after
    raise StoreUnavailable(f"the flow of {place.session_id} moved {ATTEMPTS} times meanwhile")


def _opened(session_id: str, now: datetime) -> Held | None:
    """Look at a session that is open, or was until nothing came for long; None where it is closed for good."""
    held = store_flows.held(session_id)
    if held and not held.is_open and sessions.reopen_idle(session_id, held.keys, now):
        held = store_flows.held(session_id)
    return held if held and held.is_open else None


def _is_over(runtime: Runtime, state: State, now: datetime) -> bool:
    flow = runtime.flows.get(state.flow)
    return flow is None or flows.is_over(flow, state, now)


def _first(wanted: Beginning, now: datetime) -> State:
    by = wanted.by or flow_effects.by_itself(wanted.run, flow_effects.BEGIN)
    return flows.begin(
        wanted.flow, run=wanted.run, at=now, by=by, values=wanted.values, spoken=wanted.spoken
    ).state  # fmt: skip


def cancel(runtime: Runtime, place: Place, state: State) -> bool:
    """End the flow that is under way without a word to anybody; False where it moved on meanwhile.

    One whose time is over, or whose file is gone, has ended as that.
    """
    flow, now = runtime.flows.get(state.flow), runtime.clock.now()
    by = flow_effects.by_itself(state.run, "cancel")
    if flow is None:
        ended = state.ended(Outcome.CANCELED, at=now, by=by)
    else:
        end = flows.expire if flows.is_over(flow, state, now) else flows.cancel
        ended = end(flow, state, at=now, by=by).state
    return flow_effects.put(runtime, place, flow, state, replace(ended, reply="", spoken=""))
