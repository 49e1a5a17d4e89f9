"""Child processes of `gateway serve`: started, watched, started again within reason, and stopped."""

import signal
import subprocess
import time
from collections.abc import Mapping

import click

from gateway.core.errors import ConfigError
from gateway.store.embedded import die_with_parent

STOP_SECONDS = 20

# So many restarts within so many seconds are bad luck, more are a fault.
RESTARTS, RESTART_SECONDS = 3, 60


def start(command: list[str], environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a child in our process group, that ends with us."""
    return subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, preexec_fn=_leave_to_us)  # noqa: S603


def _leave_to_us() -> None:
    """Keep Ctrl-C, which a terminal sends to the whole group, from children: we stop them, in order."""
    die_with_parent()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def require_alive(children: Mapping[str, subprocess.Popen[bytes]]) -> None:
    """Raise a ConfigError that names the first child which stopped."""
    for name, child in children.items():
        if child.poll() is not None:
            raise ConfigError(f"The {name} process stopped with exit code {child.returncode}. Its lines above say why.")


class Patience:
    """Starts things again, but not for ever."""

    def __init__(self) -> None:
        self._spent: list[float] = []

    def spend(self, name: str, code: int) -> None:
        """Say that something stopped; ConfigError if too much did lately."""
        now = time.monotonic()
        self._spent = [then for then in self._spent if now - then < RESTART_SECONDS] + [now]
        if len(self._spent) > RESTARTS:
            raise ConfigError(f"{name} stopped again and again, last with exit code {code}. Its log says why.")
        click.echo(f"gateway: {name} stopped with exit code {code} and is started again.", err=True)


def stop(child: subprocess.Popen[bytes] | None) -> None:
    """End a child politely, then not."""
    if child is None or child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
