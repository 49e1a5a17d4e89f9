"""The chart of flows: a bar for each step, as wide as people came to it, and what of it left there."""

from collections.abc import Iterator, Sequence
from typing import Any

from gateway.admin import drawing
from gateway.admin.charts import Chart, Series
from gateway.conversation.funnels import Funnel, Stage

NAME = "flows"
_COLUMNS = ("flow", "step", "came to it", "% of begun", "abandoned there", "canceled there")


def chart(funnels: Sequence[Funnel]) -> Chart | None:
    """Show how far people came in each flow; None where none was begun."""
    if not funnels:
        return None
    begun, completed = (sum(getattr(one, name) for one in funnels) for name in ("begun", "completed"))
    left = sum(one.abandoned + one.canceled for one in funnels)
    legend = [
        Series("reused", "Begun", f"{begun:,}"),
        Series("delivered", "Completed", f"{completed:,} ({_share(completed, begun):g} %)"),
        Series("failed", "Left", f"{left:,}"),
    ]
    bars = [(one.title, list(_bars(one))) for one in funnels]
    rows = [row for one in funnels for row in _rows(one)]
    note = "How far people came in the flows that began on these days, and at which step they left."
    return Chart(NAME, "Flows", note, _COLUMNS, rows, drawing.funnel(bars), "", legend)


def _rows(funnel: Funnel) -> Iterator[list[Any]]:
    yield [funnel.flow, "begun", funnel.begun, 100.0, None, None]
    for one in funnel.stages:
        yield [
            funnel.flow, one.step, one.reached, _share(one.reached, funnel.begun), one.abandoned, one.canceled,
        ]  # fmt: skip
    completed = _share(funnel.completed, funnel.begun)
    yield [funnel.flow, "completed", funnel.completed, completed, None, None]


def _bars(funnel: Funnel) -> Iterator[drawing.Bar]:
    """Give a bar for each step and one for the end, whose parts are shares of those who began."""
    of = max([funnel.begun, *(one.reached for one in funnel.stages)])
    for one in funnel.stages:
        left = min(one.abandoned + one.canceled, one.reached)
        parts = [("reused", (one.reached - left) / of), ("failed", left / of)]
        yield drawing.Bar(one.step, f"{one.reached:,}", _say(funnel, one), parts)
    words = f"{funnel.title}: completed {funnel.completed:,} of {funnel.begun:,}"
    yield drawing.Bar("completed", f"{funnel.completed:,}", words, [("delivered", funnel.completed / of)])


def _say(funnel: Funnel, one: Stage) -> str:
    return (
        f"{funnel.title}, {one.step}: {one.reached:,} came to it, {one.abandoned:,} abandoned it, "
        f"{one.canceled:,} canceled"
    )


def _share(count: int, of: int) -> float:
    return round(100 * count / of, 1) if of else 0.0
