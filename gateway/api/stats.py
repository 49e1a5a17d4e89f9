"""What was counted by day: how much, how fast, and what went wrong."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from flask import Response

from gateway.api.auth import access, runtime
from gateway.api.blueprint import bp, tag
from gateway.api.problems import Refused
from gateway.api.schemas.stats import (
    Amounts,
    Answers,
    DayAmounts,
    ErrorCount,
    FlowAmounts,
    FlowStepAmounts,
    Stats,
    StatsQuery,
    TypeAmounts,
)
from gateway.conversation.counted import Counts, gather, rates
from gateway.conversation.funnels import Funnel, funnels
from gateway.core import ranges
from gateway.core.codes import explain
from gateway.core.daily import Tally, percentile
from gateway.core.ranges import BadRange, Range
from gateway.store import analytics
from gateway.store.connection import deadline

# Counts of 400 days on a hundred channels are some megabytes.
READ_SECONDS = 5


@bp.get("/stats", tags=tag("Statistics", "What was counted by day."), responses={200: Stats})
def get_stats(query: StatsQuery) -> Response:
    """Show how much there was on each of some days, how fast answers were, and what went wrong."""
    chosen = _range(query)
    first, last = chosen.moments()
    with deadline(READ_SECONDS):
        found = analytics.tallies(
            first, last, access().channels, communication_type=query.type or "", channel_id=query.channel or ""
        )
        counts = gather(chosen.days, ((one.day.date(), one.communication_type, one.tally) for one in found))
        until = analytics.counted().until
        of_flows = funnels(
            runtime().flows, first, last + timedelta(days=1), access().channels,
            communication_type=query.type or "", channel_id=query.channel or "",
        )  # fmt: skip
    stats = _stats(counts, chosen, until, of_flows)
    return Response(stats.model_dump_json(by_alias=True), content_type="application/json")


def _range(query: StatsQuery) -> Range:
    given = {"from": query.since, "to": query.until}
    try:
        return ranges.read({name: str(day) for name, day in given.items() if day}, runtime().clock.now())
    except BadRange as error:
        raise Refused(409, "bad_range", str(error), field="query.from") from None


def _stats(counts: Counts, chosen: Range, until: Any, of_flows: Sequence[Funnel]) -> Stats:
    days = [
        DayAmounts(day=day, types=_types(counts, day), **_amounts(counts.on(day)).model_dump()) for day in counts.days
    ]
    ends = {"from": chosen.first, "to": chosen.last}
    told = [_flow(one) for one in of_flows]
    total, hours = _amounts(counts.in_all), counts.in_all.hours
    return Stats(counted_until=until, total=total, hours=hours, days=days, flows=told, **ends)


def _flow(one: Funnel) -> FlowAmounts:
    steps = [
        FlowStepAmounts(name=stage.step, reached=stage.reached, abandoned=stage.abandoned, canceled=stage.canceled)
        for stage in one.stages
    ]
    ends = {name: getattr(one, name) for name in ("begun", "running", "completed", "abandoned", "canceled")}
    return FlowAmounts(flow=one.flow, steps=steps, **ends)


def _types(counts: Counts, day: date) -> list[TypeAmounts]:
    return [
        TypeAmounts(communication_type=kind, messages=messages, sessions=counts.sessions.get((day, kind), 0))
        for kind in counts.types
        if (messages := counts.messages.get((day, kind), 0))
    ]


def _amounts(tally: Tally) -> Amounts:
    delivered, failed = rates(tally) or (None, None)
    return Amounts(
        received=tally.inbound,
        sent_by_bot=tally.bot,
        sent_by_people=tally.human,
        sent_by_gateway=tally.system,
        sessions=tally.sessions,
        failed_answers=tally.failed_answers,
        decisions=dict(tally.decisions),
        statuses=dict(tally.statuses),
        delivered_share=delivered,
        failed_share=failed,
        bot=_answers(tally.bot_times),
        people=_answers(tally.human_times),
        errors=[ErrorCount(code=code, messages=n, meaning=explain(code)) for code, n in tally.errors.most_common()],
    )


def _answers(times: Counter[int]) -> Answers:
    p50, p95 = (percentile(times, share) for share in (0.5, 0.95))
    return Answers(answers=times.total(), p50_seconds=_seconds(p50), p95_seconds=_seconds(p95))


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else float(f"{milliseconds / 1000:.3g}")
