"""Flows begun and canceled by somebody at the console or by a program, each with its entry in the audit."""

from collections.abc import Mapping

from gateway.conversation import flow_begin, outlook
from gateway.conversation.flow_begin import Beginning
from gateway.conversation.operators import CannotDo
from gateway.conversation.runtime import Runtime
from gateway.core.flows import State
from gateway.logs import log
from gateway.store import audit, finding, flow_states, listing
from gateway.store import flows as store_flows
from gateway.store.connection import deadline
from gateway.store.outbound import Place

UNDER_WAY = "A flow is under way here. Cancel it first, or begin the other one instead of it."


class FlowUnderWay(CannotDo):
    """Another flow is under way in the session."""


class NoFlow(CannotDo):
    """There is no flow of that name."""


def start(
    runtime: Runtime,
    session_id: str,
    name: str,
    by: str,
    *,
    run: str,
    values: Mapping[str, str] | None = None,
    instead: bool = False,
) -> State:
    """Begin a flow in a session and send its first question; once for its `run`. CannotDo says why not.

    With `instead` one that is under way is canceled for it. `values` are what is known already, by field.
    """
    flow = runtime.flows.get(name)
    if flow is None:
        known = ", ".join(runtime.flows) or "none yet: put one into config/flows"
        raise NoFlow(f"There is no flow {name[:60]!r}. There are: {known}.")
    if unknown := sorted(set(values or {}) - set(flow.fields)):
        raise CannotDo(f"{flow.name} has no field {unknown[0][:60]!r}. It has: {', '.join(flow.fields)}.")
    _check_way(runtime, session_id)
    with deadline():
        place = _place(session_id)
        _check_session(runtime, session_id)
        begun = flow_begin.begin(runtime, place, Beginning(flow, run, values=values or {}, instead=instead))
        if begun is None:
            raise FlowUnderWay(UNDER_WAY)
        audit.note_once(f"flow:{run}:begun", runtime.clock.now(), by, "flow_begun", session_id=session_id, flow=name)
    return begun


def _check_way(runtime: Runtime, session_id: str) -> None:
    """Refuse where the first question would not go out, or not be answered in this session."""
    now = outlook.outlook(runtime, session_id)
    if now.refusal:
        raise CannotDo(now.refusal)
    if now.templates_only and not now.usual_template:
        raise CannotDo(outlook.WINDOW_CLOSED)
    with deadline():
        session = finding.get(session_id)
    if (
        session
        and now.communication_type != session.communication_type
        and runtime.settings.sessions.scope != "contact"
    ):
        raise CannotDo("This is a call, and a text to its caller would be another session. Begin the flow there.")


def _check_session(runtime: Runtime, session_id: str) -> None:
    """Refuse where a person answers, or where they have a newer session, which their next message goes to."""
    session, now = finding.get(session_id), runtime.clock.now()
    if session is None or session.is_final_at(now):
        raise CannotDo("The session is closed for good. Reopen it first.")
    if session.bot_off:
        raise CannotDo("A person answers here, so no flow does. Hand back to the bot first.")
    newest = finding.find_neighbours(session.keys, now).before if session.keys else session
    if newest and newest.id != session.id:
        raise CannotDo("They have a newer session. Begin the flow there.", newest.id)


def _place(session_id: str) -> Place:
    found = listing.one(session_id, None)
    if found is None:
        raise CannotDo("There is no session of that id.")
    return Place.of(found | {"session_id": session_id})


def cancel(runtime: Runtime, session_id: str, by: str) -> bool:
    """End the flow that is under way in a session, without a word to its person; False where none is."""
    with deadline():
        place = _place(session_id)
        for _ in range(flow_begin.ATTEMPTS):
            held = store_flows.held(session_id)
            state = flow_states.read(held.state) if held else None
            if state is None or not state.is_active:
                return False
            if flow_begin.cancel(runtime, place, state):
                audit.note(runtime.clock.now(), by, "flow_canceled", session_id=session_id, flow=state.flow)
                log.info("flow_canceled_by_hand", session_id=session_id, flow=state.flow, run=state.run)
                return True
    raise CannotDo("They are writing right now. Try again.")
