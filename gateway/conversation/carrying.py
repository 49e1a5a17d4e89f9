"""What a session takes along from the one it follows: a flow that is not over yet, or all that was known.

First the flow is made to stand still in the older session, then the newer one is opened with it. A process that dies in
between leaves a flow that stands still and goes on nowhere: whoever opens the next session takes it along all the same.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gateway.core.sessions import CarryOver, Kind, Rule, SessionDecision, SessionView
from gateway.store import flows
from gateway.store.sessions import FLOW, NewSession


def carried(new: NewSession, before: SessionView, decision: SessionDecision) -> Mapping[str, Any] | None:
    """Give the context that a new session begins with; None where the older one's flow moved on meanwhile.

    Only a rollover takes something along: who asked for a new session, or whose last one was closed for good, begins
    anew.
    """
    carry_over = decision.policy.carry_over
    if decision.kind is not Kind.ROLLED_OVER or decision.rule is Rule.ASKED_FOR or carry_over is CarryOver.NONE:
        return {}
    context = dict(flows.context_of(before.id)) if carry_over is CarryOver.ALL else {}
    context.pop(FLOW, None)
    if before.flow is None or not _goes_on(new, before.flow, decision):
        return context
    if not flows.leave(before.id, before.flow, new.id):
        return None
    state = {name: value for name, value in before.flow.items() if name != flows.CARRIED_BY}
    return context | {FLOW: state | {flows.CARRIED_FROM: before.id}}


def _goes_on(new: NewSession, state: Mapping[str, Any], decision: SessionDecision) -> bool:
    """Tell whether a flow waits for an answer still, and does not go on elsewhere."""
    due = state.get("due")
    if state.get("outcome") or (isinstance(due, datetime) and due < new.first_message_at):
        return False
    elsewhere = state.get(flows.CARRIED_BY)
    if elsewhere is None:
        return True
    # With threshold 0 nothing keeps racers' sessions apart, so the one that may be opened just now has it.
    return decision.rule is not Rule.EVERY_MESSAGE and flows.held(elsewhere) is None
