"""What the stored history would have been at other thresholds, and the counting a worker does so that this is quick."""

import math
import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from gateway.conversation.runtime import Runtime
from gateway.core.gaps import NEVER, Tally
from gateway.core.messages import Channel
from gateway.core.participant import address
from gateway.core.times import seconds
from gateway.logs import log
from gateway.store import channels as store_channels
from gateway.store import gaps, turns
from gateway.store.connection import deadline
from gateway.store.gaps import Chunk
from gateway.store.isolation import Channels

JOB = "gaps"
LEASE = timedelta(minutes=2)

# How long after a message was stored, by its own clock, it may still be on its way into the database.
QUIET = timedelta(seconds=10)

# How many chunks a pass looks at again: two hundred are a million messages.
CHECKED = 25

# Counting a chunk takes a tenth of a second, on a busy machine a few.
STEP_SECONDS = 60


def keep_counted(runtime: Runtime, is_stopping: Callable[[], bool] = lambda: False) -> int:
    """Count the pauses stored since the last pass, and some old ones again; gives how many chunks had changed.

    One process at a time does it; another gives up at once.
    """
    owner, now = secrets.token_hex(8), runtime.clock.now()
    with deadline():
        if not turns.take(JOB, owner, now, lease=now + LEASE, due_only=False):
            return 0
    try:
        return _count(runtime, owner, is_stopping)
    finally:
        with deadline():
            turns.give_back(JOB, owner)


def _count(runtime: Runtime, owner: str, is_stopping: Callable[[], bool]) -> int:
    more = True
    while more and not is_stopping():
        with deadline(STEP_SECONDS):
            now = runtime.clock.now()
            if not turns.renew(JOB, owner, now + LEASE):
                return 0
            more = gaps.count_on(now - QUIET)
    with deadline(STEP_SECONDS):
        changed = gaps.check(CHECKED, runtime.clock.now())
    if changed:
        log.info("gaps_counted_again", chunks=changed)
    return changed


def pause_counting(runtime: Runtime, owner: str) -> None:
    """Keep workers from counting for a while, as far as none of them does: much is about to be stored out of order."""
    now = runtime.clock.now()
    if not turns.renew(JOB, owner, now + LEASE):
        turns.take(JOB, owner, now, lease=now + LEASE, due_only=False)


def count_again_from(stored: datetime, owner: str) -> None:
    """Let workers count again all that was stored since a moment."""
    gaps.count_again_from(stored)
    turns.give_back(JOB, owner)


def count_anew(runtime: Runtime) -> None:
    """Count the pauses of the whole history again."""
    with deadline(STEP_SECONDS):
        gaps.count_anew()
    keep_counted(runtime)


@dataclass(frozen=True, slots=True)
class Question:
    """Which part of the history: of these channels (None is all), types and numbers (none is all), and which days.

    Both days are included.
    """

    channels: Channels = None
    types: Collection[str] = ()
    numbers: Collection[str] = ()
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One channel with what was counted on it. `threshold` is today's, in seconds; infinite is never."""

    channel: Channel
    number: str
    threshold: float
    tally: Tally


@dataclass(frozen=True, slots=True)
class History:
    """Counted pauses. `lines` are the channels asked for, `known` all that the asker may see.

    `as_of` is None where nothing is counted yet; `waiting` tells that a worker still has to count some.
    """

    lines: list[Line]
    known: list[Line]
    chunks: list[Chunk]
    days: int
    as_of: datetime | None
    waiting: bool

    @property
    def tally(self) -> Tally:
        """Add up the channels asked for."""
        return total(self.lines)


def total(lines: Sequence[Line]) -> Tally:
    """Add up some channels."""
    tally = Tally()
    for line in lines:
        tally.include(line.tally)
    return tally


def look(runtime: Runtime, question: Question) -> History:
    """Read what is counted of a part of the history."""
    now = runtime.clock.now()
    counted = gaps.read(question.channels, now, since=question.since, until=question.until)
    tallies = gaps.by_channel(counted.chunks)
    known = _lines(runtime, question.channels, tallies)
    wanted = {address(number).identity for number in question.numbers}
    lines = [
        line
        for line in known
        if (not question.types or line.channel.communication_type in question.types)
        and (not wanted or address(line.number).identity in wanted)
    ]
    ids = {line.channel.id for line in lines}
    days = [part.day.date() for chunk in counted.chunks for part in chunk.parts if part.channel_id in ids]
    last = min(question.until or now.date(), now.date())
    spanned = (max(last, max(days)) - min(days)).days + 1 if days else 0
    return History(lines, known, counted.chunks, spanned, counted.as_of, counted.waiting)


def _lines(runtime: Runtime, seen: Channels, tallies: dict[str, Tally]) -> list[Line]:
    channels, numbers = store_channels.by_id(), store_channels.numbers()
    for channel_id in tallies:
        channels.setdefault(channel_id, Channel(channel_id, "", name=channel_id or "(no channel)"))
    return [
        Line(channel, numbers.get(channel.id, ""), _threshold(runtime, channel), tallies.get(channel.id, Tally()))
        for channel in sorted(channels.values(), key=lambda one: (one.communication_type, one.name, one.id))
        if seen is None or channel.id in seen
    ]


def _threshold(runtime: Runtime, channel: Channel) -> float:
    milliseconds = runtime.policy_for(channel).threshold_ms
    return NEVER if milliseconds is None else seconds(milliseconds)


def as_policy(threshold: float) -> int | None:
    """Give a threshold in seconds as decisions take it."""
    return None if math.isinf(threshold) else round(threshold * 1000)
