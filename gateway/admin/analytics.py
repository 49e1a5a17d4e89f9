"""Analytics: how much, how fast, and what went wrong, over a range of days; each chart as CSV too."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask import Response, abort, render_template, request
from flask.typing import ResponseReturnValue

from gateway.admin import counted, funnels
from gateway.admin.blueprint import bp
from gateway.admin.charts import CHARTS, Chart
from gateway.admin.login import access, runtime
from gateway.channels import CHANNELS
from gateway.conversation.counted import Counts, gather
from gateway.conversation.funnels import funnels as gather_funnels
from gateway.core import ranges, spreadsheet
from gateway.core.messages import Channel
from gateway.core.ranges import BadRange, Range
from gateway.store import analytics, channels
from gateway.store.connection import deadline

# Counts of 400 days on a hundred channels are some megabytes.
READ_SECONDS = 5

# The worker counts every minute.
LATE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Choice:
    """What the charts are about."""

    range: Range
    type: str
    channel: str

    @property
    def arguments(self) -> dict[str, str]:
        """Give it as an address has it."""
        filters = {"type": self.type, "channel": self.channel}
        return self.range.arguments | {name: value for name, value in filters.items() if value}


@bp.get("/analytics")
def analytics_page() -> ResponseReturnValue:
    """Show all charts of the chosen days and channels."""
    try:
        choice, refusal = _choice(), ""
    except BadRange as error:
        choice, refusal = Choice(ranges.last_days(ranges.DEFAULT, runtime().clock.now()), "", ""), str(error)
    return render_template("analytics.html", refusal=refusal, **_page(choice)), 400 if refusal else 200


def _page(choice: Choice) -> dict[str, Any]:
    now = runtime().clock.now()
    with deadline(READ_SECONDS):
        counts, state, known = _counts(choice), analytics.counted(), _known()
        of_flows = _flows(choice)
    return {
        "choice": choice,
        "numbers": sorted(known.values(), key=lambda channel: (channel.communication_type, channel.name)),
        "types": CHANNELS,
        "presets": ranges.PRESETS,
        "charts": [*(make(counts) for make in CHARTS.values()), *([of_flows] if of_flows else [])],
        "figures": counted.figures(counts),
        "is_empty": not counts.by_day,
        "state": state,
        "is_late": state.until is not None and now - state.until > LATE,
        "now": now,
    }


def _choice() -> Choice:
    """Read what is asked for; 404 for a type there is not and a number whoever asks does not know of."""
    chosen, number = request.args.get("type", ""), request.args.get("channel", "")
    if chosen and chosen not in CHANNELS:
        abort(404, "There is no channel of that type.")
    if number:
        with deadline():
            if number not in _known():
                abort(404, "There is no such number here.")
    return Choice(ranges.read(request.args, runtime().clock.now()), chosen, number)


def _known() -> dict[str, Channel]:
    """Give the channels whoever asks knows of."""
    return {channel_id: channel for channel_id, channel in channels.by_id().items() if access().sees(channel_id)}


def _counts(choice: Choice) -> Counts:
    first, last = choice.range.moments()
    found = analytics.tallies(first, last, access().channels, communication_type=choice.type, channel_id=choice.channel)
    return gather(choice.range.days, ((one.day.date(), one.communication_type, one.tally) for one in found))


def _flows(choice: Choice) -> Chart | None:
    first, last = choice.range.moments()
    found = gather_funnels(
        runtime().flows, first, last + timedelta(days=1), access().channels,
        communication_type=choice.type, channel_id=choice.channel,
    )  # fmt: skip
    return funnels.chart(found)


@bp.get("/analytics/<name>.csv")
def analytics_csv(name: str) -> Response:
    """Give what a chart shows as a file."""
    if name not in CHARTS and name != funnels.NAME:
        abort(404, "There is no such chart.")
    try:
        choice = _choice()
    except BadRange as error:
        abort(400, str(error))
    with deadline(READ_SECONDS):
        chart = _flows(choice) if name == funnels.NAME else CHARTS[name](_counts(choice))
    filename = f"{name}-{choice.range.first}-{choice.range.last}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{filename}"'}
    return Response(_lines(chart), content_type="text/csv; charset=utf-8", headers=headers)


def _lines(chart: Chart | None) -> Iterator[str]:
    yield spreadsheet.BYTE_ORDER_MARK
    if chart:
        yield spreadsheet.line(chart.columns)
        yield from map(spreadsheet.line, chart.rows)
