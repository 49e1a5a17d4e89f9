"""What the provider's account holds of ours: numbers, WhatsApp senders, Messaging Services and reported errors."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gateway.core.errors import GatewayError
from gateway.core.messages import SMS, VOICE, WHATSAPP
from gateway.core.participant import Address, address
from gateway.core.wiring import same_place


class AccountError(GatewayError):
    """The provider did not say or do what was asked of an account; says in one line what to do about it."""

    def __init__(self, detail: str, *, status: int | None = None) -> None:
        super().__init__(detail)
        self.status = status


class WrongCredentials(AccountError):
    """The settings hold no account or token, or none that the provider takes."""


class Unreachable(AccountError):
    """Nobody answered; what was to be changed may be changed or not."""


class NotOurs(AccountError):
    """No account of the settings has this number or sender."""


@dataclass(frozen=True, slots=True)
class Number:
    """One of our numbers, or WhatsApp senders, and what the provider calls for it (`core.wiring`).

    `address` is as it stands in webhooks, `whatsapp:+1...` for a sender; `channels` are those it takes.
    """

    sid: str
    account_sid: str
    address: str
    name: str
    channels: frozenset[str]
    wiring: Mapping[str, str]
    status: str = ""

    @property
    def is_sender(self) -> bool:
        """Tell a WhatsApp sender from a number."""
        return self.channels == {WHATSAPP}

    @property
    def channel_ids(self) -> tuple[str, ...]:
        """Name the channels of ours that it is, as they are stored."""
        known = [one for one in (SMS, VOICE, WHATSAPP) if one in self.channels]
        return tuple(f"{one}:{address(self.address).identity}" for one in known)


@dataclass(frozen=True, slots=True)
class MessagingService:
    """A Messaging Service and the addresses in it; while it does not `defer`, its own URL is called for them."""

    sid: str
    account_sid: str
    name: str
    inbound_url: str
    inbound_method: str
    fallback_url: str
    defers: bool
    addresses: frozenset[str] = field(default_factory=frozenset)

    def overrides(self, number: Number, url: str) -> str:
        """Say in words that messages to a number go elsewhere than to `url` because of this service; empty if not."""
        if self.defers or number.address not in self.addresses:
            return ""
        label = f"the Messaging Service {self.name or self.sid} ({self.sid})"
        remedy = 'In its Integration settings choose "Defer to sender\'s webhook".'
        if not self.inbound_url:
            return f"{number.address} is in {label}, which drops incoming messages. {remedy}"
        if same_place(self.inbound_url, url):
            return ""
        return f"{number.address} is in {label}, which sends messages to its own address. {remedy}"


@dataclass(frozen=True, slots=True)
class Alert:
    """An error or a warning that the provider reported; `url` is what it called."""

    sid: str
    account_sid: str
    at: datetime
    level: str
    code: str
    url: str
    method: str
    about: str


def find(numbers: Collection[Number], written: str) -> Number | None:
    """Find a number by how a person writes it: +1 555 867 5310, `whatsapp:+1...`, or its SID."""
    wanted = address(written.strip())
    return next((one for one in numbers if one.sid == wanted.raw or _same(address(one.address), wanted)), None)


def _same(one: Address, other: Address) -> bool:
    return (one.prefix, one.identity) == (other.prefix, other.identity)
