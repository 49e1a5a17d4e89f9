"""Where Twilio reaches this gateway: at the settings' address, and for a while at a tunnel's."""


class PublicAddress:
    """The address that goes into what we send; it may change while we run. Threads may share it."""

    def __init__(self, configured: str = "") -> None:
        self._configured = configured.rstrip("/")
        self.leased = ""

    @property
    def url(self) -> str:
        """Give the address without a slash at its end; empty where Twilio is to use the host it called."""
        return self.leased or self._configured
