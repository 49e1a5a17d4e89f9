"""What was counted on the chosen days, added up over channels, and the numbers that say most of it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from gateway.channels import CHANNELS
from gateway.core.daily import Tally, percentile, total
from gateway.core.times import spoken

DELIVERED = ("delivered", "read", "partially_delivered")
ON_THE_WAY = ("accepted", "scheduled", "queued", "sending", "sent")
FAILED = ("failed", "undelivered")


@dataclass(frozen=True, slots=True)
class Counts:
    """What was counted: on each of the days and in all, and of messages and sessions by type of channel too."""

    days: Sequence[date]
    by_day: Mapping[date, Tally]
    in_all: Tally
    messages: Mapping[tuple[date, str], int]
    sessions: Mapping[tuple[date, str], int]
    types: Sequence[str]

    def on(self, day: date) -> Tally:
        """Give the counts of a day."""
        return self.by_day.get(day) or Tally()


def gather(days: Sequence[date], tallies: Iterable[tuple[date, str, Tally]]) -> Counts:
    """Add up what was counted on each channel."""
    by_day: dict[date, Tally] = {}
    messages, sessions = Counter[tuple[date, str]](), Counter[tuple[date, str]]()
    for day, kind, tally in tallies:
        if day in by_day:
            by_day[day] += tally
        else:
            by_day[day] = tally
        messages[day, kind] += tally.inbound + tally.outbound
        sessions[day, kind] += tally.sessions
    found = {kind for _, kind in messages}
    types = [*(kind for kind in CHANNELS if kind in found), *sorted(found - set(CHANNELS))]
    return Counts(days, by_day, total(by_day.values()), messages, sessions, types or list(CHANNELS))


def duration(milliseconds: float | None) -> str:
    """Write a time for people, with no more digits than are known: `0.84 s`, `5 min 2 s`; a dash for none."""
    if milliseconds is None:
        return "–"
    if milliseconds < 1:
        return "under 1 ms"
    if milliseconds < 60_000:
        return f"{float(f'{milliseconds / 1000:.2g}'):g} s"
    return spoken(round(milliseconds / 1000) * 1000)


def with_status(tally: Tally, statuses: Sequence[str]) -> int:
    """Count the messages that came as far as one of these statuses."""
    return sum(tally.statuses[status] for status in statuses)


def rates(tally: Tally) -> tuple[float, float] | None:
    """Give the shares that were delivered and that failed, of all whose end is known; None where none is."""
    delivered, failed = with_status(tally, DELIVERED), with_status(tally, FAILED)
    known = delivered + failed
    return (delivered / known, failed / known) if known else None


@dataclass(frozen=True, slots=True)
class Figure:
    """One number for the top of the page."""

    name: str
    value: str
    beside: str = ""


def figures(counts: Counts) -> list[Figure]:
    """Give the numbers that say most."""
    tally = counts.in_all
    share = rates(tally)
    bot, human = (percentile(times, 0.5) for times in (tally.bot_times, tally.human_times))
    return [
        Figure("Received", f"{tally.inbound:,}", "messages"),
        Figure("Sent", f"{tally.outbound:,}", f"{tally.human:,} by people"),
        Figure("New sessions", f"{tally.sessions:,}"),
        Figure("Bot answers", duration(bot), "half within"),
        Figure("People answer", duration(human), "half within"),
        Figure("Delivered", f"{share[0]:.1%}" if share else "–", f"{share[1]:.1%} failed" if share else ""),
    ]
