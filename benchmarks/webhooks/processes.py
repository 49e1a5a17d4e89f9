"""A server and everything it starts: one process group that is watched, measured and ended as a whole."""

import contextlib
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gateway.store.embedded import die_with_parent

START_SECONDS = 60
_TICKS = os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def running(argv: Sequence[str], environ: Mapping[str, str], *, ready: str, folder: Path) -> Iterator[int]:
    """Run a server until the end of the block; gives its process id as soon as it answers at `ready`.

    It is started in a session of its own, so that a Ctrl-C reaches it through us and once.
    """
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            argv, cwd=Path(__file__).parents[2], env=dict(environ), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True, preexec_fn=die_with_parent,
        )  # fmt: skip
    try:
        _wait_until_ready(process, ready, folder)
        yield process.pid
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], ready: str, folder: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, OSError):
            urllib.request.urlopen(ready, timeout=2).close()
            return
        time.sleep(0.05)
    raise SystemExit(f"{ready} did not answer.\n{last_words(folder)}")


def last_words(folder: Path) -> str:
    """Give the end of the log of the server that ran in this folder."""
    return f"The last lines of its log:\n{(folder / 'log').read_text(errors='replace')[-2000:]}"


def cpu_seconds(*roots: int) -> float:
    """Give the processor time used so far by these processes, all they started, and all that these have ended."""
    stats = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            stats[int(path.parent.name)] = path.read_text().rpartition(")")[2].split()
    family = set(roots)
    while more := {pid for pid, stat in stats.items() if int(stat[1]) in family} - family:
        family |= more
    # utime, stime, cutime and cstime: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    return sum(int(value) for pid in family if pid in stats for value in stats[pid][11:15]) / _TICKS
