"""`python -m benchmarks.console.inserting`: what the text index costs a stored message, and the list's indexes a touch.

Both kinds take turns, so that a busy machine slows both alike.
"""

import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bson import ObjectId

from benchmarks.console.filling import LINES, NEWEST
from gateway import settings
from gateway.store import connection
from gateway.store.connection import collection
from gateway.store.documents import MessageDocument, SessionDocument
from gateway.store.embedded import EmbeddedMongo

ROUNDS, EACH = 12, 100
LISTED = ("by_type", "by_channel")


def main() -> None:
    """Measure with all indexes and without those of the console, in turns; print medians."""
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedMongo(Path(folder))
        server.start()
        connection.connect(settings.load(env="development", data_dir=Path(folder), mongodb_uri=server.uri))
        connection.create_indexes()
        # `plain` is a copy with the indexes that were there before the console's.
        everything = {"messages": collection(MessageDocument), "sessions": collection(SessionDocument)}
        plain = {name: one.database[f"plain_{name}"] for name, one in everything.items()}
        for name, one in everything.items():
            for index, made in one.index_information().items():
                if index not in ("_id_", "words", *LISTED) and "partialFilterExpression" not in made:
                    plain[name].create_index(made["key"] if "textIndexVersion" not in made else [("title", 1)])
        plain["sessions"].create_index([("communication_type", 1), ("last_message_at", -1), ("_id", -1)])
        for what, do in (("store one message", _insert), ("count it in its session", _touch)):
            _compare(what, do, everything, plain)
        connection.disconnect()
        server.stop()


def _compare(what: str, do: Callable[[Any], Callable[[], object]], with_them: Any, without: Any) -> None:
    took: dict[str, list[float]] = {"with": [], "without": []}
    steps = {"with": do(with_them), "without": do(without)}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            for _ in range(EACH):
                started = time.perf_counter()
                step()
                took[name].append((time.perf_counter() - started) * 1000)
    with_ms, without_ms = (statistics.median(took[name]) for name in ("with", "without"))
    print(f"{what}: {without_ms:.2f} ms without the console's indexes, {with_ms:.2f} ms with them")


def _insert(collections: Any) -> Callable[[], object]:
    chance = random.Random(1)

    def insert() -> object:
        words = " ".join(f"word{chance.randrange(30_000)}" for _ in range(20))
        message = {"_id": f"SM{ObjectId()}", "session_id": ObjectId(), "createdAt": NEWEST, "storedAt": NEWEST}
        return collections["messages"].insert_one(message | {"content": words})

    return insert


def _touch(collections: Any) -> Callable[[], object]:
    chance, ids = random.Random(1), [ObjectId() for _ in range(5000)]
    kind, ours, _ = LINES[0]
    channel = {"channel_id": f"{kind}:{ours}", "communication_type": kind, "status": "active"}
    collections["sessions"].insert_many([{"_id": one, "last_message_at": NEWEST, **channel} for one in ids])
    number = iter(range(10**9))

    def touch() -> object:
        at = NEWEST.timestamp() + next(number)
        change = {"$inc": {"message_count": 1}, "$max": {"last_message_at": NEWEST.fromtimestamp(at, NEWEST.tzinfo)}}
        return collections["sessions"].update_one({"_id": chance.choice(ids)}, change)

    return touch


if __name__ == "__main__":
    main()
