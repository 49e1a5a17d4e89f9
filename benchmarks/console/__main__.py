"""`python -m benchmarks.console`: fill a real mongod with a million sessions and measure the list page.

The data stay in the folder given, so that a second run measures at once.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from flask import Flask
from flask.testing import FlaskClient

from benchmarks.console.filling import NEWEST, fill
from gateway import settings
from gateway.app import create_app
from gateway.conversation.runtime import Clock
from gateway.store import connection, users
from gateway.store.connection import collection
from gateway.store.documents import SessionDocument
from gateway.store.embedded import EmbeddedMongo

PASSWORD = "benchmark password"

PAGES = {
    "All": "",
    "SMS": "?type=sms",
    "Voice": "?type=voice",
    "Chat (empty)": "?type=chat",
    "Open": "?status=active",
    "Archived": "?status=archived",
    "Voice, archived": "?type=voice&status=archived",
    "Page 2000 of All": "?cursor={middle}",
    "Channel": "?channel=sms:%2B15017122662",
    "Channel, nearly silent": "?channel=whatsapp:%2B15017122669",
    "Dates": "?from=2025-06-01&to=2025-06-02",
    "Dates, voice": "?from=2025-06-01&to=2025-06-30&type=voice",
    "Errors": "?error=1",
    "Errors, nearly silent channel": "?error=1&channel=whatsapp:%2B15017122669",
    "Tag": "?tag=vip",
    "Tag, voice": "?tag=vip&type=voice",
    "Unknown tag": "?tag=nothing",
    "Assigned to me": "?assigned=me",
    "Unassigned": "?assigned=nobody",
    "Needs a person": "?person=1",
    "Number, in full": "?q=%2B14155550000",
    "Number, 4 digits": "?q=1415",
    "Number, 6 digits": "?q=%2B1+415+55",
    "Number, 7 digits": "?q=%2B1+415+555",
    "Word, in few": "?q=zebra",
    "Word, in a third": "?q=invoice",
    "Word, in all": "?q=hello",
    "Two words": "?q=hello+battery",
    "Name": "?q=Lovelace",
    "Word, errors, voice": "?q=delivery&error=1&type=voice",
}


class Stopped(Clock):
    """The clock of the moment after the last session."""

    def now(self):  # type: ignore[no-untyped-def]
        return NEWEST


def main() -> None:
    """Fill if need be, measure, print a table."""
    asked = argparse.ArgumentParser(prog="python -m benchmarks.console")
    asked.add_argument("--sessions", type=int, default=1_000_000)
    asked.add_argument("--folder", type=Path, default=Path(".data/bench-console"))
    asked.add_argument("--times", type=int, default=60)
    given = asked.parse_args()
    server = EmbeddedMongo(given.folder.resolve(), cache_gb=1)
    server.start()
    try:
        app = _app(given.folder, server.uri)
        if not collection(SessionDocument).estimated_document_count():
            _timed("filled", lambda: fill(given.sessions))
        _timed("indexed", connection.create_indexes)
        _measure(app, given.times, _Used(server.process.pid if server.process else 0))
    finally:
        connection.disconnect()
        server.stop()


def _app(folder: Path, uri: str) -> Flask:
    made = settings.load(env="development", data_dir=folder, mongodb_uri=uri, log={"format": "json"})
    return create_app(made, clock=Stopped())


def _timed(what: str, do: Callable[[], object]) -> None:
    started = time.perf_counter()
    do()
    print(f"{what} in {time.perf_counter() - started:.0f} s")


class _Used:
    """How much processor time this process and mongod took, which a busy machine does not change."""

    def __init__(self, mongod: int) -> None:
        self._stat = Path(f"/proc/{mongod}/stat")

    def ms(self) -> float:
        """Give the time used so far."""
        ticks = sum(map(int, self._stat.read_text().rpartition(")")[2].split()[11:13]))
        return time.process_time() * 1000 + ticks * 1000 / os.sysconf("SC_CLK_TCK")


def _measure(app: Flask, times: int, used: _Used) -> None:
    middle = collection(SessionDocument).find({}, {"last_message_at": 1}).sort("last_message_at", -1).skip(100_000)
    at = next(iter(middle.limit(1)))
    cursor = f"{round(at['last_message_at'].timestamp() * 1000)}-{at['_id']}"
    readers = {"sees all": None, "sees one busy channel": ["sms:+15017122661"]}
    readers["sees a nearly silent one"] = ["whatsapp:+15017122669"]
    for reader, channels in readers.items():
        name = "admin" if channels is None else reader
        if not users.exists(name):
            users.add(name, PASSWORD, NEWEST, channels=channels)
        client = _logged_in(app, name)
        print(f"\n| {reader} | p50 ms | p95 ms | CPU ms | sessions |\n|---|---|---|---|---|")
        for title, query in PAGES.items():
            _row(client, title, f"/admin/{query.format(middle=cursor)}", times, used)


def _logged_in(app: Flask, name: str) -> FlaskClient:
    client = app.test_client()
    token = client.get("/admin/login").text.partition('name="csrf_token" value="')[2].partition('"')[0]
    client.post("/admin/login", data={"csrf_token": token, "name": name, "password": PASSWORD})
    return client


def _row(client: FlaskClient, title: str, path: str, times: int, used: _Used) -> None:
    took, text = [], ""
    for _ in range(3):
        client.get(path)  # until MongoDB has read what it needs from its disk
    before = used.ms()
    for _ in range(times):
        started = time.perf_counter()
        answer = client.get(path)
        took.append((time.perf_counter() - started) * 1000)
        text = answer.text
        if answer.status_code != 200:
            raise SystemExit(f"{path}: {answer.status_code}")
    cpu, shown = (used.ms() - before) / times, text.count("data-session=")
    p50, p95 = statistics.median(took), statistics.quantiles(took, n=20)[-1]
    print(f"| {title} | {p50:.1f} | {p95:.1f} | {cpu:.1f} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
