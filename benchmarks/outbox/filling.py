"""An outbox full of messages to be sent: stored as the gateway stores what an operator wrote to many people."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from bson import ObjectId

from gateway.conversation import queue
from gateway.conversation.runtime import Runtime
from gateway.core.times import MILLISECOND
from gateway.store import outbound, outbox
from gateway.store.connection import collection, deadline
from gateway.store.documents import ChannelDocument, ContactDocument, MessageDocument, OutboxDocument, SessionDocument
from gateway.store.outbound import Outbound, Place
from gateway.store.outbox import Address

# One person in five gets two messages, which must come in order; numbers of ours share the rest evenly.
IN_A_ROW = 5
NUMBERS = 100


@dataclass(frozen=True, slots=True)
class Filled:
    """What was put into the outbox: all ids, and when each of them became due."""

    ids: tuple[str, ...]
    due: datetime


def fill(runtime: Runtime, rows: int) -> Filled:
    """Empty the database and store so many messages with their rows; from a moment on ten a millisecond are due."""
    written = runtime.clock.now() - timedelta(minutes=1)
    messages = [_message(number, written + number * MILLISECOND) for number in range(rows)]
    with deadline(300):
        for document in (SessionDocument, ContactDocument, MessageDocument, OutboxDocument, ChannelDocument):
            collection(document).delete_many({})
        people = {message.place.contact_id: to.to for message, to in messages}
        places = {message.place.channel_id: to.sender for message, to in messages}
        collection(ContactDocument).insert_many(
            [{"_id": ObjectId(one), "phones": [number], "identifiers": [number]} for one, number in people.items()]
        )
        collection(ChannelDocument).insert_many(
            [{"_id": one, "phone_number": line, "communication_type": "sms"} for one, line in places.items()]
        )
        collection(MessageDocument).insert_many([outbound.document_of(message, written) for message, _ in messages])
        due = runtime.clock.now() + timedelta(seconds=3 + rows / 1000)
        waiting = [queue.row_of(one, to, due + n // 10 * MILLISECOND) for n, (one, to) in enumerate(messages)]
        outbox.put_all(waiting)
    for row in waiting:
        runtime.notify(row.id, row.due)
    return Filled(tuple(message.id for message, _ in messages), due)


def _message(number: int, at: datetime) -> tuple[Outbound, Address]:
    """Give a message. Each fifth goes to the person of the one before it."""
    person = number - (number % IN_A_ROW == IN_A_ROW - 1)
    place = Place(f"{person:024x}", f"{person % NUMBERS:024x}", "sms", f"{person + 2**40:024x}")
    to = Address(f"+1555{person:07d}", f"+1501{person % NUMBERS:07d}")
    facts = {"segments": 1, "encoding": "GSM-7", "address": {"to": to.to, "sender": to.sender}}
    text = f"Your order {number} has left our house."
    return Outbound(f"m{number:06d}", place, text, at, "agent", (), "queued", facts=facts), to
