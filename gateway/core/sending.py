"""A message on its way out: what is sent, what comes back, and what is done about a refusal."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gateway.core.errors import GatewayError


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message for the provider. Addresses carry the provider's prefix (`whatsapp:+1...`).

    `account_sid` and `service_sid` are None where the settings' own are meant; with `content_sid` a template is
    sent instead of the text. `media` and `status_callback` are absolute URLs.
    """

    message_id: str
    to: str
    sender: str
    text: str = ""
    media: tuple[str, ...] = ()
    content_sid: str | None = None
    content_variables: Mapping[str, str] = field(default_factory=dict)
    account_sid: str | None = None
    service_sid: str | None = None
    status_callback: str | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """A message the provider took. `later` are statuses that no callback will bring (the loopback's)."""

    sid: str
    status: str
    later: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """A message that the provider has, as a look-up shows it."""

    sid: str
    status: str
    body: str
    created_at: datetime
    error_code: str | None = None


class Reaction(enum.StrEnum):
    """What is done about a code of the provider's."""

    RETRY = "retry"
    NEVER = "never"
    OPT_OUT = "opt_out"
    OURS = "ours"


class NotSent(GatewayError):
    """The provider did not take a message, for certain. `code` is its own, else the HTTP status."""

    def __init__(
        self, code: str, detail: str, reaction: Reaction = Reaction.NEVER, *, retry_after: float | None = None
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.reaction = reaction
        self.retry_after = retry_after


class OutcomeUnknown(GatewayError):
    """Nobody can tell whether the provider took a message: it must be looked up before it is sent again."""


class LookupFailed(GatewayError):
    """The provider could not tell whether it has a message; to be asked again, nothing is sent meanwhile."""


class NotRedacted(GatewayError):
    """A message the provider still keeps with its text. `passing` where asking again may help."""

    def __init__(self, detail: str, *, passing: bool = False) -> None:
        super().__init__(detail)
        self.passing = passing
