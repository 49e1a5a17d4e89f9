"""Clients of the providers: one place for their codes, timeouts and retries."""

from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from gateway.clients.loopback import Loopback, SimulatedFiles
from gateway.core.fetching import Fetched
from gateway.core.sending import Found, Outgoing, Sent
from gateway.settings import Settings

if TYPE_CHECKING:
    from gateway.clients.twilio import Twilio

__all__ = ["Sender", "build", "has_loopback", "simulated_files"]


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


class _Twilio:
    """Twilio, once something is sent or fetched: a process that does neither is smaller and there sooner."""

    paced = True

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def _client(self) -> "Twilio":
        from gateway.clients.twilio import Twilio

        return Twilio(self._settings)

    def send(self, outgoing: Outgoing) -> Sent:
        return self._client.send(outgoing)

    def find(self, outgoing: Outgoing, since: datetime, until: datetime | None = None) -> list[Found]:
        return self._client.find(outgoing, since, until)

    def fetch(self, url: str) -> Fetched:
        return self._client.fetch(url)

    def delete(self, url: str) -> None:
        self._client.delete(url)

    def redact(self, sid: str, account_sid: str | None) -> None:
        self._client.redact(sid, account_sid)


def has_loopback(settings: Settings) -> bool:
    """Tell whether what is sent goes nowhere: in development without any account."""
    has_account = settings.twilio_account_sid or settings.twilio.accounts or settings.twilio.api_base_url
    return settings.is_development and not has_account


def simulated_files(settings: Settings) -> SimulatedFiles:
    """Give the files that the loopback holds."""
    return SimulatedFiles(settings.data_dir / "simulated-media")


def build(settings: Settings) -> Sender:
    """Make the sender of these settings: Twilio, or the loopback."""
    return Loopback(simulated_files(settings)) if has_loopback(settings) else _Twilio(settings)
