"""Empty an outbox of 10,000 due rows with 1, 2 and 4 workers: alone, and told by Celery with Redis and RabbitMQ.

    .venv/bin/python -m benchmarks.outbox
    .venv/bin/python -m benchmarks.outbox --rows 2000 --workers 1 --brokers none --rounds 2

Everything is real but Twilio: workers as `gateway worker` runs them, a mongod with majority and journalled writes,
brokers of Debian's packages where they are installed. The stand-in for Twilio is a process of its own.
"""

import argparse
import contextlib
import json
import os
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.outbox.draining import Drained, drain
from benchmarks.outbox.provider import Provider
from gateway import settings
from gateway.conversation import runtime
from gateway.store import connection
from gateway.store.embedded import EmbeddedMongo
from tests.brokers import BROKERS, Server

ACCOUNT, TOKEN = "AC" + "c" * 32, "benchmark-token"
HEADING = "| told by | workers | rows/s | worker us | mongod us | commands | age p50 | oldest | duplicates | lost |"


def main() -> None:
    """Print a row for each run, and all of it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--workers", type=lambda text: [int(one) for one in text.split(",")], default=[1, 2, 4])
    parser.add_argument("--brokers", default="none,redis,amqp")
    parser.add_argument("--latency-ms", type=float, default=0, help="how long the provider thinks about each message")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where data and logs are kept")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    print(HEADING, "|---" * HEADING.count("| ") + "|", sep="\n")
    drained: list[Drained] = []
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="outbox-") as made, mongo(Path(made)) as mongod:
        for _ in range(given.rounds):
            for name in given.brokers.split(","):
                with broker(name, Path(made)) as (url, pid):
                    for workers in given.workers:
                        drained.append(_run(given, mongod, Path(made), workers, name, url, pid))
                        _show(drained[-1])
    _summarise(drained)
    if given.json:
        given.json.write_text(json.dumps([one.plain() for one in drained], indent=2) + "\n")


@contextlib.contextmanager
def mongo(folder: Path) -> Iterator[EmbeddedMongo]:
    """Run a mongod as `make run` does."""
    server = EmbeddedMongo(folder / "mongo", cache_gb=1)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def broker(name: str, folder: Path) -> Iterator[tuple[str, int]]:
    """Run a broker of its own; gives its URL and process, none for the outbox alone."""
    if name == "none":
        yield "", 0
        return
    (folder / name).mkdir(exist_ok=True)
    server: Server = BROKERS[name](folder / name)
    if missing := server.missing():
        raise SystemExit(f"{missing} is not installed: leave {name} out of --brokers, or install it.")
    server.start()
    try:
        server.wait_until_ready()
        yield server.url, server.pid
    finally:
        server.kill()


def _run(
    given: argparse.Namespace, mongod: EmbeddedMongo, folder: Path, workers: int, name: str, url: str, pid: int
) -> Drained:
    environ = {
        "GATEWAY_ENV": "production",
        "GATEWAY_DATA_DIR": str(folder / "data"),
        "GATEWAY_SPOOL__DIR": str(folder / "spool"),
        "GATEWAY_TWILIO__SEGMENTS_PER_SECOND": "10000",
        "GATEWAY_BROKER__URL": url,
        "MONGODB_URI": mongod.uri,
        "SECRET_KEY": "benchmark-secret-key",
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": TOKEN,
    }
    provider = Provider(given.latency_ms)
    os.environ.update(environ | {"GATEWAY_TWILIO__API_BASE_URL": provider.url})
    serving = runtime.build(settings.load())
    connection.connect(serving.settings)
    try:
        connection.create_indexes()
        return drain(
            serving, provider, dict(os.environ), folder, workers=workers, rows=given.rows,
            mongod=mongod.process.pid if mongod.process else 0, broker=(name, pid) if url else None,
        )  # fmt: skip
    finally:
        connection.disconnect()
        provider.stop()


def _show(run: Drained) -> None:
    cost = f"{run.worker_us} | {run.mongod_us} | {run.operations}"
    ages = f"{run.age_p50} s | {run.age_oldest} s"
    print(
        f"| {run.told_by} | {run.workers} | {run.rows_a_second} | {cost} | {ages} | {run.duplicates} | {run.lost} |",
        flush=True,
    )


def _summarise(drained: list[Drained]) -> None:
    """Say what a row costs with more workers, against one of the same run."""
    for name in dict.fromkeys(run.told_by for run in drained):
        cost = {
            count: statistics.median(one.worker_us for one in drained if (one.told_by, one.workers) == (name, count))
            for count in dict.fromkeys(run.workers for run in drained if run.told_by == name)
        }
        first = min(cost)
        told = ", ".join(f"{count} workers x{cost[count] / cost[first]:.2f}" for count in cost if count != first)
        print(f"\n{name}: a row costs a worker {cost[first]:.0f} us with {first}; {told or 'no other'}")
    print(f"out of order: {sum(run.out_of_order for run in drained)}")


if __name__ == "__main__":
    main()
