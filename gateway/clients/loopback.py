"""A provider for trying things out without an account: takes every message and delivers it to nobody."""

import mimetypes
import re
import secrets
import shutil
import uuid
from datetime import datetime
from pathlib import Path

from gateway.core.fetching import Fetched, MediaNotThere, MediaRefused
from gateway.core.sending import Found, Outgoing, Sent

_FILE = re.compile(r"https://api\.twilio\.com/.*/Media/(ME[0-9a-f]{32})")
_UNKNOWN = "application/octet-stream"


class SimulatedFiles:
    """The files that simulated people send, each in a folder named by the id that Twilio would have given it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, name: str, content: bytes) -> str:
        """Keep a file and give its id; it is there whole or not at all."""
        sid = f"ME{secrets.token_hex(16)}"
        half = self._folder / f"{sid}.part"
        half.mkdir(parents=True)
        (half / name).write_bytes(content)
        half.rename(self._folder / sid)
        return sid

    def find(self, url: str) -> Path | None:
        """Find the file that a URL of Twilio's form names."""
        named = _FILE.fullmatch(url)
        folder = self._folder / named[1] if named else None
        return next(folder.iterdir(), None) if folder and folder.is_dir() else None

    def delete(self, url: str) -> None:
        """Delete a file; one that is not there is deleted."""
        if found := self.find(url):
            shutil.rmtree(found.parent, ignore_errors=True)


def type_of(name: str) -> str:
    """Tell a file's type by its name."""
    return mimetypes.guess_type(name)[0] or _UNKNOWN


class Loopback:
    """Sends nothing anywhere, says it was delivered, and holds the files of those who are simulated."""

    paced = False

    def __init__(self, files: SimulatedFiles | None = None) -> None:
        self._files = files

    def send(self, outgoing: Outgoing) -> Sent:  # noqa: ARG002
        """Take a message."""
        return Sent(f"SM{uuid.uuid4().hex}", "queued", later=("sent", "delivered"))

    def find(self, outgoing: Outgoing, since: datetime, until: datetime | None = None) -> list[Found]:  # noqa: ARG002
        """Find nothing: what is sent here never has an unknown outcome."""
        return []

    def fetch(self, url: str) -> Fetched:
        """Read a simulated file; there is no provider that would hold any other."""
        if self._files is None or not _FILE.fullmatch(url):
            raise MediaRefused("no_account", "To fetch files, set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN.")
        found = self._files.find(url)
        if found is None:
            raise MediaNotThere("Nobody who is simulated sent this file from this folder.")
        return Fetched(type_of(found.name), found.read_bytes(), found.name)

    def delete(self, url: str) -> None:
        """Delete a simulated file; there is no provider that would hold any other."""
        if self._files:
            self._files.delete(url)

    def redact(self, sid: str, account_sid: str | None) -> None:
        """Do nothing: there is no provider that would keep a message."""
