"""The page on thresholds: how the stored history would have been cut at another."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from flask import abort, render_template, request, url_for
from flask.typing import ResponseReturnValue

from gateway.admin import gap_chart, listed
from gateway.admin.blueprint import bp
from gateway.admin.gap_chart import Chart
from gateway.admin.login import access, runtime
from gateway.channels import CHANNELS
from gateway.conversation import replay, whatif
from gateway.conversation.replay import Change, Changes
from gateway.conversation.whatif import History, Line, Question
from gateway.core.gaps import DAY, HOUR, MINUTE, NEVER, BadThreshold, in_words, read_threshold
from gateway.core.times import spoken
from gateway.core.whatif import USUAL, Suggestion, cut, histogram, suggest
from gateway.store.connection import deadline

PAGE_SIZE = 25

# A whole history is read at once, and nobody on the phone waits for it.
READ_SECONDS = 10

SPANS = {"": "All of it", "7d": "7 days", "30d": "30 days", "90d": "90 days"}

# What the slider stops at, in seconds.
STEPS = (
    *(0, 5, 10, 15, 20, 30, 45),
    *(round(minutes * MINUTE) for minutes in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 45, 50)),
    *(round(hours * HOUR) for hours in (1, 1.5, 2, 3, 4, 6, 8, 12, 18)),
    *(days * DAY for days in (1, 2, 3, 7)),
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the address asks for; `threshold` None is today's, `refusal` says why another could not be read."""

    kind: str
    number: str
    since: str
    cursor: str
    written: str
    threshold: float | None = None
    refusal: str = ""

    def link(self, **changes: Any) -> str:
        """Give the address of this page with other wishes; another wish begins its list anew."""
        wishes = {"threshold": self.written, "type": self.kind, "number": self.number, "since": self.since}
        return url_for(".what_if", **{name: value for name, value in (wishes | changes).items() if value})


@bp.get("/whatif")
def what_if() -> ResponseReturnValue:
    """Show what another threshold would have made of the stored history."""
    wanted, now = _wanted(), runtime().clock.now()
    since = now.date() - timedelta(days=int(wanted.since[:-1])) if wanted.since else None
    with deadline(READ_SECONDS):
        history = _look(wanted, since)
        threshold = _today(history) if wanted.threshold is None else wanted.threshold
        changes = _changes(history, threshold, since, wanted.cursor)
    shown = _page(history, threshold) | {"changes": [_row(change) for change in changes.changes]}
    page = render_template(
        "whatif.html", wanted=wanted, history=history, next_cursor=changes.next_cursor, now=now,
        spans=SPANS, steps=STEPS, in_words=in_words, is_never=math.isinf, **_choices(history), **shown,
    )  # fmt: skip
    return page, 400 if wanted.refusal else 200


def _wanted() -> Wanted:
    given = request.args
    kind, since, written = given.get("type", ""), given.get("since", ""), given.get("threshold", "").strip()
    if kind and kind not in CHANNELS:
        abort(404, "There is no channel of that type.")
    if since not in SPANS:
        abort(400, f"The span can be {', '.join(span for span in SPANS if span)}, or nothing for all of it.")
    wanted = Wanted(kind, given.get("number", ""), since, given.get("cursor", ""), written)
    try:
        threshold = read_threshold(written) if written else None
    except BadThreshold as error:
        return Wanted(kind, wanted.number, since, "", written, None, str(error))
    return Wanted(kind, wanted.number, since, wanted.cursor, written, threshold)


def _look(wanted: Wanted, since: date | None) -> History:
    kinds, numbers = [wanted.kind] if wanted.kind else [], [wanted.number] if wanted.number else []
    history = whatif.look(runtime(), Question(access().channels, kinds, numbers, since))
    if wanted.number and all(line.number != wanted.number for line in history.known):
        abort(404, "There is no such number of yours.")
    return history


