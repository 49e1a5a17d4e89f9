"""A file on its way in: a photograph, a voicemail, and why it may not come."""

from dataclasses import dataclass
from typing import IO

from gateway.core.errors import GatewayError


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file as the provider gave it; `content_type` is lower case and without parameters."""

    content_type: str
    content: bytes
    filename: str | None = None


class MediaRefused(GatewayError):
    """A file we will never take. `reason` is host, path, type, too_large or no_account."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or f"The file was refused: {reason.replace('_', ' ')}.")
        self.reason = reason


class MediaFailed(GatewayError):
    """A file did not come this time; the next time it may."""


class MediaNotThere(MediaFailed):
    """The provider does not have the file, or not yet: recordings take some seconds."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A file to be read from `stream`, which can seek. `tag` changes with its content."""

    content_type: str
    size: int
    stream: IO[bytes]
    filename: str
    tag: str
