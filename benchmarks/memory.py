"""How much memory processes take, at rest and after a million webhooks, and how soon they are there.

    .venv/bin/python -m benchmarks.memory
    .venv/bin/python -m benchmarks.memory --webhooks 20000 --at 0,1000,20000

The gateway runs as the Procfile has it: gunicorn with two workers, and a worker process. Webhooks are signed, come over
keep-alive connections, and from as many people as write to a busy line. PSS counts a page that several processes share
in parts, so the sum over all is what the machine has to have.
"""

import argparse
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

from benchmarks.reliability.gateway import ACCOUNT, TOKEN, Gateway
from gateway.channels.signature import SIGNATURE_HEADER, sign
from gateway.store.embedded import EmbeddedMongo

LINE = "+15017122661"
# What is used only now and then is loaded by now, and nothing happens.
REST_SECONDS = 5


def main() -> None:
    """Print how soon processes are there, and a row for each number of webhooks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--webhooks", type=int, default=1_000_000)
    parser.add_argument("--at", default="0,10000,100000,500000,1000000", help="after how many memory is measured")
    parser.add_argument("--people", type=int, default=50_000)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--folder", type=Path, help="where data and logs are kept")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    # Python is told at many workplaces to keep no bytecode; where the gateway runs, it compiles nothing at a start.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="memory-") as made:
        mongod = EmbeddedMongo(Path(made) / "mongo", cache_gb=1)
        mongod.start()
        gateway = Gateway(
            Path(made) / "host", mongodb_uri=mongod.uri, twilio_url="http://127.0.0.1:9", responder="none",
            idle_seconds=300,
        )  # fmt: skip
        try:
            gateway.migrate()
            found = {"start": starts(gateway), "memory": measure(gateway, given)}
        finally:
            gateway.stop()
            mongod.stop()
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")


def starts(gateway: Gateway) -> dict[str, float]:
    """Time processes from their start until they answer; gives seconds."""
    _import("gateway.app")  # the first one ever writes the bytecode
    found = {
        "a process that imports the app": _seconds(lambda: _import("gateway.app")),
        "a process that imports the worker": _seconds(lambda: _import("gateway.worker")),
        "gunicorn with two workers, and a worker": _seconds(gateway.start),
        "a web process after kill -9": _seconds(lambda: _killed_and_back(gateway)),
    }
    for what, seconds in found.items():
        print(f"{what}: {seconds:.2f} s", flush=True)
    return found


def _seconds(do: Callable[[], object]) -> float:
    started = time.perf_counter()
    do()
    return round(time.perf_counter() - started, 2)


def _import(module: str) -> None:
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)


def _killed_and_back(gateway: Gateway) -> None:
    """Kill a web process, and ask until it is a new one that answers: the other one would, meanwhile."""
    first, second = gateway.pids()["web"]
    os.kill(first, signal.SIGKILL)
    os.kill(second, signal.SIGKILL)
    while gateway.get("/healthz") is None:
        time.sleep(0.01)


def measure(gateway: Gateway, given: argparse.Namespace) -> list[dict[str, float]]:
    """Send webhooks, and measure each process after so many."""
    rows: list[dict[str, float]] = []
    sent = 0
    print("\n| webhooks | web | web | gunicorn | worker | per second |", "|---|---|---|---|---|---|", sep="\n")
    for goal in sorted({*map(int, given.at.split(",")), given.webhooks}):
        if goal > given.webhooks:
            break
        started = time.perf_counter()
        send(gateway.port, sent, goal, given.people, given.connections)
        rate = (goal - sent) / (time.perf_counter() - started)
        sent = goal
        time.sleep(REST_SECONDS)
        pids = gateway.pids()
        web = [pss(pid) for pid in pids["web"]]
        row = {
            "webhooks": sent,
            "web": max(web),
            "gunicorn": pss(pids["gunicorn"][0]),
            "worker": pss(pids["worker"][0]),
        }
        rows.append(row | {"rate": round(rate)})
        shown = " | ".join(f"{one:.1f} MB" for one in (*web, row["gunicorn"], row["worker"]))
        print(f"| {sent:,} | {shown} | {rate:.0f} |", flush=True)
    return rows


def pss(pid: int) -> float:
    """Give a process's share of memory, in MB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return round(int(line.split()[1]) / 1024, 1)
    raise AssertionError("Linux gives Pss")


def send(port: int, first: int, last: int, people: int, connections: int) -> None:
    """Send the webhooks with these numbers, over so many connections."""
    senders = [
        threading.Thread(target=_send, args=(port, range(first + one, last, connections), people))
        for one in range(connections)
    ]
    for one in senders:
        one.start()
    for one in senders:
        one.join()


def _send(port: int, numbers: range, people: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    url = f"http://127.0.0.1:{port}/webhooks/sms"
    for number in numbers:
        # By a prime, so that the same person does not come with the same connection each time.
        form = {
            "MessageSid": f"SM{number:032x}", "AccountSid": ACCOUNT, "From": f"+1555{number * 7919 % people:07d}",
            "To": LINE, "Body": f"Message {number}",
        }  # fmt: skip
        headers = {"Content-Type": "application/x-www-form-urlencoded", SIGNATURE_HEADER: sign(TOKEN, url, form)}
        connection.request("POST", "/webhooks/sms", urlencode(form), headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f"The gateway answered {answer.status}.")


if __name__ == "__main__":
    main()
