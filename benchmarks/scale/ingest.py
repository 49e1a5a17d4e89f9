"""What a webhook costs gateway and mongod in databases of every size, in turns: how full one is should not matter."""

import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

from flask import Flask

from benchmarks.console.filling import LINES
from benchmarks.measuring import serve
from benchmarks.scale.databases import Mongo, name_of
from gateway.channels.signature import SIGNATURE_HEADER, sign
from gateway.conversation.runtime import Clock
from gateway.store import connection

TOKEN, HOST, PATH = "benchmark-token", "https://gateway.example.com", "/webhooks/sms"
EMPTY = "empty"

# A window: so many senders, half of whom have old sessions, write so often each; the first opens a session.
SENDERS, EACH = 40, 10

_sids = itertools.count(int(time.time()) << 32)


def measure(mongo: Mongo, sizes: Sequence[str], rounds: int) -> list[dict[str, Any]]:
    """Take in windows of signed SMS through the WSGI app, the sizes after each other; gives a row for each size."""
    # What a busy machine keeps waiting would be spooled instead of stored.
    connection.DEADLINE_SECONDS = 30
    windows: dict[str, list[dict[str, float]]] = {size: [] for size in (EMPTY, *sizes)}
    for number in range(rounds):
        for size in windows:
            if size == EMPTY:
                mongo.database(EMPTY).client.drop_database(name_of(EMPTY))
            app = _app(mongo, size)
            known = _known(mongo, size)
            _window(mongo, app, _messages(known, number, "warm"))
            windows[size].append(_window(mongo, app, _messages(known, number, "real")))
    base = {name: statistics.median(one[name] for one in windows[EMPTY]) for name in windows[EMPTY][0]}
    return [_row(mongo, size, seen, base) for size, seen in windows.items()]


def _app(mongo: Mongo, size: str) -> Flask:
    given: dict[str, Any] = {"twilio_auth_token": [TOKEN], "public_url": HOST, "reply": {"responder": "none"}}
    # What an earlier run spooled would be waited for: webhooks queue behind it.
    given["spool"] = {"dir": tempfile.mkdtemp(prefix="bench-scale-")}
    app = serve(mongo.server, mongo.folder, name_of(size), clock=Clock(), **given)
    connection.create_indexes()
    return app


def _known(mongo: Mongo, size: str) -> list[str]:
    """Give numbers that have sessions already."""
    line = f"{LINES[0][0]}:{LINES[0][1]}"
    steps = [{"$sample": {"size": SENDERS * 10}}, {"$match": {"channel_id": line}}, {"$limit": SENDERS}]
    return [row["metadata"]["fromNumber"] for row in mongo.database(size).sessions.aggregate(steps)]


def _messages(known: Sequence[str], number: int, part: str) -> Iterator[dict[str, str]]:
    old = known[: SENDERS // 2] if part == "warm" else known[SENDERS // 2 :]
    prefix = 500 + number * 2 + (part == "real")
    new = [f"+1{prefix}{one:07}" for one in range(SENDERS - len(old))]
    for turn in range(EACH):
        for sender in [*old, *new]:
            body = f"Hello, a question about invoice: word{turn} word{number} and some more words"
            yield {"MessageSid": f"SM{next(_sids):032x}", "From": sender, "To": LINES[0][1], "Body": body}


def _window(mongo: Mongo, app: Flask, messages: Iterator[dict[str, str]]) -> dict[str, float]:
    client = app.test_client()
    signed = [(form, {SIGNATURE_HEADER: sign(TOKEN, HOST + PATH, form)}) for form in messages]
    used, spent, waited = mongo.cpu_us(), mongo.spent_us(), []
    for form, headers in signed:
        started = time.perf_counter()
        answer = client.post(PATH, data=form, headers=headers)
        waited.append((time.perf_counter() - started) * 1e6)
        if answer.status_code != 200:
            raise SystemExit(f"The gateway answered {answer.status_code}: {answer.text[:300]}")
    if spooled := app.extensions["gateway"].spool.depth().waiting:
        raise SystemExit(
            f"MongoDB was too slow for {spooled} webhooks, which were spooled. Measure on a quieter machine."
        )
    figures = {f"{name}_cpu_us": (now - used[name]) / len(signed) for name, now in mongo.cpu_us().items()}
    return figures | {
        "database_us": (mongo.spent_us() - spent) / len(signed),
        "client_us": statistics.median(waited),
    }


def _row(mongo: Mongo, size: str, seen: Sequence[dict[str, float]], base: dict[str, float]) -> dict[str, Any]:
    row: dict[str, Any] = {"messages": size, "stored": mongo.database(size).messages.estimated_document_count()}
    for name, first in base.items():
        median = statistics.median(one[name] for one in seen)
        row |= {name: round(median), name.replace("_us", "_ratio"): round(median / first, 2) if first else None}
    return row
