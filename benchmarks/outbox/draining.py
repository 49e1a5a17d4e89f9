"""Workers as `gateway worker` runs them, and what it costs them to empty the outbox."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.outbox.filling import Filled, fill
from benchmarks.outbox.provider import Provider, Taken
from gateway.conversation.runtime import Runtime
from gateway.settings import CONFIG_DIR
from gateway.store import heartbeats
from gateway.store.connection import collection, deadline
from gateway.store.documents import MessageDocument, OutboxDocument
from gateway.store.embedded import die_with_parent

PATIENCE_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Drained:
    """What one run showed. Ages are how long messages had been due when the provider took them, in seconds."""

    workers: int
    told_by: str
    rows: int
    seconds: float
    rows_a_second: float
    worker_us: float
    mongod_us: float
    provider_us: float
    broker_us: float
    operations: float
    connections: int
    age_p50: float
    age_oldest: float
    oldest_over_time: list[float]
    duplicates: int
    lost: int
    out_of_order: int

    def plain(self) -> dict[str, Any]:
        """Give it as JSON takes it."""
        return asdict(self)


class Workers:
    """So many worker processes, each with a folder and a log of its own."""

    def __init__(self, count: int, environ: Mapping[str, str], folder: Path) -> None:
        self.processes = [_start(environ, folder / f"worker-{number}.log") for number in range(count)]
        until = time.monotonic() + 60
        with deadline(90):
            # A process says that it is there once it works.
            ours = {one.pid for one in self.processes}
            while not ours <= {one.pid for one in heartbeats.every()}:
                if time.monotonic() > until or any(one.poll() is not None for one in self.processes):
                    raise SystemExit(f"The workers did not come up; see {folder}.")
                time.sleep(0.1)

    def stop(self) -> None:
        """End them politely, so that the next run begins with none."""
        for one in self.processes:
            one.terminate()
        for one in self.processes:
            one.wait(30)


def _start(environ: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "gateway.worker"], cwd=CONFIG_DIR.parent, env=environ, stdin=subprocess.DEVNULL,
            stdout=out, stderr=out, preexec_fn=die_with_parent,
        )  # fmt: skip


def drain(
    runtime: Runtime, provider: Provider, environ: Mapping[str, str], folder: Path, *, workers: int, rows: int,
    mongod: int, broker: tuple[str, int] | None,
) -> Drained:  # fmt: skip
    """Start workers, fill the outbox, wait until it is empty, and account for every row."""
    running = Workers(workers, environ, folder)
    processes = {
        "worker": [one.pid for one in running.processes], "mongod": [mongod], "provider": [provider.process.pid],
        "broker": _group(broker[1]) if broker else [],
    }  # fmt: skip
    try:
        before = provider.count()
        filled = fill(runtime, rows)
        _sleep_until(filled.due.timestamp())
        cpu, asked = _cpu(processes), _operations()
        _wait_until_empty(rows, provider, before + rows)
        ended = time.time()
        used = {name: (_cpu(processes)[name] - cpu[name]) / rows * 1e6 for name in processes}
        asked = _operations() - asked
        taken = provider.taken()[before:]
    finally:
        running.stop()
    return _account(filled, taken, workers, broker[0] if broker else "", ended, used, asked, provider.connections())


def _sleep_until(moment: float) -> None:
    if (left := moment - time.time()) < 0:
        raise SystemExit("The machine is too slow to fill the outbox in time: take fewer rows.")
    time.sleep(left)


def _wait_until_empty(rows: int, provider: Provider, count: int) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while provider.count() < count or _waiting():
        if time.monotonic() > until:
            print(f"{_waiting()} of {rows} rows still wait after {PATIENCE_SECONDS} s.", file=sys.stderr)
            return
        time.sleep(0.1)


def _waiting() -> int:
    with deadline(30):
        return collection(OutboxDocument).count_documents({"state": "waiting", "step": "send"}, hint="step_waiting")


def _cpu(processes: Mapping[str, list[int]]) -> dict[str, float]:
    """Give the processor time used so far by groups of processes, in seconds."""
    return {name: sum(map(_cpu_of, pids)) for name, pids in processes.items()}


def _group(leader: int) -> list[int]:
    """List the processes that a broker's first one started, itself among them."""
    stats = {int(one.name): (one / "stat").read_text() for one in Path("/proc").iterdir() if one.name.isdecimal()}
    return [pid for pid, stat in stats.items() if int(stat.rpartition(")")[2].split()[2]) == leader]


def _cpu_of(pid: int) -> float:
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, stat[11:13])) / os.sysconf("SC_CLK_TCK")


def _operations() -> int:
    """Give how many commands MongoDB was asked so far."""
    with deadline(30):
        status = collection(OutboxDocument).database.client.admin.command("serverStatus")
    return int(status["network"]["numRequests"])


def _account(
    filled: Filled, taken: list[Taken], workers: int, told_by: str, ended: float, used: Mapping[str, float],
    asked: int, connections: int,
) -> Drained:  # fmt: skip
    rows, due = len(filled.ids), filled.due.timestamp()
    texts = Counter(one.text for one in taken)
    with deadline(60):
        confirmed = collection(MessageDocument).count_documents({"provider_sid": {"$exists": True}})
        done = collection(OutboxDocument).count_documents({"state": "done"})
    ages = sorted(one.at - due for one in taken)
    seconds = max(ages)
    return Drained(
        workers=workers,
        told_by=told_by or "outbox",
        rows=rows,
        seconds=round(seconds, 2),
        rows_a_second=round(rows / seconds, 1),
        worker_us=round(used["worker"]),
        mongod_us=round(used["mongod"]),
        provider_us=round(used["provider"]),
        broker_us=round(used["broker"]),
        operations=round(asked / rows, 1),
        connections=connections,
        age_p50=round(ages[len(ages) // 2], 2),
        age_oldest=round(seconds, 2),
        oldest_over_time=[round(age, 1) for age in _oldest_over_time(taken, filled, ended)],
        duplicates=len(taken) - len(texts),
        lost=rows - min(len(texts), confirmed, done),
        out_of_order=_out_of_order(taken),
    )


def _oldest_over_time(taken: list[Taken], filled: Filled, ended: float) -> list[float]:
    """Give, at each tenth of the time, how long the row that has been due longest has been due; the end is 0."""
    due = filled.due.timestamp()
    due_of = {_number(one.text): due + _number(one.text) // 10 / 1000 for one in taken}
    out = {_number(one.text): one.at for one in taken}
    moments = [due + (ended - due) * tenth / 10 for tenth in range(1, 11)]
    return [
        max((at - due_of[one] for one in due_of if out[one] > at and due_of[one] < at), default=0) for at in moments
    ]


def _number(text: str) -> int:
    return int(text.split()[2])


def _out_of_order(taken: list[Taken]) -> int:
    """Count the messages that went out before one to the same person that was written earlier."""
    newest: dict[str, int] = {}
    wrong = 0
    for one in taken:
        wrong += newest.get(one.to, -1) > _number(one.text)
        newest[one.to] = max(newest.get(one.to, -1), _number(one.text))
    return wrong
