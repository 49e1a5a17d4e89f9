"""A provider for trying things out without an account: takes every message and delivers it to nobody."""

import uuid
from datetime import datetime

from gateway.core.fetching import Fetched, MediaRefused
from gateway.core.sending import Found, Outgoing, Sent


class Loopback:
    """Sends nothing anywhere, and says it was delivered."""

    paced = False

    def send(self, outgoing: Outgoing) -> Sent:  # noqa: ARG002
        """Take a message."""
        return Sent(f"SM{uuid.uuid4().hex}", "queued", later=("sent", "delivered"))

    def find(self, outgoing: Outgoing, since: datetime, until: datetime | None = None) -> list[Found]:  # noqa: ARG002
        """Find nothing: what is sent here never has an unknown outcome."""
        return []

    def fetch(self, url: str) -> Fetched:  # noqa: ARG002
        """Refuse: there is no provider that would hold a file."""
        raise MediaRefused("no_account", "To fetch files, set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN.")

    def delete(self, url: str) -> None:
        """Do nothing: there is no provider that would hold a file."""

    def redact(self, sid: str, account_sid: str | None) -> None:
        """Do nothing: there is no provider that would keep a message."""
