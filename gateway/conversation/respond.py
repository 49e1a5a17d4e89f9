"""Answers given within the webhook, written the way their channel speaks; all others are queued.

What a flow answers is queued too, for as long as its webhook may take to answer it after all (`flow_turns`).
"""

import time
from dataclasses import replace
from datetime import timedelta

from gateway import metrics
from gateway.channels import CHANNELS, voice
from gateway.channels.line import CONVERSE, Line
from gateway.conversation import flow_steps, guards, plans
from gateway.conversation.counting import IN_FLIGHT
from gateway.conversation.filing import Filed
from gateway.conversation.runtime import Runtime
from gateway.core.messages import Channel, Delivery, InboundMessage
from gateway.core.replies import FLOW, NOBODY, Reply, Turn
from gateway.logs import log, where
from gateway.store import calls as store_calls
from gateway.store.answers import DONE, NONE, PENDING, QUEUED, Answer

# The reason why a turn of a call got a goodbye.
CALL_LIMIT = "call_limit"

# The reasons why what came out of the spool was not answered: a caller is gone, and a text may be too old for it.
OUTAGE, TOO_LATE = "outage", "too_late"


def compose(runtime: Runtime, message: InboundMessage, channel: Channel, filed: Filed, delivery: Delivery) -> Answer:
    """Answer a message. Only quick responders, that need nothing but the turn, are asked before it is stored.

    A responder that fails costs its answer, never the message.
    """
    if delivery.waiting:
        return _compose(runtime, message, channel, filed, delivery)
    if message.call:
        return Answer(NONE, outage_call(runtime), reason=OUTAGE)
    # It is sent through the outbox, so a redelivery must not be told it as well.
    answer = _compose(runtime, message, channel, filed, delivery)
    return replace(answer, twiml=CHANNELS[message.communication_type].no_answer)


def outage_call(runtime: Runtime) -> str:
    """Say what a caller hears while MongoDB is away."""
    return voice.render_outage(plans.line_for(runtime, None), runtime.settings.voice.outage_prompt)


def _compose(runtime: Runtime, message: InboundMessage, channel: Channel, filed: Filed, delivery: Delivery) -> Answer:
    session_id, line = filed.session.id, plans.line_for(runtime, channel)
    # A call that only just began is greeted by its channel; nothing was said yet.
    if message.call and message.call.number == 0:
        return _written(line, message, session_id, _open_question(runtime, line, message, filed))
    message = _begun(message)
    if _is_over(runtime, message):
        return Answer(NONE, voice.render_goodbye(line), reason=CALL_LIMIT)
    ruling = guards.rule(runtime, message, filed.session, filed.decision["rule"])
    if ruling:
        written = _written(line, message, session_id, ruling.reply, reason=ruling.reason)
        return replace(written, person=ruling.person)
    if flow_steps.takes(runtime, message, channel, filed.session):
        lease = IN_FLIGHT if delivery.waiting else timedelta()
        return _later(runtime, line, message, session_id, FLOW, wait=lease)
    name, responder = runtime.responder_beside_flows(channel)
    if name == NOBODY:
        return _written(line, message, session_id, Reply(responder=name))
    if not responder.quick:
        return _later(runtime, line, message, session_id, name)
    turn = Turn(message.content, message.communication_type, message.received_at, message.media, message.id, session_id)
    reply, milliseconds = ask(runtime, name, turn)
    return _written(line, message, session_id, reply, milliseconds)


def _open_question(runtime: Runtime, line: Line, message: InboundMessage, filed: Filed) -> Reply:
    """Give what a flow asked last that somebody calls in the middle of; nothing where none runs, or none may answer."""
    at_it = flow_steps.running(runtime, filed.session.flow, message.received_at)
    if at_it is None or line.plan.mode != CONVERSE:
        return Reply()
    if guards.rule(runtime, message, filed.session, filed.decision["rule"]):
        return Reply()
    return flow_steps.reply_of(runtime, at_it[1], spoken=True)


def silence(runtime: Runtime, message: InboundMessage, session_id: str, *, reason: str = "") -> Answer:
    """Answer nothing: what Twilio answers itself, somebody who opted out, or for another reason."""
    return _written(runtime.line, message, session_id, Reply(), reason=reason)


