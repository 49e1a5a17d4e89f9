"""A message that a flow answers, answered within its own webhook: stored first, then one step further, then told.

It is stored as one that the worker answers, with as long until that is due as a webhook may take. So whatever dies in
between, it is answered; and whoever answers it first is the only one, for both do so by one conditional update.
"""

import time
from dataclasses import dataclass

from gateway import metrics
from gateway.conversation import answer, flow_steps, flow_waits, queue, respond
from gateway.conversation.flow_steps import NotYet, Said
from gateway.conversation.runtime import Runtime
from gateway.core.errors import StoreUnavailable
from gateway.core.messages import Channel, InboundMessage
from gateway.core.replies import FLOW
from gateway.logs import log, where
from gateway.store import answers, asked, messages
from gateway.store.answers import PENDING, QUEUED
from gateway.store.asked import Asked
from gateway.store.connection import deadline

# How long a webhook waits for what its flow has to answer first, and how often it looks.
PATIENCE_SECONDS, LOOK_SECONDS = 0.8, 0.025


@dataclass(frozen=True, slots=True)
class Told:
    """What a webhook is answered, and the state of that answer."""

    twiml: str
    state: str


def tell(runtime: Runtime, message: InboundMessage, channel: Channel, *, webhook: str) -> Told:
    """Answer a stored message by its session's flow, and give what is stored of that: by us, or by whoever was faster.

    Where that is not possible now, the worker does it. StoreUnavailable where MongoDB confirmed it or not.
    """
    until = time.monotonic() + PATIENCE_SECONDS
    with deadline():
        while (waiting := asked.get(message.id)) and _is_ours(waiting):
            try:
                if _answer(runtime, waiting, message, channel, webhook):
                    break
            except NotYet as not_yet:
                if time.monotonic() > until or any(one.claimed_by for one in not_yet.ahead):
                    flow_waits.hurry(runtime, not_yet)
                    _leave(runtime, waiting)
                    break
                time.sleep(LOOK_SECONDS)
            except StoreUnavailable:
                raise
            except Exception as error:
                # Its text may quote what somebody wrote. The worker tries it again, and apologises in the end.
                log.error("responder_failed", responder=FLOW, message_id=message.id, error=where(error))
                _leave(runtime, waiting)
                break
        claimed = messages.find_claimed(message.id)
    if claimed is None:
        raise StoreUnavailable(f"{message.id} is not there any more")
    return Told(claimed.twiml, claimed.state)


def _is_ours(waiting: Asked) -> bool:
    """Tell whether a message still waits for a flow's answer, and the worker is not about to send one."""
    return waiting.state in (QUEUED, PENDING) and waiting.responder == FLOW and not waiting.claimed_by


def _answer(runtime: Runtime, waiting: Asked, message: InboundMessage, channel: Channel, webhook: str) -> bool:
    """Take the step and store what is said; False where somebody else answered at this very moment."""
    started = time.perf_counter()
    said = flow_steps.answer(runtime, waiting)
    if said is None:
        flow_waits.hand_on(runtime, waiting)
        _leave(runtime, waiting)
        return True
    spent = time.perf_counter() - started
    written = respond.write(
        runtime,
        message,
        channel,
        waiting.place.session_id,
        said.reply,
        round(spent * 1000, 3),
        reason=said.reason,
        webhook=webhook,
    )
    if not answers.give(waiting.id, waiting.state, written):
        return False
    answer.keep_said(runtime, waiting)
    _count(waiting, said, spent)
    return True


def _count(waiting: Asked, said: Said, seconds: float) -> None:
    outcome = "answered" if said.reply.says_something else "silent"
    metrics.REPLY_SECONDS.labels(FLOW, outcome).observe(seconds)
    if said.reply.says_something:
        metrics.MESSAGES.labels("outbound", waiting.place.communication_type).inc()


def _leave(runtime: Runtime, waiting: Asked) -> None:
    """Leave the answer to a call to the worker; that to a text it finds by itself."""
    if waiting.state == PENDING:
        queue.answer_call(runtime, waiting.place.session_id, waiting.place.contact_id, waiting.id, waiting.metadata)


def say(runtime: Runtime, waiting: Asked) -> None:
    """Answer a turn that a call waits for, unless something else is to be answered first."""
    try:
        said = flow_steps.answer(runtime, waiting)
    except NotYet as not_yet:
        flow_waits.hurry(runtime, not_yet)
        return
    if said is None:
        flow_waits.hand_on(runtime, waiting)
        _leave(runtime, waiting)
    else:
        asked.say_on_call(waiting.id, said.reply, 0.0)
