"""What was stored for a sender whose webhook could not tell it: sent through the outbox, or called off as too late."""

from gateway.conversation import actions, queue
from gateway.conversation.respond import TOO_LATE
from gateway.conversation.runtime import Runtime
from gateway.core.messages import Delivery, InboundMessage
from gateway.core.replies import answer_id
from gateway.store import delivery as deliveries
from gateway.store import outbound, sessions
from gateway.store.outbound import Outbound, Place


def notice_id(message_id: str) -> str:
    """Give the id of what a sender was told about an outage."""
    return f"outage:{message_id}"


def answer(runtime: Runtime, message: InboundMessage, place: Place, delivery: Delivery, *, pieces: int) -> None:
    """See to it that the sender of a message from the spool gets the answer that is stored; safe to repeat."""
    if delivery.told:
        _keep_told(runtime, message, place, delivery.told)
    if delivery.unanswered:
        _call_off(runtime, message, place, pieces)
    else:
        ours = [answer_id(message.id, number) for number in range(1, pieces + 1)]
        queue.untold(runtime, ours, queue.address_of(message.metadata))


def _keep_told(runtime: Runtime, message: InboundMessage, place: Place, text: str) -> None:
    """Keep what the sender was told meanwhile; a notice is no activity of anybody's (T5)."""
    notice = Outbound(
        id=notice_id(message.id),
        place=place,
        text=text,
        at=message.received_at,
        sender="system",
        facts={"inReplyTo": message.id},
    )
    now = runtime.clock.now()
    sessions.count_only(place.session_id, outbound.insert([outbound.document_of(notice, now)]), now)


def _call_off(runtime: Runtime, message: InboundMessage, place: Place, pieces: int) -> None:
    """Leave a message to a person that waited too long for a bot's answer to make sense."""
    now = runtime.clock.now()
    for number in range(1, pieces + 1):
        reason = "Not sent: MongoDB was away when it was written, and by now it is too late."
        deliveries.fail(answer_id(message.id, number), status="canceled", code=None, reason=reason, at=now)
    actions.ask_for_person(runtime, place.session_id, TOO_LATE)