def write(
    runtime: Runtime,
    message: InboundMessage,
    channel: Channel,
    session_id: str,
    reply: Reply,
    milliseconds: float,
    *,
    reason: str = "",
    webhook: str = "",
) -> Answer:
    """Write a reply that came about after its message was stored, and that a webhook is to tell."""
    line = plans.line_for(runtime, channel)
    answer = _written(line, _begun(message), session_id, reply, milliseconds, reason=reason)
    return replace(answer, webhook=webhook) if answer.pieces else answer


def rewrite(runtime: Runtime, message: InboundMessage, channel: Channel, answer: Answer, session_id: str) -> Answer:
    """Write the same answer for another session, whose id is in what callers are asked next."""
    if message.call is None or answer.reason in (CALL_LIMIT, OUTAGE):
        return answer
    line, message = plans.line_for(runtime, channel), _begun(message)
    if answer.state in (QUEUED, PENDING):
        return _later(runtime, line, message, session_id, answer.reply.responder)
    written = _written(line, message, session_id, answer.reply, answer.milliseconds, reason=answer.reason)
    return replace(written, person=answer.person)


def _begun(message: InboundMessage) -> InboundMessage:
    """Look up when a call began whose turn does not say."""
    if message.call is None or message.call.began:
        return message
    return replace(message, call=replace(message.call, began=store_calls.began(message.call.sid)))


def _is_over(runtime: Runtime, message: InboundMessage) -> bool:
    """Tell whether a call has had all its turns, or all its time."""
    call, limits = message.call, runtime.settings.voice
    if call is None:
        return False
    lasted = message.received_at - (call.began or message.received_at)
    return call.number > limits.max_turns or lasted > timedelta(minutes=limits.max_minutes)


def ask(runtime: Runtime, name: str, turn: Turn) -> tuple[Reply, float]:
    """Ask a responder; gives what it said and in how many ms. One that fails apologises, and says why to us."""
    started = time.perf_counter()
    try:
        reply, outcome = replace(runtime.responders[name].respond(turn), responder=name), "answered"
        if reply.actions:
            reply = replace(reply, actions=tuple(action.plain() for action in reply.actions))
    except Exception as error:
        # Its text may quote what somebody wrote; that is kept with the message, not in the log.
        log.error(
            "responder_failed",
            responder=name,
            message_id=turn.message_id,
            session_id=turn.session_id,
            error=where(error),
        )
        reply, outcome = apology(runtime, name, str(error) or type(error).__name__), "failed"
    spent = time.perf_counter() - started
    if outcome == "answered" and not reply.says_something:
        outcome = "silent"
    metrics.of(metrics.REPLY_SECONDS, name, outcome).observe(spent)
    return reply, round(spent * 1000, 3)


def apology(runtime: Runtime, name: str, error: str) -> Reply:
    """Give what a sender is told when answering failed."""
    return Reply(runtime.settings.reply.apology, name, error=error[:500])


def pieces(communication_type: str, reply: Reply) -> tuple[str, ...]:
    """Give the messages a reply is said in; a failure without an apology is one that is kept and not sent."""
    said = tuple(CHANNELS[communication_type].split(reply.text)) if reply.text.strip() else ()
    return said or (("",) if reply.media or reply.error else ())


def debounce(runtime: Runtime) -> timedelta:
    """Say how long it is waited for what else somebody has to say."""
    return timedelta(seconds=runtime.settings.reply.debounce_seconds)


def _later(
    runtime: Runtime, line: Line, message: InboundMessage, session_id: str, name: str, *, wait: timedelta | None = None
) -> Answer:
    """Leave the answer to the worker. A caller hears that it takes a moment; the call asks for it by itself."""
    if message.call:
        turn = replace(message.call, session_id=session_id, silences=0)
        return Answer(PENDING, voice.render_wait(turn, 1, line), Reply(responder=name))
    due = runtime.clock.now() + (debounce(runtime) if wait is None else wait)
    return Answer(QUEUED, CHANNELS[message.communication_type].no_answer, Reply(responder=name), due=due)


def _written(
    line: Line,
    message: InboundMessage,
    session_id: str,
    reply: Reply,
    milliseconds: float = 0.0,
    *,
    reason: str = "",
) -> Answer:
    said = pieces(message.communication_type, reply)
    return Answer(
        state=DONE if said else NONE,
        twiml=CHANNELS[message.communication_type].render(reply, message, session_id, line),
        reply=reply,
        pieces=said,
        milliseconds=milliseconds,
        reason=reason,
    )
