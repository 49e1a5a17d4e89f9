"""What benchmarks over a filled database share: a mongod of their own, a clock that stands, and times in a table."""

import contextlib
import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from benchmarks.console.filling import NEWEST, fill, index
from gateway import settings
from gateway.app import create_app
from gateway.conversation.runtime import Clock
from gateway.store import connection
from gateway.store.connection import collection
from gateway.store.documents import SessionDocument
from gateway.store.embedded import EmbeddedMongo


class Stopped(Clock):
    """The clock of the moment after the last session."""

    def now(self):  # type: ignore[no-untyped-def]
        return NEWEST


class Used:
    """How much processor time this process and mongod took, which a busy machine does not change."""

    def __init__(self, mongod: int) -> None:
        self._stat = Path(f"/proc/{mongod}/stat")

    def ms(self) -> float:
        """Give the time used so far."""
        ticks = sum(map(int, self._stat.read_text().rpartition(")")[2].split()[11:13]))
        return time.process_time() * 1000 + ticks * 1000 / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def filled(folder: Path, sessions: int, **given: Any) -> Iterator[tuple[Flask, Used]]:
    """Serve a real mongod's data, filled if need be, with all indexes."""
    with mongod(folder, cache_gb=1) as server:
        app = serve(server, folder, **given)
        fill_once(sessions)
        yield app, Used(server.process.pid if server.process else 0)


@contextlib.contextmanager
def mongod(folder: Path, *, cache_gb: float) -> Iterator[EmbeddedMongo]:
    """Start a real mongod over the data in a folder, which stay there."""
    server = EmbeddedMongo(folder.resolve(), cache_gb=cache_gb)
    server.start()
    try:
        yield server
    finally:
        connection.disconnect()
        server.stop()


def serve(server: EmbeddedMongo, folder: Path, database: str = "gateway", **given: Any) -> Flask:
    """Make an app over one of a mongod's databases, whose clock stands after the last session if none is given."""
    uri, clock = server.uri.replace("/gateway?", f"/{database}?"), given.pop("clock", None) or Stopped()
    made = settings.load(env="development", data_dir=folder, mongodb_uri=uri, log={"format": "json"}, **given)
    return create_app(made, clock=clock)


def connect(server: EmbeddedMongo, folder: Path, database: str) -> None:
    """Connect to one of a mongod's databases, without an app."""
    uri = server.uri.replace("/gateway?", f"/{database}?")
    connection.connect(settings.load(env="test", data_dir=folder, mongodb_uri=uri))


def fill_once(sessions: int) -> None:
    """Fill the database that is connected where it is empty, and make what indexes it lacks."""
    if not collection(SessionDocument).estimated_document_count():
        timed(f"{sessions:,} sessions filled", lambda: fill(sessions))
        timed("big collections indexed", index)
    connection.create_indexes()


def timed(what: str, do: Callable[[], object]) -> None:
    """Do something and say how long it took."""
    started = time.perf_counter()
    do()
    print(f"{what} in {time.perf_counter() - started:.0f} s")


def row(title: str, ask: Callable[[], TestResponse], times: int, used: Used, count: Callable[[str], int]) -> None:
    """Ask so many times and print a row: p50, p95, processor time, and how many sessions were in the last answer."""
    took, text = [], ""
    for _ in range(3):
        ask()  # until MongoDB has read what it needs from its disk
    before = used.ms()
    for _ in range(times):
        started = time.perf_counter()
        answer = ask()
        took.append((time.perf_counter() - started) * 1000)
        text = answer.text
        if answer.status_code not in (200, 409):
            raise SystemExit(f"{title}: {answer.status_code} {text[:300]}")
    cpu = (used.ms() - before) / times
    p50, p95 = statistics.median(took), statistics.quantiles(took, n=20)[-1]
    print(f"| {title} | {p50:.1f} | {p95:.1f} | {cpu:.1f} | {count(text)} |", flush=True)