def _today(history: History) -> float:
    """Give the threshold most messages were judged by, as it is today, if it is one that can be asked for."""
    busiest = max(history.lines, key=lambda line: line.tally.messages, default=None)
    try:
        return read_threshold(f"{busiest.threshold:g}".replace("inf", "never")) if busiest else USUAL[2]
    except BadThreshold:
        return USUAL[2]


def _changes(history: History, threshold: float, since: date | None, cursor: str) -> Changes:
    try:
        return replay.changes(
            runtime(), history, threshold, channels=access().channels, limit=PAGE_SIZE, since=since, cursor=cursor
        )
    except ValueError:
        abort(400, "This address names no page of the list. Start again from the newest sessions.")


def _page(history: History, threshold: float) -> dict[str, Any]:
    tally, suggestion = history.tally, suggest(history.tally.gaps)
    thresholds = sorted({*USUAL, *(line.threshold for line in history.lines), threshold, suggestion.threshold or 60})
    # Today's may be finer than pauses are counted; then the row of what is stored stands for it.
    cuts = [cut(tally, one, history.days) for one in thresholds if _is_exact(one)]
    return {
        "tally": tally,
        "threshold": threshold,
        "chosen": cut(tally, threshold, history.days),
        "cuts": cuts,
        "now_at": {line.threshold for line in history.lines},
        "suggestion": suggestion,
        "buckets": [(gap_chart.describe(one), one.gaps) for one in histogram(tally.gaps)],
        "charts": _charts(history, threshold, suggestion),
        "lines": [_line(line, threshold) for line in history.lines if line.tally.messages],
    }


def _is_exact(threshold: float) -> bool:
    try:
        return threshold == NEVER or read_threshold(f"{threshold:g}") == threshold
    except BadThreshold:
        return False


def _charts(history: History, threshold: float, suggestion: Suggestion) -> list[Chart]:
    buckets = histogram(history.tally.gaps)
    today = {line.threshold for line in history.lines if line.tally.messages}
    marks = {"chosen": threshold}
    if len(today) == 1:
        marks["now"] = today.pop()
    if suggestion.threshold:
        marks["suggested"] = suggestion.threshold
    sizes: Sequence[tuple[str, int, int]] = (("wide", 960, 250), ("narrow", 340, 230))
    return [gap_chart.draw(buckets, marks, size=size, width=w, height=h) for size, w, h in sizes] if buckets else []


@dataclass(frozen=True, slots=True)
class ShownLine:
    """One channel as the page shows it."""

    type: str
    name: str
    number: str
    now: str
    messages: int
    stored: int
    sessions: int
    suggestion: Suggestion


def _line(line: Line, threshold: float) -> ShownLine:
    kind, tally = line.channel.communication_type, line.tally
    return ShownLine(
        kind, _name(kind), line.number or line.channel.name, in_words(line.threshold),
        tally.messages, tally.stored, tally.sessions(threshold), suggest(tally.gaps),
    )  # fmt: skip


def _name(kind: str) -> str:
    return CHANNELS[kind].name if kind in CHANNELS else kind


def _choices(history: History) -> dict[str, Any]:
    kinds = sorted({line.channel.communication_type for line in history.known} & set(CHANNELS))
    return {
        "kinds": {kind: CHANNELS[kind].name for kind in kinds},
        "numbers": sorted({line.number for line in history.known if line.number}),
    }


@dataclass(frozen=True, slots=True)
class ShownChange:
    """One session that would change, in words."""

    splits: bool
    session: listed.Row
    before: listed.Row | None
    at: datetime
    pause: str
    pieces: tuple[int, ...]


def _row(change: Change) -> ShownChange:
    now = runtime().clock.now()
    return ShownChange(
        splits=change.splits,
        session=listed.row(change.session, now),
        before=listed.row(change.before, now) if change.before else None,
        at=change.at,
        pause=in_words(change.gap_seconds) if change.gap_seconds >= 1 else spoken(round(change.gap_seconds * 1000)),
        pieces=change.pieces,
    )
