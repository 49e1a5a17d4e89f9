"""What was counted on some days, added up over channels, and what can be said of it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from gateway.channels import CHANNELS
from gateway.core.daily import Tally, total

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


def with_status(tally: Tally, statuses: Sequence[str]) -> int:
    """Count the messages that came as far as one of these statuses."""
    return sum(tally.statuses[status] for status in statuses)


def rates(tally: Tally) -> tuple[float, float] | None:
    """Give the shares that were delivered and that failed, of all whose end is known; None where none is."""
    delivered, failed = with_status(tally, DELIVERED), with_status(tally, FAILED)
    known = delivered + failed
    return (delivered / known, failed / known) if known else None
