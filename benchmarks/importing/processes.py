"""A command run as a process of its own: how long it took, what it computed, and how much memory at most."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LOOK_SECONDS = 0.05
_MAIN = "from gateway.cli import main; main()"


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds by the clock, processor seconds of the process itself and of mongod, and the most it had in memory."""

    seconds: float = 0
    cpu: float = 0
    server_cpu: float = 0
    peak_mb: float = 0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(
            self.seconds + other.seconds,
            self.cpu + other.cpu,
            self.server_cpu + other.server_cpu,
            max(self.peak_mb, other.peak_mb),
        )

    def per(self, messages: int) -> dict[str, float]:
        """Give it for each message."""
        return {
            "seconds": round(self.seconds, 1),
            "per_second": round(messages / self.seconds),
            "cpu_us": round(self.cpu * 1e6 / messages),
            "mongod_cpu_us": round(self.server_cpu * 1e6 / messages),
            "peak_mb": round(self.peak_mb),
        }


class Processor:
    """What a process computed so far, in seconds."""

    def __init__(self, pid: int) -> None:
        self._stat = Path(f"/proc/{pid}/stat")

    def seconds(self) -> float:
        """Give user and system time."""
        ticks = sum(map(int, self._stat.read_text().rpartition(")")[2].split()[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")


class Command:
    """The gateway's command line, with a database and a folder for its data."""

    def __init__(self, folder: Path, uri: str, server: int) -> None:
        self._env = os.environ | {
            "MONGODB_URI": uri,
            "GATEWAY_ENV": "development",
            "GATEWAY_DATA_DIR": str(folder / "data"),
        }
        self._server = Processor(server)

    def run(self, *given: str) -> tuple[Spent, dict[str, Any]]:
        """Run it to its end; gives what it took, and what it printed as JSON."""
        server, began = self._server.seconds(), time.perf_counter()
        with tempfile.TemporaryFile() as printed:
            process = subprocess.Popen([sys.executable, "-c", _MAIN, *given], env=self._env, stdout=printed)
            peaks: dict[int, int] = {}
            while not _is_over(process):
                peaks |= _peaks(process.pid)
                time.sleep(_LOOK_SECONDS)
            took = time.perf_counter() - began
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            printed.seek(0)
            said = printed.read()
        if process.returncode:
            raise SystemExit(f"gateway {' '.join(given)} ended with {process.returncode}: {said.decode()[-2000:]}")
        cpu = used.ru_utime + used.ru_stime
        spent = Spent(took, cpu, self._server.seconds() - server, sum(peaks.values()) / 1024)
        return spent, json.loads(said)


def _is_over(process: subprocess.Popen[bytes]) -> bool:
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _peaks(pid: int) -> dict[int, int]:
    """Give the most memory in kB that a process and its children ever had."""
    found = {}
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                found[pid] = int(line.split()[1])
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found |= _peaks(int(child))
    return found
