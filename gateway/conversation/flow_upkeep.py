"""Flows that somebody has to look at: those that waited too long, and those whose process died in the middle."""

from dataclasses import replace
from datetime import datetime, timedelta

from gateway.conversation import flow_effects
from gateway.conversation.runtime import Runtime
from gateway.core import flows
from gateway.core.errors import StoreUnavailable
from gateway.core.flows import Flow, Outcome
from gateway.core.messages import VOICE
from gateway.logs import log, where
from gateway.store import finding, flow_states
from gateway.store.connection import deadline
from gateway.store.flow_states import Waiting
from gateway.store.outbound import Place

# So many at most in a pass; the rest follows with the next one.
BATCH = 200
PASS_SECONDS = 60

# When one is looked at again that nobody could do anything about.
LATER = timedelta(hours=1)


def look(runtime: Runtime) -> int:
    """End the flows whose time is over, and do what still follows from others; gives how many were looked at."""
    with deadline(PASS_SECONDS):
        waiting = list(flow_states.due(runtime.clock.now(), limit=BATCH))
        for one in waiting:
            try:
                _look(runtime, one)
            except StoreUnavailable:
                raise
            except Exception as error:
                # Its text may quote what somebody wrote. The others wait for nothing that is wrong with this one.
                log.error("flow_upkeep_failed", session_id=one.place.session_id, error=where(error))
                flow_states.put_due(one.place.session_id, one.state, runtime.clock.now() + LATER)
    return len(waiting)


def _look(runtime: Runtime, waiting: Waiting) -> None:
    flow, state = runtime.flows.get(waiting.state.flow), waiting.state
    if state.is_active and (flow is None or flows.is_over(flow, state, runtime.clock.now())):
        _expire(runtime, waiting, flow)
    else:
        flow_effects.follow(runtime, waiting.place, flow, None, state)
        flow_effects.look_at_end(runtime, waiting.place, flow, state)


def _expire(runtime: Runtime, waiting: Waiting, flow: Flow | None) -> None:
    """End a flow that waited too long, without a word where that would come out of the blue."""
    state, now = waiting.state, runtime.clock.now()
    by = flow_effects.by_itself(state.run, "timeout")
    ended = flows.expire(flow, state, at=now, by=by).state if flow else state.ended(Outcome.EXPIRED, at=now, by=by)
    if not _may_say(waiting.place, now):
        ended = replace(ended, reply="", spoken="")
    flow_effects.put(runtime, waiting.place, flow, state, ended)


def _may_say(place: Place, now: datetime) -> bool:
    """Tell whether its person still is in the conversation: in no call, with no person of ours, in no newer session."""
    session = finding.get(place.session_id)
    if session is None or session.bot_off or place.communication_type == VOICE or session.is_final_at(now):
        return False
    newest = finding.find_neighbours(session.keys, now).before
    return newest is None or newest.id == session.id
