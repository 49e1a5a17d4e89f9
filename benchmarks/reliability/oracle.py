"""The oracle of the finder: rule T4 of the design over lists, and whether what is stored follows from it.

It knows nothing of the gateway's code. Each sender's messages are replayed by the moment they were received. Where
that does not give what is stored, another order may: two webhooks of one sender that were in flight together may be
stored the other way round, and the second is then filed late. Such an order counts only if each message it moves was
in flight together with those it passes; whatever was acknowledged before another was sent comes before it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

CREATED, REUSED, ROLLED_OVER, OURS = "created", "reused", "rolled_over", "ours"


@dataclass(frozen=True, slots=True)
class Event:
    """A message as it is stored, times in ms: received `at`, in flight from `sent` to `done`, filed in `session`.

    `kind` is what was decided, or `ours` for an answer that came by itself and keeps its session alive.
    """

    id: str
    at: int
    session: str
    kind: str
    sent: float
    done: float


@dataclass(frozen=True, slots=True)
class Finding:
    """What the oracle says of one sender: messages in the wrong session, or only in another order than received."""

    misfiled: tuple[Event, ...] = ()
    reordered: bool = False


class Timeline:
    """A sender's sessions as stored so far: first and last moment of each, in ms."""

    def __init__(self, threshold: int, *, vague: bool = False) -> None:
        self.threshold = threshold
        self.vague = vague
        self.spans: dict[str, tuple[int, int]] = {}

    def agrees(self, event: Event) -> bool:
        """Tell whether the rules file an event where it is stored."""
        if event.kind == OURS:
            return event.session in self.spans
        before, joined = self._place(event.at)
        if joined is not None:
            return (joined, REUSED) == (event.session, event.kind)
        kinds = {CREATED, ROLLED_OVER} if self.vague else {ROLLED_OVER if before else CREATED}
        return event.session not in self.spans and event.kind in kinds

    def add(self, event: Event) -> None:
        """Put an event where it is stored."""
        first, last = self.spans.get(event.session, (event.at, event.at))
        self.spans[event.session] = (first if event.kind == OURS else min(first, event.at), max(last, event.at))

    def _place(self, at: int) -> tuple[bool, str | None]:
        """Tell whether there is a session before this moment, and give the one to join."""
        before = max((one for one in self.spans.items() if one[1][0] <= at), key=lambda one: one[1][0], default=None)
        after = min((one for one in self.spans.items() if one[1][0] > at), key=lambda one: one[1][0], default=None)
        if before and at - before[1][1] <= self.threshold:
            return True, before[0]
        if after and after[1][0] - at <= self.threshold:
            return before is not None, after[0]
        return before is not None, None


def check(events: Iterable[Event], threshold: int, *, vague: bool = False) -> Finding:
    """Compare one sender's stored messages with the rules, `threshold` in ms.

    `vague` is for senders of whom a webhook got lost unacknowledged: it may have opened a session that is gone, so
    a first message may call itself a rollover.
    """
    ordered = sorted(events, key=lambda event: (event.at, event.sent))
    timeline, misfiled = Timeline(threshold, vague=vague), []
    for event in ordered:
        if not timeline.agrees(event):
            misfiled.append(event)
        timeline.add(event)
    if not misfiled:
        return Finding()
    if _some_order_agrees(frozenset(ordered), threshold, vague):
        return Finding(reordered=True)
    return Finding(misfiled=tuple(misfiled))


def _some_order_agrees(events: frozenset[Event], threshold: int, vague: bool) -> bool:
    """Look for an order in which the messages may have been stored that gives what is stored."""
    # What was stored so far is all that counts, not in which order, so no set of what is left is tried twice.
    tried, waiting = set(), [events]
    while waiting:
        left = waiting.pop()
        if not left:
            return True
        if left in tried:
            continue
        tried.add(left)
        timeline = Timeline(threshold, vague=vague)
        for event in events - left:
            timeline.add(event)
        soonest = min(event.done for event in left)
        waiting += [left - {event} for event in left if event.sent <= soonest and timeline.agrees(event)]
    return False
