"""What pages of the console and lists of the API ask of MongoDB, at every size and at any depth."""

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from benchmarks.api.__main__ import CALLS
from benchmarks.console.__main__ import PAGES, PASSWORD, logged_in
from benchmarks.console.filling import NEWEST
from benchmarks.measuring import serve
from benchmarks.scale.databases import Mongo, name_of
from gateway.store import api_keys, listing, users
from gateway.store.listing import Wanted

WARM = 2
DEPTHS = {"first page": 0.0, "a tenth of all deep": 0.1, "half deep": 0.5, "nearly the last": 0.999}
SEEN = {
    "session page": "/admin/sessions/{id}",
    "session page, one of 5,000 of a sender": "/admin/sessions/{regular}",
    "analytics, 30 days": "/admin/analytics",
}
STATISTICS = {
    "stats, 30 days": "/api/v1/stats?from=2026-01-31&to=2026-03-01",
    "stats, a year": "/api/v1/stats?from=2025-03-02&to=2026-03-01",
    "decisions": "/api/v1/decisions",
    "contacts": "/api/v1/contacts",
}


def measure(mongo: Mongo, sizes: Sequence[str], times: int) -> list[dict[str, Any]]:
    """Ask for every page of every size; gives a row for each."""
    rows = []
    for size in sizes:
        app = serve(mongo.server, mongo.folder, name_of(size), api={"requests_per_minute": 1_000_000})
        for kind, title, ask in _everything(app, mongo.database(size)):
            row = {"sessions": size, "kind": kind, "page": title} | _asked(mongo, size, ask, times)
            rows.append(row)
            print(f"{size} {kind}, {title}: {row['database_ms']} ms, {row['examined']} examined", flush=True)
    return rows


def _everything(app: Flask, database: Any) -> Iterator[tuple[str, str, Callable[[], object]]]:
    known = _known(database)
    for title, cursor in known["cursors"].items():
        yield "query", f"list, {title}", partial(_page, Wanted(), cursor)
        yield "query", f"list of a type, {title}", partial(_page, Wanted("sms"), cursor)
    client = logged_in(app, _user())
    for title, query in PAGES.items():
        yield "console", title, partial(client.get, f"/admin/{query.format_map(known)}")
    for title, path in SEEN.items():
        yield "console", title, partial(client.get, path.format_map(known))
    with _key() as key:
        program, headers = app.test_client(), {"Authorization": f"Bearer {key}"}
        paths = {title: f"/api/v1{path}" for title, path in CALLS.items()} | STATISTICS
        for title, path in paths.items():
            yield "api", title, partial(program.get, path.format_map(known), headers=headers)


def _page(wanted: Wanted, cursor: str) -> None:
    listing.page(wanted, cursor=cursor, limit=25, channels=None)


def _user() -> str:
    if not users.exists("admin"):
        users.add("admin", PASSWORD, NEWEST)
    return "admin"


@contextlib.contextmanager
def _key() -> Iterator[str]:
    _, key = api_keys.add("benchmark", ["read"], NEWEST, by="a benchmark")
    yield key
    api_keys.revoke(key.split("_")[1], NEWEST, by="a benchmark")


def _known(database: Any) -> dict[str, Any]:
    """Give what the addresses name: sessions of all depths, and one of a sender with thousands of them."""
    count, oldest_first = database.sessions.estimated_document_count(), [("_id", 1)]
    at_depth = {}
    for title, depth in DEPTHS.items():
        skip = max(0, round(count * (1 - depth)) - 1)
        (at_depth[title],) = database.sessions.find().sort(oldest_first).skip(skip).limit(1)
    one = at_depth["half deep"]
    message = database.messages.find_one({"session_id": one["_id"]})
    # Of a hundred sessions the first is a regular's, and those are the commonest numbers there are.
    some = database.sessions.find({}, {"keys": 1}).sort(oldest_first).limit(5_000)
    first = list(some)[::100]
    cursors = {title: "" if title == "first page" else _cursor(row) for title, row in at_depth.items()}
    return {
        "id": one["_id"],
        "regular": first[0]["_id"],
        "message": message["_id"],
        "contact": one["contact_id"],
        "number": one["metadata"]["fromNumber"].replace("+", "%2B"),
        "cursors": cursors,
        "middle": cursors["half deep"],
    }


def _cursor(row: Any) -> str:
    return f"{round(row['last_message_at'].timestamp() * 1000)}-{row['_id']}"


def _asked(mongo: Mongo, size: str, ask: Callable[[], object], times: int) -> dict[str, Any]:
    for _ in range(WARM):
        ask()
    profiled = _profiled(mongo.database(size), ask)
    waited, spent = [], []
    before_cpu = mongo.cpu_us()
    for _ in range(times):
        before, started = mongo.spent_us(), time.perf_counter()
        answer = ask()
        waited.append((time.perf_counter() - started) * 1e3)
        spent.append((mongo.spent_us() - before) / 1e3)
        _must_be_well(answer)
    cpu = {name: round((now - before_cpu[name]) / times / 1e3, 1) for name, now in mongo.cpu_us().items()}
    return {
        "database_ms": round(statistics.median(spent), 2),
        "whole_ms": round(statistics.median(waited), 1),
        "cpu_ms": cpu,
        **profiled,
    }


def _must_be_well(answer: object) -> None:
    if isinstance(answer, TestResponse) and answer.status_code not in (200, 409):
        raise SystemExit(f"{answer.request.path}: {answer.status_code} {answer.text[:300]}")


def _profiled(database: Any, ask: Callable[[], object]) -> dict[str, Any]:
    """Let MongoDB's profiler say how many commands there were and what they read, which no busy machine changes."""
    database.command("profile", 0)
    database.drop_collection("system.profile")
    database.command("profile", 2)
    ask()
    database.command("profile", 0)
    seen = list(database["system.profile"].find({"ns": {"$not": {"$regex": "system.profile"}}}))
    examined = [one.get("keysExamined", 0) + one.get("docsExamined", 0) for one in seen]
    slowest = max(seen, key=lambda one: one.get("millis", 0), default={})
    return {
        "commands": len(seen),
        "examined": sum(examined),
        "slowest": f"{slowest.get('ns', '').partition('.')[2]} {slowest.get('planSummary', '')[:120]}".strip(),
        "slowest_ms": slowest.get("millis", 0),
    }
