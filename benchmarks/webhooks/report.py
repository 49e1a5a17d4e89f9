"""What was measured: a line each, then medians and ratios beside the targets, and JSON."""

import dataclasses
import json
import os
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from benchmarks.webhooks.trial import Measured


class Target(NamedTuple):
    """What `ours` is to reach against another server; at most instead of at least where `most`."""

    title: str
    value: Callable[[Measured], float]
    ours: str
    against: str
    most: bool
    wanted: dict[int, float]


TARGETS = (
    Target("requests/s against floor", lambda one: one.per_second, "ours", "floor", False, {1: 0.9, 16: 1.3, 64: 2.0}),
    Target(
        "requests/s against express", lambda one: one.per_second, "ours", "express", False, {1: 1.2, 16: 1.8, 64: 2.5}
    ),
    Target("p99 against floor", lambda one: one.p99_ms, "ours", "floor", True, {1: 1.1, 16: 0.8, 64: 0.5}),
    Target("server CPU against floor", lambda one: one.server_us, "ours", "floor", True, {1: 1.0, 16: 0.7, 64: 0.5}),
    Target("requests/s of echo", lambda one: one.per_second, "echo", "ours", False, {1: 0.7, 16: 0.7, 64: 0.7}),
)  # fmt: skip

HEAD = "round  server   kind    conns  requests/s  p50 ms  p99 ms   server  mongod    wrk us/request"


def line(number: int, one: Measured) -> str:
    """Give one measurement as a line."""
    text = (
        f"{number:5}  {one.server:8} {one.kind:7} {one.connections:5} {one.per_second:11.0f} {one.p50_ms:7.1f} "
        f"{one.p99_ms:7.1f} {one.server_us:8.0f} {one.mongod_us:7.0f} {one.load_us:6.0f}"
    )
    notes = [f"{one.spooled} through the spool"] if one.spooled else []
    notes += [f"counts {one.miscounted} off"] if one.miscounted else []
    notes += [f"FAILED: {one.failures}"] if one.failures else []
    return f"{text}   {', '.join(notes)}".rstrip()


Key = tuple[str, str, int]


def _grouped(measured: Sequence[Measured]) -> dict[Key, list[Measured]]:
    groups: dict[Key, list[Measured]] = defaultdict(list)
    for one in measured:
        groups[one.kind, one.server, one.connections].append(one)
    return groups


def medians(measured: Sequence[Measured]) -> list[dict[str, object]]:
    """Give the median of each figure over the rounds."""
    rows = []
    for (kind, server, connections), group in _grouped(measured).items():
        figures = {
            name: round(statistics.median(getattr(one, name) for one in group), 1)
            for name in ("per_second", "p50_ms", "p99_ms", "max_ms", "server_us", "mongod_us", "load_us")
        }
        rows.append({"kind": kind, "server": server, "connections": connections, "rounds": len(group)} | figures)
    return rows


def ratios(measured: Sequence[Measured]) -> list[dict[str, object]]:
    """Give the median over the rounds of each ratio that has a target, and whether it is met."""
    groups, rows = _grouped(measured), []
    for target in TARGETS:
        for connections, wanted in target.wanted.items():
            mine, others = (groups.get(("texts", name, connections)) for name in (target.ours, target.against))
            if mine and others:
                ratio = statistics.median(target.value(a) / target.value(b) for a, b in zip(mine, others, strict=True))
                met = ratio <= wanted if target.most else ratio >= wanted
                rows.append(
                    {
                        "ratio": target.title, "connections": connections, "measured": round(ratio, 2),
                        "target": f"{'<=' if target.most else '>='} {wanted}", "met": met,
                    }
                )  # fmt: skip
    return rows


def show(measured: Sequence[Measured], rounds: int) -> None:
    """Print medians and ratios as tables."""
    print(f"\nMedians of {rounds} rounds, {os.cpu_count()} processors. CPU in microseconds a request.\n")
    _table(medians(measured))
    if found := ratios(measured):
        print("\nRatios, medians of the rounds.\n")
        _table(found)


def _table(rows: Sequence[dict[str, object]]) -> None:
    print("| " + " | ".join(rows[0]) + " |")
    print("|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")


def as_json(measured: Sequence[Measured]) -> str:
    """Give every measurement, the medians and the ratios."""
    told = {
        "processors": os.cpu_count(),
        "medians": medians(measured),
        "ratios": ratios(measured),
        "measurements": [dataclasses.asdict(one) for one in measured],
    }
    return json.dumps(told, indent=2) + "\n"
