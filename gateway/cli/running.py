"""What a running `gateway serve` tells other commands of the same folder: where it and its MongoDB are."""

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from gateway import settings
from gateway.core.errors import ConfigError
from gateway.settings import Settings
from gateway.store import connection


@dataclass(frozen=True, slots=True)
class Running:
    """Where the gateway of this folder runs."""

    url: str
    public_url: str
    mongodb_uri: str
    pid: int

    def save(self, folder: Path) -> None:
        """Write it down; the connection string may hold a password, so only the owner may read it."""
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(_path(folder), os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(asdict(self), file)


def _path(folder: Path) -> Path:
    return folder / "running.json"


def find(folder: Path) -> Running | None:
    """Read where the gateway runs; None where none was started here."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        return Running(**json.loads(_path(folder).read_text()))
    return None


def forget(folder: Path) -> None:
    """Take the note away at the end."""
    _path(folder).unlink(missing_ok=True)


def connect() -> Settings:
    """Load the settings and connect to MongoDB, the running gateway's where no other is set; ConfigError without."""
    configured = settings.load()
    running = find(configured.data_dir)
    if not configured.mongodb_uri:
        if not running:
            raise ConfigError("No gateway runs in this folder: `make run` starts one. Or set MONGODB_URI.")
        configured = configured.model_copy(update={"mongodb_uri": running.mongodb_uri})
    connection.connect(configured)
    return configured


def connect_if_known(url: str | None) -> bool:
    """Connect to the MongoDB of the gateway at a URL (None: of this folder); False where nobody says which it is."""
    configured = settings.load()
    running = find(configured.data_dir)
    if configured.mongodb_uri or (running and url in (None, running.url, running.public_url)):
        connect()
        return True
    return False
