"""What is shown of the counts: each chart with its table, which is what its CSV file holds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from gateway.admin import drawing
from gateway.admin.counted import duration
from gateway.admin.drawing import Drawing
from gateway.channels import CHANNELS
from gateway.conversation.counted import DELIVERED, FAILED, ON_THE_WAY, Counts, rates, with_status
from gateway.core.codes import explain, link
from gateway.core.daily import percentile

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, slots=True)
class Series:
    """One of the things a chart tells apart; `kind` chooses its colour."""

    kind: str
    name: str
    amount: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart and its table. Where there is nothing to draw, `nothing` says so; one that is a list has no drawing."""

    name: str
    title: str
    note: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    drawing: Drawing | None
    nothing: str
    legend: Sequence[Series] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    is_list: bool = False


def _label(day: date) -> str:
    return f"{day.day} {day:%b}"


def _say(day: date, parts: Sequence[tuple[str, int]]) -> str:
    return f"{day:%a} {_label(day)}: " + ", ".join(f"{name} {count:,}" for name, count in parts)


def _stacked(
    counts: Counts, kinds: Sequence[tuple[str, str]], of: Callable[[date, str], int]
) -> tuple[list[list[Any]], Drawing | None, list[Series]]:
    """Give rows, drawing and legend of what is counted by day and kind."""
    table = [[of(day, kind) for kind, _ in kinds] for day in counts.days]
    sums = [sum(column) for column in zip(*table, strict=True)]
    legend = [Series(kind, name, f"{amount:,}") for (kind, name), amount in zip(kinds, sums, strict=True)]
    rows = [[f"{day}", *row, sum(row)] for day, row in zip(counts.days, table, strict=True)]
    if not any(sums):
        return rows, None, legend
    names = [name for _, name in kinds]
    drawn = drawing.bars(
        [_say(day, list(zip(names, row, strict=True))) for day, row in zip(counts.days, table, strict=True)],
        [list(zip((kind for kind, _ in kinds), row, strict=True)) for row in table],
        [_label(day) for day in counts.days],
    )
    return rows, drawn, legend


def _by_type(counts: Counts) -> list[tuple[str, str]]:
    return [(kind, CHANNELS[kind].name if kind in CHANNELS else kind or "Unknown") for kind in counts.types]


def messages(counts: Counts) -> Chart:
    """Messages of both directions, by day and type of channel."""
    kinds = _by_type(counts)
    rows, drawn, legend = _stacked(counts, kinds, lambda day, kind: counts.messages.get((day, kind), 0))
    columns = [
        "day",
        *(name for _, name in kinds),
        "total",
        "received",
        "sent by the bot",
        "by people",
        "by the gateway",
    ]
    detailed = []
    for day, row in zip(counts.days, rows, strict=True):
        of_day = counts.on(day)
        detailed.append([*row, of_day.inbound, of_day.bot, of_day.human, of_day.system])
    note = "Received and sent, by the day they happened."
    return Chart("messages", "Messages per day", note, columns, detailed, drawn, "No messages on these days.", legend)


def sessions(counts: Counts) -> Chart:
    """Sessions by the day they began, and type of channel."""
    kinds = _by_type(counts)
    rows, drawn, legend = _stacked(counts, kinds, lambda day, kind: counts.sessions.get((day, kind), 0))
    columns = ["day", *(name for _, name in kinds), "total"]
    note = "By the day of their first message."
    return Chart(
        "sessions", "New sessions per day", note, columns, rows, drawn, "No session began on these days.", legend
    )


def decisions(counts: Counts) -> Chart:
    """What became of messages that came in: which session they were put in."""
    kinds = [("created", "Created"), ("reused", "Reused"), ("rolled_over", "Rolled over")]
    rows, drawn, legend = _stacked(counts, kinds, lambda day, kind: counts.on(day).decisions[kind])
    note = "What the session finder decided about each message that came in."
    columns = ["day", *(name.lower() for _, name in kinds), "total"]
    return Chart("decisions", "Decisions", note, columns, rows, drawn, "Nothing was decided on these days.", legend)


