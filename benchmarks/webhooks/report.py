"""What was measured: a line each, then medians and ratios beside the targets, and JSON."""

import dataclasses
import json
import os
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from benchmarks.webhooks.trial import Measured


class Target(NamedTuple):
    """What one server is to reach against another: at least so much, or at most. None where nothing was promised."""

    title: str
    value: Callable[[Measured], float]
    ours: str
    against: str
    most: bool
    wanted: Mapping[int, float | None]
    kind: str = "texts"


def _rate(one: Measured) -> float:
    return one.per_second


def _cpu(one: Measured) -> float:
    return one.server_us


TARGETS = (
    Target("requests/s against floor", _rate, "ours", "floor", False, {1: 0.9, 16: 1.3, 64: 2.0}),
    Target("requests/s against express", _rate, "ours", "express", False, {1: 1.2, 16: 1.8, 64: 2.5}),
    Target("requests/s against naive", _rate, "ours", "naive", False, dict.fromkeys((1, 16, 64))),
    Target("p99 against floor", lambda one: one.p99_ms, "ours", "floor", True, {1: 1.1, 16: 0.8, 64: 0.5}),
    Target("server CPU against floor", _cpu, "ours", "floor", True, {1: 1.0, 16: 0.7, 64: 0.5}),
    Target("server CPU against express", _cpu, "ours", "express", True, dict.fromkeys((1, 16, 64))),
    Target("mongod CPU against floor", lambda one: one.mongod_us, "ours", "floor", True, dict.fromkeys((1, 16, 64))),
    Target("requests/s of echo against none", _rate, "echo", "ours", False, {1: 0.7, 16: 0.7, 64: 0.7}),
    Target("turns: requests/s against floor", _rate, "ours", "floor", False, {16: None}, "turns"),
    Target("status: requests/s against floor", _rate, "ours", "floor", False, {16: None}, "status"),
    Target("firsts: requests/s against floor", _rate, "ours", "floor", False, {16: None}, "firsts"),
)


def busy() -> str:
    """Warn where somebody else uses the processors; nothing where nobody does."""
    load, processors = os.getloadavg()[0], os.cpu_count() or 1
    if load < processors / 2:
        return ""
    return f"The load is {load:.0f} on {processors} processors: others are at work here. Believe CPU ratios, not rates."


HEAD = "round  server   beside   kind    conns  requests/s  p50 ms  p99 ms   server  mongod    wrk us/request"


def line(number: int, one: Measured) -> str:
    """Give one measurement as a line."""
    text = (
        f"{number:5}  {one.server:8} {one.beside:8} {one.kind:7} {one.connections:5} {one.per_second:11.0f} "
        f"{one.p50_ms:7.1f} {one.p99_ms:7.1f} {one.server_us:8.0f} {one.mongod_us:7.0f} {one.load_us:6.0f}"
    )
    notes = [f"{one.spooled} not stored at once"] if one.spooled else []
    notes += [f"counts {one.miscounted} off"] if one.miscounted else []
    notes += [f"FAILED: {one.failures}"] if one.failures else []
    return f"{text}   {', '.join(notes)}".rstrip()


Key = tuple[str, str, str, int]


def _grouped(measured: Sequence[Measured]) -> dict[Key, list[Measured]]:
    groups: dict[Key, list[Measured]] = defaultdict(list)
    for one in measured:
        groups[one.kind, one.server, one.beside, one.connections].append(one)
    return groups


def medians(measured: Sequence[Measured]) -> list[dict[str, object]]:
    """Give the median of each figure over the rounds."""
    rows = []
    for (kind, server, beside, connections), group in _grouped(measured).items():
        figures = {
            name: round(statistics.median(getattr(one, name) for one in group), 1)
            for name in ("per_second", "p50_ms", "p99_ms", "max_ms", "server_us", "mongod_us", "load_us")
        }
        whose = {"kind": kind, "server": server, "beside": beside, "connections": connections, "rounds": len(group)}
        rows.append(whose | figures)
    return rows


def ratios(measured: Sequence[Measured]) -> list[dict[str, object]]:
    """Give the median over the rounds of each ratio, what it is to be, and whether it is."""
    groups, rows = _grouped(measured), []
    for target in TARGETS:
        for connections, wanted in target.wanted.items():
            both = (target.ours, target.against)
            mine, others = (groups.get((target.kind, *pair, connections)) for pair in (both, both[::-1]))
            if mine and others:
                ratio = statistics.median(target.value(a) / target.value(b) for a, b in zip(mine, others, strict=True))
                row = {"ratio": target.title, "connections": connections, "measured": round(ratio, 2)}
                rows.append(row | _judged(ratio, wanted, most=target.most))
    return rows


def _judged(ratio: float, wanted: float | None, *, most: bool) -> dict[str, object]:
    if wanted is None:
        return {"target": "", "met": ""}
    met = ratio <= wanted if most else ratio >= wanted
    return {"target": f"{'<=' if most else '>='} {wanted}", "met": "yes" if met else "no"}


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
