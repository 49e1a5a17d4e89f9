"""Clients of the providers: one place for their codes, timeouts and retries."""

from datetime import datetime
from typing import Protocol

from gateway.clients.loopback import Loopback
from gateway.clients.twilio import Twilio
from gateway.core.fetching import Fetched
from gateway.core.sending import Found, Outgoing, Sent
from gateway.settings import Settings

__all__ = ["Sender", "build"]


class Sender(Protocol):
    """Whoever carries messages out and files in; `paced` where each number may only send so much a second."""

    paced: bool

    def send(self, outgoing: Outgoing) -> Sent:
        """Send a message; raises NotSent (for certain) or OutcomeUnknown."""

    def find(self, outgoing: Outgoing, since: datetime, until: datetime | None = None) -> list[Found]:
        """List what the provider has that may be this message; raises LookupFailed."""

    def fetch(self, url: str) -> Fetched:
        """Fetch a file; raises MediaRefused, MediaNotThere or MediaFailed."""

    def delete(self, url: str) -> None:
        """Delete a file at the provider; raises MediaRefused or MediaFailed."""

    def redact(self, sid: str, account_sid: str | None) -> None:
        """Take the text out of a message the provider keeps; raises NotRedacted."""


def build(settings: Settings) -> Sender:
    """Make the sender of these settings: Twilio, or in development without any account a loopback."""
    has_account = settings.twilio_account_sid or settings.twilio.accounts or settings.twilio.api_base_url
    return Loopback() if settings.is_development and not has_account else Twilio(settings)
