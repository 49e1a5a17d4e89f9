"""What a trial showed, as figures: the table of the issue, latencies before, during and after, and JSON."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.reliability.load import Delivery
from benchmarks.reliability.trial import Outcome

COLUMNS = ["fault", "sent", "acknowledged", "and lost", "stored twice", "wrong session", "refused", "allowed"]
LATENCIES = ["fault", "before", "during", "after", "deepest spool", "drained after", "reordered", "sent late"]
_EXAMPLES = 5


def figures(outcome: Outcome) -> dict[str, Any]:
    """Give one trial as plain values; `ok` is whether every figure was reached."""
    faults = outcome.verdict.faults
    refused = [one for one in outcome.deliveries if not one.acknowledged]
    permitted = [one for one in refused if outcome.fault.permits(one, outcome.scene)]
    inexcusable = len(refused) - len(permitted)
    late = [one.late for one in outcome.deliveries]
    doubts = outcome.fault.doubts(outcome.deliveries, outcome.scene)
    return {
        "fault": outcome.fault.name,
        "title": outcome.fault.title,
        "ok": not any(faults.values()) and not inexcusable and not doubts and outcome.rested,
        "sent": len(outcome.deliveries),
        "acknowledged": len(outcome.deliveries) - len(refused),
        "stored": outcome.verdict.stored,
        **faults,
        "reordered": len(outcome.verdict.reordered),
        "refused": inexcusable,
        "refused_as_permitted": len(permitted),
        "permitted": outcome.fault.permitted,
        "outcomes": dict(Counter(one.outcome for one in outcome.deliveries)),
        "latency_ms": {name: _latency(part) for name, part in _phases(outcome).items()},
        "deepest_spool": max((depth for _, depth in outcome.depths), default=0),
        "drained_seconds": _drained(outcome),
        "rested": outcome.rested,
        "doubts": doubts,
        "generator_late_ms": _round(_quantile(sorted(late), 0.99) * 1000),
        "marks": [(name, round(at - outcome.scene.start, 2)) for name, at in outcome.scene.marks],
        "examples": {
            name: ids[:_EXAMPLES] for name, ids in vars(outcome.verdict).items() if isinstance(ids, list) and ids
        },
    }


def _phases(outcome: Outcome) -> dict[str, list[Delivery]]:
    """Sort what was answered at all by when it was sent: before the first mark, up to the last, after it."""
    answered = [one for one in outcome.deliveries if one.outcome.isdigit()]
    moments = [at for _, at in outcome.scene.marks]
    if not moments:
        return {"before": [], "during": answered, "after": []}
    first, last = min(moments), max(moments)
    return {
        "before": [one for one in answered if one.sent < first],
        "during": [one for one in answered if first <= one.sent <= last],
        "after": [one for one in answered if one.sent > last],
    }


def _latency(deliveries: Iterable[Delivery]) -> dict[str, float] | None:
    spent = sorted((one.answered - one.sent) * 1000 for one in deliveries)
    if not spent:
        return None
    return {"p50": _round(_quantile(spent, 0.5)), "p99": _round(_quantile(spent, 0.99)), "max": _round(spent[-1])}


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, math.floor(share * len(ordered)))] if ordered else 0.0


def _round(milliseconds: float) -> float:
    return round(milliseconds, 1)


def _drained(outcome: Outcome) -> float | None:
    """Tell how long after the last mark the spool still held something; None where it never did."""
    held = [at for at, depth in outcome.depths if depth]
    back = max((at for _, at in outcome.scene.marks), default=outcome.scene.start)
    return round(max(0.0, held[-1] - back), 1) if held else None


def table(results: Sequence[dict[str, Any]]) -> str:
    """Write the figures as two tables, and what was missed below them."""
    done = [one for one in results if "skipped" not in one]
    main = [[one["title"], one["sent"], one["acknowledged"], one["lost"], one["twice"] + one["miscounted"],
             one["wrong"] + one["misdated"] + one["rivals"], _refusals(one), one["permitted"]]
            for one in done]  # fmt: skip
    times = [[one["title"], *(_spent(one["latency_ms"][name]) for name in ("before", "during", "after")),
              one["deepest_spool"], "" if one["drained_seconds"] is None else f"{one['drained_seconds']} s",
              one["reordered"], f"{one['generator_late_ms']:.0f} ms"] for one in done]  # fmt: skip
    lines = [*_lay_out([COLUMNS, *main]), "", "Latency in ms: p50 / p99 / max", "", *_lay_out([LATENCIES, *times]), ""]
    lines += [f"SKIPPED {one['title']}: {one['skipped']}" for one in results if "skipped" in one]
    lines += [f"MISSED  {one['title']}: {_missed(one)}" for one in done if not one["ok"]]
    return "\n".join(lines)


def _refusals(one: dict[str, Any]) -> str:
    return f"{one['refused']}" + (f" (and {one['refused_as_permitted']})" if one["refused_as_permitted"] else "")


def _spent(latency: dict[str, float] | None) -> str:
    return "" if latency is None else " / ".join(f"{latency[name]:.0f}" for name in ("p50", "p99", "max"))


def _missed(one: dict[str, Any]) -> str:
    names = (
        "lost", "twice", "miscounted", "wrong", "misdated", "rivals", "unanswered", "answered_twice", "refused",
    )  # fmt: skip
    told = [f"{name.replace('_', ' ')} {one[name]}" for name in names if one[name]]
    told += [] if one["rested"] else ["never came to rest"]
    told += [one["doubts"]] if one["doubts"] else []
    return f"{', '.join(told)}. Outcomes: {one['outcomes']}. Examples: {one['examples']}"


def _lay_out(rows: Sequence[Sequence[object]]) -> list[str]:
    written = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in written) for column in range(len(written[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
             for row in written]  # fmt: skip
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]
