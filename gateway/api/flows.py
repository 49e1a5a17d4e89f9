"""Flows: which there are, and one begun or canceled in a session."""

import secrets

from flask import Response

from gateway.api import deeds, seen
from gateway.api.auth import access, runtime
from gateway.api.blueprint import bp, tag
from gateway.api.problems import Refused, conflict
from gateway.api.schemas import reply
from gateway.api.schemas.flows import FlowBody, FlowDefinition, FlowField, FlowList, FlowStep, FlowTriggers
from gateway.api.schemas.messages import IdempotencyHeader, OneSessionPath
from gateway.api.schemas.sessions import WholeSession
from gateway.api.sending import NOT_YOURS
from gateway.api.sessions import told
from gateway.conversation import flow_starts, outlook
from gateway.conversation.flow_starts import FlowUnderWay, NoFlow
from gateway.conversation.operators import CannotDo
from gateway.core.flows import Flow

TAGS = tag("Flows", "Conversations of several steps that the gateway leads by itself.")


@bp.get("/flows", tags=TAGS, responses={200: FlowList})
def list_flows() -> Response:
    """List the flows there are, with their steps and what begins them."""
    return reply(FlowList(items=[_definition(flow) for flow in runtime().flows.values()]))


def _definition(flow: Flow) -> FlowDefinition:
    return FlowDefinition(
        name=flow.name,
        title=flow.title,
        version=flow.version,
        timeout_seconds=round(flow.timeout.total_seconds()),
        triggers=FlowTriggers(words=list(flow.words), intents=list(flow.intents), events=list(flow.events)),
        steps=[
            FlowStep(name=one.name, collects=list(one.collect), confirms=one.confirm) for one in flow.steps.values()
        ],
        fields=[
            FlowField(
                name=one.name,
                kind=one.kind,
                label=one.label,
                optional=one.optional,
                choices=[option.value for option in one.options],
            )
            for one in flow.fields.values()
        ],
    )


@bp.post("/sessions/<session_id>/flow", tags=TAGS, responses={200: WholeSession})
def begin_flow(path: OneSessionPath, header: IdempotencyHeader, body: FlowBody) -> Response:
    """Begin a flow in a session: its first question is sent. 409 while another one is under way."""
    session_id = seen.session(path.session_id)["id"]
    _must_see_where_it_goes(session_id)
    run = f"api:{deeds.token(header) or secrets.token_hex(16)}"
    try:
        flow_starts.start(
            runtime(), session_id, body.flow, access().name, run=run, values=body.values, instead=body.replace
        )
    except NoFlow as error:
        raise conflict(error, "no_such_flow", 404) from None
    except FlowUnderWay as error:
        raise conflict(error, "flow_under_way") from None
    except CannotDo as error:
        raise conflict(error) from None
    return told(session_id)


def _must_see_where_it_goes(session_id: str) -> None:
    if access().channels is not None:
        way = outlook.outlook(runtime(), session_id)
        if not way.refusal and not access().sees(way.channel_id):
            raise Refused(409, "cannot_send", NOT_YOURS)


@bp.delete("/sessions/<session_id>/flow", tags=TAGS, responses={200: WholeSession})
def cancel_flow(path: OneSessionPath) -> Response:
    """Cancel the flow that is under way in a session, without a word to its person; nothing where none is."""
    session_id = seen.session(path.session_id)["id"]
    try:
        flow_starts.cancel(runtime(), session_id, access().name)
    except CannotDo as error:
        raise conflict(error) from None
    return told(session_id)
