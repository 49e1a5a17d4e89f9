"""One server over an empty database: warmed up, measured at each number of connections, and counted after each."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymongo
from pymongo.database import Database

from benchmarks.webhooks import processes, signed, wrk
from benchmarks.webhooks.servers import Place, Server
from gateway.store.embedded import EmbeddedMongo

WARM_UP = signed.SENDERS + 1000
WARM_UP_CONNECTIONS = 16


@dataclass(frozen=True)
class Measured:
    """One server at so many connections: rate, latencies, and processor time a request. `lost` counts are too few."""

    server: str
    kind: str
    connections: int
    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    server_us: float
    mongod_us: float
    load_us: float
    lost: int
    failures: str = ""


@dataclass
class Trial:
    """What runs: mongod, the file of requests, and how far into it this server has come."""

    mongo: EmbeddedMongo
    port: int
    requests: Path
    server: Server
    pid: int
    db: Database[dict[str, Any]]
    position: int = 0
    answered: int = 0

    def load(self, connections: int, **bounds: float) -> wrk.Load:
        """Send the next requests of the file."""
        load = wrk.run(self.port, self.requests, self.position, connections=connections, **bounds)  # type: ignore[arg-type]
        self.position = load.position
        self.answered += load.answered - load.refused
        return load

    def measure(self, connections: int, seconds: float) -> Measured:
        """Measure texts over so many connections, and count what is stored afterwards."""
        mongod = self.mongo.process.pid if self.mongo.process else 0
        before = processes.cpu_seconds(self.pid), processes.cpu_seconds(mongod)
        load = self.load(connections, seconds=seconds)
        after = processes.cpu_seconds(self.pid), processes.cpu_seconds(mongod)
        each = 1e6 / max(load.answered, 1)
        failures, lost = self._counted()
        return Measured(
            server=self.server.name, kind="texts", connections=connections, requests=load.answered,
            per_second=load.answered / load.seconds, p50_ms=load.p50_ms, p99_ms=load.p99_ms, max_ms=load.max_ms,
            server_us=(after[0] - before[0]) * each, mongod_us=(after[1] - before[1]) * each,
            load_us=load.cpu_seconds * each, lost=lost,
            failures="; ".join(filter(None, (load.failures, failures))),
        )  # fmt: skip

    def _counted(self) -> tuple[str, int]:
        """Compare what is stored with what was acknowledged; gives what is wrong, and how much the counts lack."""
        stored = self.db.messages.count_documents({"direction": "inbound"})
        messages = self.db.messages.estimated_document_count()
        totals = list(self.db.sessions.aggregate([{"$group": {"_id": None, "all": {"$sum": "$message_count"}}}]))
        lost = messages - sum(total["all"] for total in totals)
        wrong = []
        if stored != self.answered:
            wrong.append(f"{self.answered} acknowledged but {stored} stored")
        if messages != stored * self.server.stores:
            wrong.append(f"{messages} messages of {stored} webhooks")
        if lost and self.server.counts_hold:
            wrong.append(f"the sessions' counts are {lost} off")
        return "; ".join(wrong), lost


@contextlib.contextmanager
def begun(server: Server, mongo: EmbeddedMongo, port: int, requests: Path, folder: Path) -> Iterator[Trial]:
    """Start a server over an empty database of its own and warm it up: each sender has an open session then."""
    name = f"bench_{server.name}"
    durable = mongo.uri.replace("/gateway?", f"/{name}?") + "&w=majority&journal=true"
    (own := folder / server.name).mkdir(parents=True, exist_ok=True)
    with pymongo.MongoClient[dict[str, Any]](durable) as client:
        client.drop_database(name)
        place = Place(port, own, durable)
        ready = f"http://127.0.0.1:{port}{server.ready}"
        with processes.running(server.argv(place), server.environ(place), ready=ready, folder=own) as pid:
            trial = Trial(mongo, port, requests, server, pid, client[name])
            load = trial.load(WARM_UP_CONNECTIONS, limit=WARM_UP)
            if load.failures:
                raise SystemExit(f"{server.name}: {load.failures} while it was warmed up. See {own / 'log'}.")
            yield trial
        client.drop_database(name)


def run(
    server: Server, mongo: EmbeddedMongo, port: int, requests: Path, folder: Path,
    *, connections: Sequence[int], seconds: float,
) -> Iterator[Measured]:  # fmt: skip
    """Measure a server at each number of connections."""
    with begun(server, mongo, port, requests, folder) as trial:
        for number in connections:
            yield trial.measure(number, seconds)
