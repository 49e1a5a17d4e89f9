"""The values that pass between the floors: frozen, free of Twilio's spelling and of MongoDB's."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.core.participant import Address, Participant

SMS, WHATSAPP, VOICE, CHAT = "sms", "whatsapp", "voice", "chat"

# Nobody carries these messages: who they are for fetches them from us, so what is stored is delivered.
HOSTED = frozenset({CHAT})

UNNUMBERED = -1


@dataclass(frozen=True, slots=True)
class Media:
    """A file that came with a message and still lies at the provider."""

    url: str
    content_type: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CallTurn:
    """Where in which call a message was said. `session_id` and `began` are only set where we signed them ourselves.

    `number` is UNNUMBERED where the address of a turn does not tell it; then it is the next of its call.
    """

    sid: str
    number: int
    session_id: str | None = None
    silences: int = 0
    began: datetime | None = None


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """One thing a person sent, verified and read.

    `id` is the provider's id and the claim against storing it twice; `received_at` is the moment that decides
    its session, never the clock at the time of deciding. `again` marks a request Twilio repeats on purpose
    (a fallback with ErrorCode).
    """

    id: str
    communication_type: str
    sender: Participant
    recipient: Address
    content: str
    received_at: datetime
    provider_sid: str
    account_sid: str | None = None
    service_sid: str | None = None
    opt_out_type: str = ""
    media: tuple[Media, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    call: CallTurn | None = None
    again: bool = False


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a message came to us. `webhooks` are the requests it came with, under names of our own.

    While `waiting` somebody will be told the answer in the webhook's own answer. What comes from the spool had its
    webhooks answered long ago, with no more than `told`. `unanswered` is the reason why nobody is to answer it.
    `grouped` may be stored along with others even so.
    """

    webhooks: tuple[str, ...] = ()
    waiting: bool = True
    told: str = ""
    unanswered: str = ""
    grouped: bool = False


AT_ONCE = Delivery()


@dataclass(frozen=True, slots=True)
class Channel:
    """One of our addresses, its `number` as it is stored; `threshold_ms` is only there where its document names one."""

    id: str
    communication_type: str
    name: str = ""
    number: str = ""
    account_sid: str | None = None
    responder: str | None = None
    has_threshold: bool = False
    threshold_ms: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CallEnds:
    """The two ends of a call, as the provider spells them, and the channel it came in on (empty if unknown)."""

    channel_id: str
    caller: str
    line: str
    account_sid: str | None


@dataclass(frozen=True, slots=True)
class CallEvent:
    """A status of a call; a terminal one ends its claim on the session."""

    sid: str
    status: str
    received_at: datetime
    sequence: str
    parameters: Mapping[str, Any]
    ends: CallEnds


@dataclass(frozen=True, slots=True)
class StatusUpdate:
    """What became of a message we sent. `message_id` is ours, where the callback's URL carried it."""

    sid: str
    status: str
    received_at: datetime
    parameters: Mapping[str, Any]
    error_code: str | None = None
    message_id: str = ""


@dataclass(frozen=True, slots=True)
class DialOutcome:
    """What became of a forwarded call: `status` says whether somebody was reached."""

    sid: str
    status: str
    received_at: datetime
    parameters: Mapping[str, Any]
    ends: CallEnds


@dataclass(frozen=True, slots=True)
class Attachment:
    """A recording of a call, or its text; one that is not final only announces what is to come."""

    id: str
    call_sid: str
    received_at: datetime
    parameters: Mapping[str, Any]
    media: Media | None = None
    content: str | None = None
    final: bool = True
