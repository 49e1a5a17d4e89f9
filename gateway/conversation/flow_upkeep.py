"""Flows that somebody has to look at: those that waited too long, and those whose process died in the middle."""

from dataclasses import replace

from gateway.conversation import flow_effects
from gateway.conversation.runtime import Runtime
from gateway.core import flows
from gateway.core.flows import Flow, Outcome
from gateway.core.messages import VOICE
from gateway.store import flow_states
from gateway.store.connection import deadline
from gateway.store.flow_states import Waiting

# So many at most in a pass; the rest follows with the next one.
BATCH = 200
PASS_SECONDS = 60


def look(runtime: Runtime) -> int:
    """End the flows whose time is over, and do what still follows from others; gives how many were looked at."""
    with deadline(PASS_SECONDS):
        waiting = list(flow_states.due(runtime.clock.now(), limit=BATCH))
        for one in waiting:
            _look(runtime, one)
    return len(waiting)


def _look(runtime: Runtime, waiting: Waiting) -> None:
    flow, state = runtime.flows.get(waiting.state.flow), waiting.state
    if state.is_active and (flow is None or flows.is_over(flow, state, runtime.clock.now())):
        _expire(runtime, waiting, flow)
    else:
        flow_effects.follow(runtime, waiting.place, flow, None, state)
        flow_effects.look_at_end(runtime, waiting.place, flow, state)


def _expire(runtime: Runtime, waiting: Waiting, flow: Flow | None) -> None:
    """End a flow that waited too long; on a call, or while a person answers, without a word."""
    state, now = waiting.state, runtime.clock.now()
    by = flow_effects.by_itself(state.run, "timeout")
    ended = flows.expire(flow, state, at=now, by=by).state if flow else state.ended(Outcome.EXPIRED, at=now, by=by)
    if waiting.bot_off or waiting.place.communication_type == VOICE:
        ended = replace(ended, reply="", spoken="")
    flow_effects.put(runtime, waiting.place, flow, state, ended)
