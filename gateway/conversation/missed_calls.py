"""Calls that reached nobody, where a flow listens to them: its first question is the text to the caller.

The end of a call puts a row into the outbox, once for each call; a worker begins the flow and sends the text. So a
process that dies anywhere in between leaves it to the next one.
"""

from gateway.channels import voice
from gateway.channels.line import CONVERSE, DIAL, VOICEMAIL
from gateway.conversation import flow_begin, send
from gateway.conversation.flow_begin import Beginning
from gateway.conversation.release import finish
from gateway.conversation.runtime import Runtime
from gateway.conversation.send import OPTED_OUT, Draft
from gateway.conversation.ways import CannotSend
from gateway.core import flows
from gateway.core.flows import Flow
from gateway.core.messages import SMS, VOICE, CallEvent, Channel, DialOutcome
from gateway.core.participant import address
from gateway.logs import log
from gateway.store import calls as store_calls
from gateway.store import finding, outbound, outbox
from gateway.store.connection import deadline
from gateway.store.outbox import Address, Row

EVENT = "missed_call"
PREFIX = "flow-missed:"


def flow_for(runtime: Runtime, mode: str, event: CallEvent | DialOutcome, line: str) -> Flow | None:
    """Find the flow that a call to one of our numbers leads to by how it ended.

    None where it is none that the settings call missed, or neither calls nor texts to that number are left to flows.
    """
    flow = flows.by_event(runtime.flows.values(), EVENT)
    return flow if flow and _is_missed(runtime, mode, event) and _has_flows(runtime, line) else None


def _has_flows(runtime: Runtime, line: str) -> bool:
    with deadline():
        for kind in (SMS, VOICE):
            channel_id = f"{kind}:{line}"
            if runtime.has_flows(runtime.channels.get(channel_id) or Channel(channel_id, kind)):
                return True
    return False


def _is_missed(runtime: Runtime, mode: str, event: CallEvent | DialOutcome) -> bool:
    kinds = runtime.settings.flow.missed_calls
    if event.status in voice.MISSED:
        return ("dial" if mode == DIAL else "failed") in kinds
    if isinstance(event, DialOutcome) or event.status != "completed":
        return False
    if mode == VOICEMAIL:
        return "voicemail" in kinds
    return mode == CONVERSE and "silent" in kinds and _said_nothing(event.sid)


def _said_nothing(call_sid: str) -> bool:
    with deadline():
        latest = store_calls.latest_turn(call_sid)
    return latest is not None and latest.id == f"{call_sid}:0"


def may_be_missed(runtime: Runtime, event: CallEvent | DialOutcome) -> bool:
    """Tell from its status alone whether a call has to be looked at."""
    if event.status in voice.MISSED:
        return True
    lately = {"voicemail", "silent"} & set(runtime.settings.flow.missed_calls)
    return bool(lately and event.status == "completed" and flows.by_event(runtime.flows.values(), EVENT))


def queue(runtime: Runtime, call_sid: str, to: Address) -> bool:
    """Queue the text to a caller, once for each call."""
    now = runtime.clock.now()
    with deadline():
        session_id, shared = store_calls.call_of(call_sid) or (None, {})
        contact_id = shared.get("contact_id")
        row = Row(
            f"{PREFIX}{call_sid}", outbox.FLOW, call_sid, due=now, queued_at=now, address=to,
            session_id=session_id, contact_id=contact_id and str(contact_id),
        )  # fmt: skip
        fresh = outbox.put(row)
    if fresh:
        runtime.notify(row.id, row.due)
        log.info("missed_call_queued", call_sid=call_sid)
    return fresh


def answer(runtime: Runtime, row: Row) -> None:
    """Begin the flow with a caller and send its first question.

    Who opted out, is in a flow already, or talks to a person is left alone.
    """
    flow, message_id = flows.by_event(runtime.flows.values(), EVENT), f"text-back:{row.about}"
    if flow is None or row.address is None or address(row.address.to).identity in runtime.blocked:
        _end(runtime, row, outbox.CANCELED)
        return
    with deadline():
        if outbound.get(message_id):
            finish(runtime, row, outbox.DONE)
            return
    try:
        said = _text(runtime, flow, row.address, message_id)
    except CannotSend as refused:
        log.info("text_back_refused", call_sid=row.about, reason=str(refused))
        _end(runtime, row, outbox.CANCELED if str(refused) == OPTED_OUT else outbox.FAILED, f"not_sent: {refused}")
    else:
        _end(runtime, row, outbox.DONE if said else outbox.CANCELED)


def _text(runtime: Runtime, flow: Flow, to: Address, message_id: str) -> bool:
    """Begin the flow in the caller's session and text what it asks first; False where a flow or a person is busy."""
    with deadline():
        place, to = send.find_place(runtime, SMS, to, message_id)
        session = finding.get(place.session_id)
        if session is None or session.bot_off:
            return False
        state = flow_begin.begin(runtime, place, Beginning(flow, run=message_id, by=message_id))
    if state is None or state.advanced_by != message_id:
        return False
    send.write(runtime, SMS, to, Draft(state.reply, sender="ai"), message_id=message_id)
    return True


def _end(runtime: Runtime, row: Row, state: str, error: str = "") -> None:
    with deadline():
        finish(runtime, row, state, error=error)
