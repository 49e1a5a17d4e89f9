"""How big the indexes are, and what the index of open sessions would take if it held them all."""

from collections.abc import Sequence
from typing import Any

from benchmarks.scale.databases import Mongo

PLAIN = "of_all"
_MB = 1024 * 1024


def measure(mongo: Mongo, sizes: Sequence[str]) -> list[dict[str, Any]]:
    """Give a row for each index of sessions and messages, in MB."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for size in sizes:
        database = mongo.database(size)
        # The same without its filter: what is not open is in it as null.
        database.sessions.create_index([("open_keys", 1)], name=PLAIN)
        for name in ("sessions", "messages"):
            told = database.command("collStats", name)
            kept = told["indexSizes"] | {"(documents)": told["storageSize"]}
            for index, taken in kept.items():
                row = found.setdefault((name, index), {"collection": name, "index": index})
                row[size] = round(taken / _MB, 1)
        database.sessions.drop_index(PLAIN)
    return list(found.values())
