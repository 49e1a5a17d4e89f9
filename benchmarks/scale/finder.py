"""How long the finder takes to find senders' sessions: the functions that webhooks call, at every size in turns."""

import random
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.console.filling import LINES, NEWEST, YEARS
from benchmarks.measuring import connect
from benchmarks.scale.databases import Mongo, name_of
from gateway.store import finding

BLOCK = 100
SOME = 2_000

# How the open session is asked for: by its own partial index, as a unique key is.
HELD = "holder of an open key"

# Webhooks that arrive together ask for the sessions of all their senders at once.
TOGETHER = 16
GROUP = f"a group: {TOGETHER} with open sessions"


def measure(mongo: Mongo, sizes: Sequence[str], rounds: int, *, cold: bool) -> list[dict[str, Any]]:
    """Ask in blocks, each size after the other; gives a row for each kind of sender and size.

    To choose senders their sessions are read, so unless they are to be in the cache it is emptied after that: `cold`.
    """
    chance = random.Random(1)
    senders = {size: _senders(mongo, size, chance) for size in sizes}
    if cold:
        mongo.forget()
    took: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    for _ in range(rounds):
        for size in sizes:
            connect(mongo.server, mongo.folder, name_of(size))
            for kind, keys in senders[size].items():
                ask = ASKED.get(kind, _find)
                for some in chance.sample(keys, min(len(keys), 20)):
                    ask(some)
                took.setdefault((kind, size), []).append(_block(mongo, chance.choices(keys, k=BLOCK), ask))
    first = sizes[0]
    kinds = dict.fromkeys(kind for kind, _ in took)
    return [_row(kind, size, took[kind, size], took[kind, first]) for kind in kinds for size in sizes]


def _find(keys: Sequence[str]) -> None:
    finding.find_neighbours(keys, NEWEST)


def _find_open(keys: Sequence[str]) -> None:
    finding.find_holder(keys)


def _find_group(keys: Sequence[str]) -> None:
    # As far back as there are any: in small databases the last hour has none.
    assert len(finding.find_newest(keys, NEWEST - YEARS)) == TOGETHER


ASKED = {HELD: _find_open, GROUP: _find_group}


def _block(
    mongo: Mongo, keys: Sequence[Sequence[str]], ask: Callable[[Sequence[str]], None]
) -> tuple[float, float, float]:
    """Give the microseconds of one: what MongoDB says, the median that the gateway waits, and what it computes."""
    waited, before, computed = [], mongo.spent_us(), time.thread_time()
    for some in keys:
        started = time.perf_counter()
        ask(some)
        waited.append((time.perf_counter() - started) * 1e6)
    computed = (time.thread_time() - computed) * 1e6 / len(keys)
    return (mongo.spent_us() - before) / len(keys), statistics.median(waited), computed


def _row(
    kind: str, size: str, blocks: Sequence[tuple[float, ...]], first: Sequence[tuple[float, ...]]
) -> dict[str, Any]:
    names = ("database_us", "client_us", "client_cpu_us")
    row: dict[str, Any] = {"sender": kind, "sessions": size}
    for number, name in enumerate(names):
        here, there = (statistics.median(block[number] for block in some) for some in (blocks, first))
        row |= {name: round(here, 1), name.replace("_us", "_ratio"): round(here / there, 2)}
    return row


def _senders(mongo: Mongo, size: str, chance: random.Random) -> dict[str, list[list[str]]]:
    """Give what is looked up at once, the keys of a sender or of several.

    Some write all the time, then any, one with thousands of sessions, one nobody knows, and groups.
    """
    sessions = mongo.database(size).sessions
    open_ones = [row["keys"][0] for row in sessions.find({"open_keys": {"$exists": True}}, {"keys": 1}).limit(SOME)]
    step = max(1, sessions.estimated_document_count() // SOME)
    ids = [row["_id"] for row in sessions.find({}, {"_id": 1}).sort("_id", 1).skip(step // 2).limit(1)]
    any_ones = [row["keys"][0] for row in sessions.aggregate([{"$sample": {"size": SOME}}, {"$project": {"keys": 1}}])]
    regular = sessions.aggregate(
        [
            {"$match": {"_id": {"$gte": ids[0]}}},
            {"$limit": 60_000},
            {"$sortByCount": {"$first": "$keys"}},
            {"$limit": 1},
        ]
    )
    kind, ours, _ = LINES[0]
    alone = {
        "hot: 50 with an open session": open_ones[:50],
        "random: any of them": any_ones,
        "regular: thousands of sessions": [row["_id"] for row in regular],
        "unknown": [f"{kind}|{ours}|+1888{chance.randrange(10**7):07}" for _ in range(SOME)],
        HELD: open_ones,
    }
    groups = [chance.sample(open_ones, TOGETHER) for _ in range(BLOCK)]
    return {who: [[key] for key in keys] for who, keys in alone.items()} | {GROUP: groups}
