"""Where the time of a webhook goes: py-spy beside the gateway under load, added up by package and by function.

Only the thread that holds the interpreter's lock is looked at: all others wait, for MongoDB or for their turn.
"""

import shutil
import subprocess
from collections import Counter
from pathlib import Path

from benchmarks.webhooks import trial
from benchmarks.webhooks.servers import SERVERS
from benchmarks.webhooks.trial import Bench

SAMPLES_A_SECOND = 200
SHOWN = 40
_PLUMBING = ("gunicorn", "(threading.py)", "concurrent/futures", "runpy>")
_PACKAGES = ("gateway", "flask", "werkzeug", "pymongo", "bson", "gunicorn", "structlog", "prometheus_client", "twilio")


def require() -> str:
    """Find py-spy, or stop."""
    found = shutil.which("py-spy")
    if not found:
        raise SystemExit("make bench: py-spy is not on the PATH. `pip install py-spy`, anywhere.")
    return found


def run(bench: Bench, *, connections: int, seconds: float, kept: Path) -> str:
    """Record the web processes under load; gives a table. The stacks are `kept` for a flame graph, one a line."""
    with trial.begun(bench, SERVERS["ours"]) as running:
        command = [
            require(), "record", "--pid", str(running.pid), "--subprocesses", "--duration", str(round(seconds)),
            "--gil", "--rate", str(SAMPLES_A_SECOND), "--format", "raw", "--output", str(kept),
        ]  # fmt: skip
        recorder = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            measured = running.measure(trial.TEXTS, connections, seconds + 2)
            _, problem = recorder.communicate(timeout=60)
        finally:
            recorder.kill()
    if recorder.returncode or not kept.exists():
        raise SystemExit(f"py-spy failed (it may have to be run as root): {problem.strip()}")
    about = f"{connections} connections, {measured.server_us:.0f} us of processor time a request. Stacks: {kept}"
    if measured.spooled:
        about += (
            f"\nOf {measured.requests} webhooks {measured.spooled} went through the spool: this machine is too busy."
        )
    return f"{about}\n\n{_table(kept.read_text().splitlines())}"


def _table(stacks: list[str]) -> str:
    own: Counter[str] = Counter()
    inside: Counter[str] = Counter()
    total = 0
    for stack in stacks:
        names, _, number = stack.rpartition(" ")
        if "gunicorn" not in names:
            continue  # the worker process, or the one that watches both
        functions = [_short(frame) for frame in names.split(";") if not frame.startswith(("process ", " main()"))]
        total += int(number)
        own[_package(functions)] += int(number)
        inside.update(dict.fromkeys(functions, int(number)))
    parts = [f"| {name} | {100 * samples / total:.1f} |" for name, samples in own.most_common()]
    functions = [f"| `{name}` | {100 * samples / total:.1f} |" for name, samples in inside.most_common(SHOWN * 2)]
    shown = [row for row in functions if not any(plumbing in row for plumbing in _PLUMBING)][:SHOWN]
    return "\n".join(
        ["| own time, by package | % |", "|---|---|", *parts, "", "| with all it calls | % |", "|---|---|", *shown]
    )


def _short(frame: str) -> str:
    """Give a frame without its line: `find_session (gateway/conversation/filing.py)`."""
    return frame.rpartition(":")[0] + ")" if frame.rstrip(")").rpartition(":")[2].isdigit() else frame


def _package(functions: list[str]) -> str:
    """Name whose own time a stack is: the innermost package that we know, so that `socket` is that of pymongo."""
    for function in reversed(functions):
        file = function.rpartition("(")[2]
        for package in _PACKAGES:
            if f"{package}/" in file:
                return package
    return "other"
