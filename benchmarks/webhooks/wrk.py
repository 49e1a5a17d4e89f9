"""The load: one run of wrk over some of the requests of a file."""

import json
import resource
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("load.lua")

# Nobody's last answer takes longer; wrk ends by itself as soon as it has that.
DRAIN_SECONDS = 10


@dataclass(frozen=True)
class Load:
    """What wrk saw. `position` is where the next run begins in the file, `cpu_seconds` what wrk itself used."""

    sent: int
    answered: int
    refused: int
    broken: int
    timed_out: int
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    position: int
    cpu_seconds: float

    @property
    def failures(self) -> str:
        """Say what was not answered with success; nothing where all was."""
        found = {
            "refused": self.refused, "broken": self.broken, "timed out": self.timed_out,
            "not answered": self.sent - self.answered,
        }  # fmt: skip
        return ", ".join(f"{number} {what}" for what, number in found.items() if number)


def require() -> None:
    """Stop where there is no wrk."""
    if not shutil.which("wrk"):
        raise SystemExit("make bench: wrk is not installed. On Debian and Ubuntu: apt-get install wrk")


def run(port: int, requests: Path, start: int, *, connections: int, seconds: float = 600, limit: int = 10**9) -> Load:
    """Send requests over so many connections, for so long or so many, and wait for all answers."""
    command = [
        "wrk", "-t1", f"-c{connections}", f"-d{round(seconds) + DRAIN_SECONDS}", "--timeout", str(DRAIN_SECONDS),
        "-s", str(SCRIPT), f"http://127.0.0.1:{port}", "--",
        str(requests), str(start), str(limit), str(seconds), str(connections),
    ]  # fmt: skip
    before = _cpu_seconds()
    done = subprocess.run(command, capture_output=True, text=True)
    results = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode or not results:
        raise SystemExit(f"wrk failed:\n{done.stdout}{done.stderr}")
    return Load(**json.loads(results[0].removeprefix("RESULT ")), cpu_seconds=_cpu_seconds() - before)


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
