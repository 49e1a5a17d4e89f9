"""One server over an empty database: warmed up, measured again and again, and counted after each time."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymongo

from benchmarks.webhooks import processes, signed, wrk
from benchmarks.webhooks.kinds import KINDS, Db, stored_texts
from benchmarks.webhooks.servers import Place, Server
from gateway.store.embedded import free_port

WARM_UP = signed.SENDERS + 1000
CONNECTIONS = 16
TEXTS = "texts"
# What MongoDB did not take in time the gateway keeps in its spool, stores later, and counts within a minute.
SPOOL_SECONDS = 90


@dataclass(frozen=True)
class Bench:
    """What all servers share: mongod, and the texts, which are signed for one address."""

    mongod: int
    mongodb_uri: str
    address: str
    texts: Path
    texts_written: int
    folder: Path


@dataclass(frozen=True)
class Measured:
    """One server at so many connections: rate, latencies, and microseconds of processor time a request.

    `beside` is the server that it took turns with, if any. `spooled` were acknowledged before
    MongoDB had them, `miscounted` is what the sessions' counts are off.
    """

    server: str
    beside: str
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
    spooled: int
    miscounted: int
    failures: str


@dataclass
class Stream:
    """Requests that are sent one after the other, how far that is, and how many of them are to be stored."""

    kind: str
    path: Path
    left: int
    stored: Callable[[Db], int]
    position: int = 0
    acknowledged: int = 0


@dataclass
class Trial:
    """A server that runs over its database."""

    bench: Bench
    server: Server
    place: Place
    pid: int
    db: Db
    streams: dict[str, Stream]

    def send(self, stream: Stream, connections: int, *, seconds: float = 300, limit: int = 10**9) -> wrk.Load:
        """Send the next requests of a stream."""
        load = wrk.run(
            self.place.port, stream.path, stream.position,
            connections=connections, seconds=seconds, limit=min(limit, stream.left),
        )  # fmt: skip
        stream.position = load.position
        stream.left -= load.sent
        stream.acknowledged += load.answered - load.refused
        return load

    def measure(self, kind: str, connections: int, seconds: float, *, beside: str = "") -> Measured:
        """Measure so many connections, and count what is stored afterwards; `beside` names who else is measured."""
        stream = self.streams[kind]
        before = self._cpu_seconds()
        load = self.send(stream, connections, seconds=seconds)
        after = self._cpu_seconds()
        each = 1e6 / max(load.answered, 1)
        wrong, spooled, miscounted = self._counted(stream)
        return Measured(
            server=self.server.name, beside=beside, kind=stream.kind, connections=connections, requests=load.answered,
            per_second=load.answered / load.seconds, p50_ms=load.p50_ms, p99_ms=load.p99_ms, max_ms=load.max_ms,
            server_us=(after[0] - before[0]) * each, mongod_us=(after[1] - before[1]) * each,
            load_us=load.cpu_seconds * each, spooled=spooled, miscounted=miscounted,
            failures="; ".join(filter(None, (load.failures, *wrong))),
        )  # fmt: skip

    def _cpu_seconds(self) -> tuple[float, float]:
        return processes.cpu_seconds(self.pid), processes.cpu_seconds(self.bench.mongod)

    def _counted(self, stream: Stream) -> tuple[list[str], int, int]:
        """Compare what is stored with what was acknowledged; gives what is wrong, what was spooled and miscounted."""
        spooled = max(stream.acknowledged - stream.stored(self.db), 0)
        return self.settle(stream), spooled, self._miscounted()

    def settle(self, stream: Stream) -> list[str]:
        """Wait until what is stored is what was acknowledged, for a while; gives what is wrong still."""
        until = time.monotonic() + SPOOL_SECONDS
        while (wrong := self._wrong(stream)) and time.monotonic() < until:
            time.sleep(1)
        return wrong

    def _wrong(self, stream: Stream) -> list[str]:
        wrong, stored, miscounted = [], stream.stored(self.db), self._miscounted()
        if stored != stream.acknowledged:
            wrong.append(f"{stream.acknowledged} acknowledged but {stored} stored")
        if self.server.stores > 1 and (messages := self.db.messages.count_documents({})) != stored * self.server.stores:
            wrong.append(f"{messages} messages of {stored} webhooks")
        if miscounted and self.server.counts_hold:
            wrong.append(f"the sessions' counts are {miscounted} off")
        return wrong

    def _miscounted(self) -> int:
        totals = self.db.sessions.aggregate([{"$group": {"_id": None, "all": {"$sum": "$message_count"}}}])
        return abs(self.db.messages.count_documents({}) - sum(total["all"] for total in totals))


@contextlib.contextmanager
def begun(bench: Bench, server: Server, kinds: Sequence[str] = ()) -> Iterator[Trial]:
    """Start a server over an empty database of its own and warm it up: each sender has an open session then.

    `kinds` are those that it is to be sent beside texts.
    """
    name = f"bench_{server.name}"
    uri = bench.mongodb_uri.replace("/gateway?", f"/{name}?") + "&w=majority&journal=true"
    (own := bench.folder / server.name).mkdir(exist_ok=True)
    place = Place(free_port(), bench.address, own, uri)
    ready = f"http://127.0.0.1:{place.port}{server.ready}"
    with pymongo.MongoClient[dict[str, Any]](uri) as client:
        client.drop_database(name)
        with processes.running(server.argv(place), server.environ(place), ready=ready, folder=own) as pid:
            texts = Stream(TEXTS, bench.texts, bench.texts_written, stored_texts)
            trial = Trial(bench, server, place, pid, client[name], {TEXTS: texts})
            _warm_up(trial, texts, WARM_UP)
            for kind in kinds:
                trial.streams[kind] = _begin(trial, kind)
            yield trial
        client.drop_database(name)


def _begin(trial: Trial, kind: str) -> Stream:
    """Ready a server for another kind of webhook."""
    path, how = trial.place.folder / kind, KINDS[kind]
    written = signed.write(path, trial.bench.address, how.begin(trial.place, trial.db))
    stream = Stream(kind, path, written, how.stored)
    _warm_up(trial, stream, 500)
    return stream


def _warm_up(trial: Trial, stream: Stream, number: int) -> None:
    load = trial.send(stream, CONNECTIONS, limit=number)
    if load.failures:
        last_words = processes.last_words(trial.place.folder)
        raise SystemExit(f"{trial.server.name}: {load.failures} while it was warmed up.\n{last_words}")
    trial.settle(stream)


def run(
    trials: Sequence[Trial], kinds: Sequence[str], *, connections: Sequence[int], seconds: float
) -> Iterator[Measured]:
    """Measure each server at each number of connections, and at 16 each other kind; the same of all in turn."""
    for kind, number in [*((TEXTS, number) for number in connections), *((kind, CONNECTIONS) for kind in kinds)]:
        for trial in trials:
            beside = next((one.server.name for one in trials if one is not trial), "")
            yield trial.measure(kind, number, seconds, beside=beside)
