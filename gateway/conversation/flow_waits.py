"""Messages that a flow cannot answer yet, because of others before them, or not at all, because it is over."""

from gateway.conversation import queue, respond
from gateway.conversation.flow_steps import NotYet
from gateway.conversation.runtime import Runtime
from gateway.core.messages import Channel
from gateway.core.replies import answer_id
from gateway.store import asked
from gateway.store.answers import PENDING, QUEUED
from gateway.store.asked import Asked


def hurry(runtime: Runtime, not_yet: NotYet) -> None:
    """See to it that what a flow has to answer first is answered, whoever was about to do that."""
    for one in not_yet.ahead:
        if one.state == PENDING:
            queue.answer_call(runtime, one.place.session_id, one.place.contact_id, one.id, one.metadata)


def hand_on(runtime: Runtime, message: Asked) -> None:
    """Let whoever answers beside flows answer what none did: the one that ran is over by now."""
    place = message.place
    channel = runtime.channels.get(place.channel_id) or Channel(place.channel_id, place.communication_type)
    name, _ = runtime.responder_beside_flows(channel)
    due = runtime.clock.now() + respond.debounce(runtime)
    if asked.hand_on(message, name, due) and message.state == QUEUED:
        runtime.notify(answer_id(message.id), due)
