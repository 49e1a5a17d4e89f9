"""Answers: who says what to a message, written the way its channel speaks."""

import time

from gateway.channels import CHANNELS
from gateway.conversation.runtime import Runtime
from gateway.core.messages import Channel, InboundMessage
from gateway.core.replies import Reply, Turn
from gateway.logs import log
from gateway.store.messages import Answer


def compose(runtime: Runtime, message: InboundMessage, channel: Channel, session_id: str) -> Answer:
    """Answer a message. Only quick responders, that need nothing but the turn, are asked before it is stored.

    A responder that fails costs its answer, never the message.
    """
    started = time.perf_counter()
    reply = Reply()
    # A call that only just began is greeted by its channel; nothing was said yet.
    if not (message.call and message.call.number == 0):
        reply = _ask(runtime, message, channel)
    return _answer(runtime, message, session_id, reply, (time.perf_counter() - started) * 1000)


def silence(runtime: Runtime, message: InboundMessage, session_id: str) -> Answer:
    """Answer nothing: what Twilio answers itself, or somebody who opted out."""
    return _answer(runtime, message, session_id, Reply(), 0.0)


def rewrite(runtime: Runtime, message: InboundMessage, answer: Answer, session_id: str) -> Answer:
    """Write the same answer for another session, whose id is in what callers are asked next."""
    reply = Reply(answer.text, answer.responder)
    return _answer(runtime, message, session_id, reply, answer.milliseconds)


def _ask(runtime: Runtime, message: InboundMessage, channel: Channel) -> Reply:
    try:
        return runtime.responder_for(channel).respond(
            Turn(message.content, message.communication_type, message.received_at, message.media)
        )
    except Exception:
        log.exception("responder_failed", message_sid=message.provider_sid, channel_id=channel.id)
        return Reply()


def _answer(runtime: Runtime, message: InboundMessage, session_id: str, reply: Reply, milliseconds: float) -> Answer:
    written = CHANNELS[message.communication_type].render(reply, message, session_id, runtime.line)
    says_something = bool(reply.text.strip())
    return Answer(
        state="done" if says_something else "none",
        twiml=written,
        text=reply.text if says_something else "",
        responder=reply.responder,
        milliseconds=round(milliseconds, 3),
    )
