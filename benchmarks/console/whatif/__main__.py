"""How long it takes to count stored pauses at other thresholds, several ways, A B A B over the same messages.

.venv/bin/python -m benchmarks.console.whatif --messages 1000000

Everything is real: the mongod of the extra `embedded` with its quarter of a gigabyte of cache, and the gateway's code.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import mongoengine

from benchmarks.console.whatif import history
from gateway import settings
from gateway.conversation import replay, runtime, whatif
from gateway.conversation.whatif import Question
from gateway.core.whatif import USUAL, cut, histogram, suggest
from gateway.store import connection, gaps
from gateway.store.embedded import EmbeddedMongo

EDGES = [0, 60.0001, 120.0001, 300.0001, 600.0001, 900.0001, 1800.0001, 3600.0001, 86_400.0001, 1e12]
INDEX = [("channel_id", 1), ("decision.gap_seconds", 1)]
PARTIAL = {"decision.gap_seconds": {"$gte": 0}}
ROUNDS = 3


def main() -> None:
    """Fill a database, or take one that is there, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="Where to keep the database; a temporary folder unless given.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch)
        mongo = EmbeddedMongo(folder)
        mongo.start()
        try:
            measure(mongo.uri, folder, given.messages)
        finally:
            connection.disconnect()
            mongo.stop()


def measure(uri: str, folder: Path, messages: int) -> None:
    """Print what each way took."""
    configured = settings.load(env="test", data_dir=folder, mongodb_uri=uri, secret_key="benchmark")
    connection.connect(configured)
    connection.create_indexes()
    serving = runtime.build(configured)
    database = mongoengine.get_db()
    if not database.messages.estimated_document_count():
        history.fill(messages)
        database.channels.insert_many(history.channels())
    print(f"{database.messages.estimated_document_count():,} messages")
    _without_chunks(database)
    _chunks(serving, database)
    _inserts(database)


def _tell(name: str, ask: Callable[[], Any]) -> Any:
    walls, cpus, answer = [], [], None
    for _ in range(ROUNDS):
        wall, cpu = time.perf_counter(), time.process_time()
        answer = ask()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    print(f"{name:60} best {min(walls):6.2f} s, median {statistics.median(walls):6.2f} s, own CPU {min(cpus):5.2f} s")
    return answer


def _without_chunks(database: Any) -> None:
    channels = [channel["_id"] for channel in history.channels()]
    _tell("aggregation over all messages", lambda: _buckets(database, {"decision.gap_seconds": {"$gte": 0}}, None))
    database.messages.create_index(INDEX, name="gaps", partialFilterExpression=PARTIAL)
    covered = {"channel_id": {"$in": channels}, "decision.gap_seconds": {"$gte": 0}}
    _tell("aggregation, covered by a partial index on the gap", lambda: _buckets(database, covered, "gaps"))
    _tell("a COUNT_SCAN for each of 4 channels and 9 ranges", lambda: _count_scans(database, channels))
    database.messages.drop_index("gaps")


def _buckets(database: Any, wanted: dict[str, Any], hint: str | None) -> list[Any]:
    bucket = {"groupBy": "$decision.gap_seconds", "boundaries": EDGES, "default": -1}
    return list(
        database.messages.aggregate([{"$match": wanted}, {"$bucket": bucket}], **({"hint": hint} if hint else {}))
    )


def _count_scans(database: Any, channels: Sequence[str]) -> list[int]:
    return [
        database.command(
            "count",
            "messages",
            query={"channel_id": channel, "decision.gap_seconds": {"$gte": low, "$lt": high}},
            hint="gaps",
        )["n"]
        for channel in channels
        for low, high in pairwise(EDGES)
    ]


def _chunks(serving: runtime.Runtime, database: Any) -> None:
    started = time.perf_counter()
    whatif.count_anew(serving)
    took = time.perf_counter() - started
    size, count = database.command("collstats", "gaps")["size"] / 1e6, database.gaps.count_documents({})
    print(f"{'chunks: counted once by a worker':60} {took:.1f} s, {count} of them, {size:.1f} MB")
    since = history.END.date() - timedelta(days=30)
    whole = _tell("chunks: read, table, histogram and suggestion", lambda: _answer(serving, None))
    _tell("chunks: the same for 30 days", lambda: _answer(serving, since))
    for threshold in (120, 600, 3600):
        _tell(
            f"chunks: the first 25 sessions that change at {threshold} s", lambda t=threshold: _list(serving, whole, t)
        )
    _tell(f"chunks: look again at {whatif.CHECKED}", lambda: gaps.check(whatif.CHECKED, serving.clock.now()))


def _answer(serving: runtime.Runtime, since: date | None) -> whatif.History:
    found = whatif.look(serving, Question(since=since))
    tally = found.tally
    [cut(tally, threshold, found.days) for threshold in USUAL]
    histogram(tally.gaps)
    suggest(tally.gaps)
    return found


def _list(serving: runtime.Runtime, found: whatif.History, threshold: float) -> replay.Changes:
    return replay.changes(serving, found, threshold, channels=None, limit=25)


def _inserts(database: Any) -> None:
    """Say what one more index costs an insert: inbound messages, one by one, into twins with and without it."""
    rows = list(database.messages.find({"direction": "inbound"}).limit(8_000))
    twins = {"without": database.get_collection("twin_without"), "with": database.get_collection("twin_with")}
    for name, twin in twins.items():
        twin.drop()
        for index in ("transcript", "stored"):
            twin.create_index(list(database.messages.index_information()[index]["key"]))
        if name == "with":
            twin.create_index(INDEX, partialFilterExpression=PARTIAL)
    took: dict[str, list[float]] = {name: [] for name in twins}
    for start in range(0, len(rows), 1_000):
        for name, twin in twins.items():
            before = time.perf_counter()
            twin.insert_many(rows[start : start + 1_000])
            took[name].append((time.perf_counter() - before) * 1_000)
    for name, each in took.items():
        print(f"insert, index on the gap: {name:34} median {statistics.median(each):6.1f} µs a message in batches")
        twins[name].drop()


if __name__ == "__main__":
    main()
