"""What is kept in folders: secrets that nobody set, and the proof that a folder can be written to."""

import os
import secrets
from pathlib import Path

from gateway.core.errors import ConfigError


def require_writable(folder: Path) -> None:
    """Make the folder and a file in it, or say with a ConfigError that what arrives could not be kept."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = folder / f".probe-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise ConfigError(
            f"The spool folder {folder} is not writable ({error.strerror}). "
            "Make it writable, or set GATEWAY_SPOOL__DIR."
        ) from None


def keep_secret(path: Path) -> str:
    """Read a secret from its file, or make the file (only the owner may read it) with a new one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        descriptor = os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(16))
        # A hard link appears whole or not at all, so processes that start together agree on one secret.
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        return path.read_text().strip()
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be kept ({error.strerror}). Make the folder writable or set GATEWAY_DATA_DIR."
        ) from None