def _response(name: str, title: str, note: str, counts: Counts, of: str) -> Chart:
    times = [getattr(counts.on(day), of) for day in counts.days]
    shares = (("p50", 0.5, "Half within"), ("p95", 0.95, "95 % within"))
    labels = [_label(day) for day in counts.days]
    values = {kind: [percentile(one, share) for one in times] for kind, share, _ in shares}
    rows = [
        [f"{day}", one.total(), *(_seconds(values[kind][number]) for kind, _, _ in shares)]
        for number, (day, one) in enumerate(zip(counts.days, times, strict=True))
    ]
    everything = getattr(counts.in_all, of)
    legend = [Series(kind, words, duration(percentile(everything, share))) for kind, share, words in shares]
    columns = ["day", "answers", "p50 seconds", "p95 seconds"]
    said = {kind: _say_times(counts.days, words, values[kind]) for kind, _, words in shares}
    drawn = None
    if everything:
        drawn = drawing.times([(kind, values[kind], said[kind]) for kind, _, _ in shares], labels)
    return Chart(name, title, note, columns, rows, drawn, "Nobody was answered so on these days.", legend)


def _say_times(days: Sequence[date], words: str, times: Sequence[float | None]) -> list[str]:
    return [f"{day:%a} {_label(day)}: {words.lower()} {duration(one)}" for day, one in zip(days, times, strict=True)]


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else float(f"{milliseconds / 1000:.3g}")


def response_bot(counts: Counts) -> Chart:
    """How long the bot took."""
    note = "From the first message nobody had answered to the bot's answer."
    return _response("response-bot", "Response time of the bot", note, counts, "bot_times")


def response_human(counts: Counts) -> Chart:
    """How long people took."""
    note = "The same for people; after the bot answered, from the last message on."
    return _response("response-human", "Response time of people", note, counts, "human_times")


def delivery(counts: Counts) -> Chart:
    """What became of what was sent."""
    groups = {"delivered": DELIVERED, "on_the_way": ON_THE_WAY, "failed": FAILED, "canceled": ("canceled",)}
    kinds = [("delivered", "Delivered"), ("on_the_way", "On the way"), ("failed", "Failed"), ("canceled", "Canceled")]
    rows, drawn, legend = _stacked(counts, kinds, lambda day, kind: with_status(counts.on(day), groups[kind]))
    detailed = []
    for day, row in zip(counts.days, rows, strict=True):
        tally, share = counts.on(day), rates(counts.on(day))
        detailed.append(
            [*row, tally.statuses["read"], tally.statuses[""], *(round(one * 100, 2) for one in share or ())]
            + ([] if share else [None, None])
        )
    columns = ["day", "delivered", "on the way", "failed", "canceled", "total", "read", "no report"]
    columns += ["delivered %", "failed %"]
    note = "By the day of the message. Rates are of messages whose end Twilio reported."
    return Chart(
        "delivery", "Delivery", note, columns, detailed, drawn, "Twilio reported on no message of these days.", legend
    )


def errors(counts: Counts) -> Chart:
    """Why messages failed, the most frequent reason first."""
    tally = counts.in_all
    sent = tally.outbound
    rows: list[list[Any]] = [[code, count, explain(code)] for code, count in tally.errors.items()]
    if tally.failed_answers:
        words = "The responder gave no answer; the session says why."
        rows.append(["responder", tally.failed_answers, words])
    rows = [[code, count, _share(count, sent), words] for code, count, words in sorted(rows, key=lambda row: -row[1])]
    note = "Error codes of messages sent, and answers that failed."
    columns = ["code", "messages", "% of sent", "meaning"]
    links = {code: address for code, *_ in rows if (address := link(code))}
    return Chart("errors", "Errors", note, columns, rows, None, "No errors on these days.", links=links, is_list=True)


def _share(count: int, of: int) -> float:
    return float(f"{100 * count / of:.2g}") if of else 0.0


def hours(counts: Counts) -> Chart:
    """When people write and call: a weekday a row, an hour a column."""
    table = [[0] * 24 for _ in WEEKDAYS]
    for day in counts.days:
        table[day.weekday()] = [a + b for a, b in zip(table[day.weekday()], counts.on(day).hours, strict=True)]
    rows = [[day, *row] for day, row in zip(WEEKDAYS, table, strict=True)]
    drawn = None
    if any(map(any, table)):
        words = [
            [f"{day} {hour}:00–{hour + 1}:00: {count:,}" for hour, count in enumerate(row)]
            for day, row in zip(WEEKDAYS, table, strict=True)
        ]
        drawn = drawing.grid(list(zip(WEEKDAYS, table, strict=True)), words)
    columns = ["weekday", *(f"{hour}" for hour in range(24))]
    note = "Messages received by weekday and hour, in UTC. The stronger, the more."
    return Chart("hours", "Busiest hours", note, columns, rows, drawn, "Nobody wrote or called on these days.")


CHARTS: dict[str, Callable[[Counts], Chart]] = {
    "messages": messages,
    "sessions": sessions,
    "decisions": decisions,
    "delivery": delivery,
    "response-bot": response_bot,
    "response-human": response_human,
    "hours": hours,
    "errors": errors,
}
