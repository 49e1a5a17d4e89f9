"""A day in numbers: messages counted one by one, for each channel; days and channels add up.

How long answers took is kept as a histogram whose classes grow by 2 %, so that percentiles over any days and channels
are within 1 % of what sorting all of them would give. Everything else is exact.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta

from gateway.core.messages import HOSTED
from gateway.core.times import ms_between

DAY = timedelta(days=1)

# What becomes of a message is told within hours, that it was read within days: then a day is not counted again.
SETTLED = timedelta(days=8)

BOT, HUMAN = "ai", "agent"

_STEP = math.log(1.02)


@dataclass(frozen=True, slots=True)
class Happened:
    """A message as far as it is counted. Whoever wrote only STOP waits for no answer: then `waits` is off."""

    session_id: str
    channel_id: str
    communication_type: str
    sender: str
    at: datetime
    is_inbound: bool = False
    waits: bool = True
    status: str | None = None
    error_code: str | None = None
    has_error: bool = False
    decision: str | None = None
    processing_ms: float = 0


@dataclass(frozen=True, slots=True)
class Begun:
    """A session that began on a day."""

    channel_id: str
    communication_type: str


def _hours() -> list[int]:
    return [0] * 24


@dataclass(slots=True)
class Tally:
    """How much there was of what. `hours` are messages received by the hour of the day, in UTC."""

    inbound: int = 0
    bot: int = 0
    human: int = 0
    system: int = 0
    sessions: int = 0
    failed_answers: int = 0
    hours: list[int] = field(default_factory=_hours)
    decisions: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    bot_times: Counter[int] = field(default_factory=Counter)
    human_times: Counter[int] = field(default_factory=Counter)

    @property
    def outbound(self) -> int:
        """Give the messages of ours."""
        return self.bot + self.human + self.system

    def __iadd__(self, other: "Tally") -> "Tally":
        for one in fields(self):
            mine, more = getattr(self, one.name), getattr(other, one.name)
            if isinstance(mine, list):
                self.hours = [a + b for a, b in zip(mine, more, strict=True)]
            elif isinstance(mine, Counter):
                mine.update(more)
            else:
                setattr(self, one.name, mine + more)
        return self


def total(tallies: Iterable[Tally]) -> Tally:
    """Add up."""
    result = Tally()
    for tally in tallies:
        result += tally
    return result


def day_of(moment: datetime) -> datetime:
    """Give the beginning of a moment's day, in UTC."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def is_stale(day: datetime, counted_at: datetime, now: datetime) -> bool:
    """Tell whether a day should be counted again though nothing new was stored: delivery statuses come later."""
    over = day + DAY
    if now >= over + SETTLED:
        return counted_at < over + SETTLED
    if now < over:
        return now - counted_at >= timedelta(minutes=5)
    return now - counted_at >= (timedelta(minutes=30) if now < over + DAY else timedelta(hours=6))


def time_class(milliseconds: float) -> int:
    """Give the class of a time: 0 is under a millisecond."""
    return 0 if milliseconds < 1 else 1 + int(math.log(milliseconds) / _STEP)


def percentile(times: Counter[int], share: float) -> float | None:
    """Give the time in ms that this share of all times does not exceed (nearest rank, within 1 %); None of none."""
    wanted, seen = math.ceil(share * times.total()), 0
    for one in sorted(times):
        seen += times[one]
        if seen >= wanted:
            return math.exp((one - 0.5) * _STEP) if one else 0.0
    return None


@dataclass(slots=True)
class Waiting:
    """Whether somebody waits in a session, since when, and who of us answered since they last wrote."""

    since: datetime | None = None
    last: datetime | None = None
    answered: frozenset[str] = frozenset()

    def take(self, message: Happened) -> float | None:
        """Take the next message of the session; gives the ms that this one let somebody wait, if it is an answer.

        The wait begins with the first message nobody has answered; for a person who answers after the bot did, with
        the last one. Further messages of the same author answer nothing.
        """
        if message.is_inbound:
            if message.waits:
                self.since, self.last = self.since or message.at, message.at
                self.answered = frozenset()
            return None
        if message.sender not in (BOT, HUMAN) or message.sender in self.answered:
            return None
        began, self.since = self.since or self.last, None
        self.answered |= {message.sender}
        # An answer that went out with the webhook carries the moment of its question; what it took is beside it.
        return None if began is None else max(ms_between(began, message.at), message.processing_ms)


class Count:
    """The count of one day. `before` gives the messages of a session that came just before the day, oldest first."""

    def __init__(self, before: Callable[[str], Sequence[Happened]]) -> None:
        self.tallies: dict[tuple[str, str], Tally] = {}
        self._before, self._waiting = before, dict[str, Waiting]()

    @property
    def session_ids(self) -> list[str]:
        """Give the sessions that had a message."""
        return list(self._waiting)

    def add(self, message: Happened) -> None:
        """Count the next message of the day."""
        tally = self._tally(message.channel_id, message.communication_type)
        if message.is_inbound:
            tally.inbound += 1
            tally.hours[message.at.hour] += 1
        else:
            self._ours(tally, message)
        if message.decision:
            tally.decisions[message.decision] += 1
        took = self._session(message).take(message)
        if took is not None:
            (tally.bot_times if message.sender == BOT else tally.human_times)[time_class(took)] += 1

    def begin(self, session: Begun) -> None:
        """Count a session that began on the day."""
        self._tally(session.channel_id, session.communication_type).sessions += 1

    def _tally(self, channel_id: str, communication_type: str) -> Tally:
        key = (channel_id, communication_type)
        if key not in self.tallies:
            self.tallies[key] = Tally()
        return self.tallies[key]

    def _ours(self, tally: Tally, message: Happened) -> None:
        name = {BOT: "bot", HUMAN: "human"}.get(message.sender, "system")
        setattr(tally, name, getattr(tally, name) + 1)
        # Of what nobody carries there is nothing to be told: it would only make the share delivered look better.
        tally.statuses["" if message.communication_type in HOSTED else message.status or ""] += 1
        tally.failed_answers += message.has_error
        if message.error_code:
            tally.errors[message.error_code] += 1

    def _session(self, message: Happened) -> Waiting:
        waiting = self._waiting.get(message.session_id)
        if waiting is None:
            waiting = self._waiting[message.session_id] = Waiting()
            if not message.is_inbound and message.sender in (BOT, HUMAN):
                for earlier in self._before(message.session_id):
                    waiting.take(earlier)
        return waiting
