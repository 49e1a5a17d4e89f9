"""What other programs are told of over webhooks: the kinds of events, what each is about, its id and its order."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.core.times import epoch_ms

# The version of the payload; one that would break a program that reads it gets the next number.
VERSION = 1

SESSION_CREATED, SESSION_ROLLED_OVER = "session.created", "session.rolled_over"
SESSION_CLOSED, SESSION_REOPENED = "session.closed", "session.reopened"
MESSAGE_RECEIVED, MESSAGE_SENT, MESSAGE_STATUS = "message.received", "message.sent", "message.status"
CALL_STARTED, CALL_ENDED = "call.started", "call.ended"
PERSON_REQUESTED = "person.requested"
FLOW_STARTED, FLOW_COMPLETED, FLOW_ABANDONED = "flow.started", "flow.completed", "flow.abandoned"
PING = "ping"

# In the order in which those of one moment are told.
TYPES = (
    SESSION_CREATED,
    SESSION_ROLLED_OVER,
    CALL_STARTED,
    MESSAGE_RECEIVED,
    MESSAGE_SENT,
    MESSAGE_STATUS,
    CALL_ENDED,
    PERSON_REQUESTED,
    SESSION_CLOSED,
    SESSION_REOPENED,
    FLOW_STARTED,
    FLOW_COMPLETED,
    FLOW_ABANDONED,
)
_OF_FLOWS = {FLOW_STARTED, FLOW_COMPLETED, FLOW_ABANDONED}
# What stored messages say for as long as they are kept, so that it can be told again at any time.
REBUILT = frozenset(TYPES) - {SESSION_CLOSED, SESSION_REOPENED, PERSON_REQUESTED} - _OF_FLOWS

_ORDERS = 100


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened `at` a moment. `about` tells it apart among those of its type.

    `order` is its place among what happened to its session in the same millisecond. `channels` are all the channels
    it says anything of. `facts` never hold what people wrote: that is read from the message when it is told.
    """

    type: str
    at: datetime
    about: str
    session_id: str | None = None
    message_id: str | None = None
    channels: frozenset[str] = frozenset()
    order: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Give what is the same however often this is found out and told."""
        return "evt_" + hashlib.sha256(f"{self.type}|{self.about}".encode()).hexdigest()[:32]

    @property
    def sequence(self) -> int:
        """Give a number that grows within a session; below 2**53, which is all that JavaScript counts exactly."""
        rank = TYPES.index(self.type) if self.type in TYPES else 0
        return epoch_ms(self.at) * _ORDERS + min(rank * 10 + self.order, _ORDERS - 1)


def matches(pattern: Sequence[str], event_type: str) -> bool:
    """Tell whether a subscription to these types, where `*` is every one, hears of a type."""
    return event_type in pattern or "*" in pattern
