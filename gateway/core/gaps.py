"""Pauses before messages, counted so that sessions can be counted at any threshold without reading messages again.

A message's pause is stored with its decision. Under another threshold it is still measured from the same message,
so a sender has as many sessions as messages that open one at any threshold, plus pauses longer than the threshold.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.core.errors import GatewayError
from gateway.core.sessions import Kind, Rule

MINUTE, HOUR, DAY = 60, 3600, 86_400

# Up to where pauses are told apart how finely, in seconds; beyond the last by the day. Finer would be of no use to
# anybody, and would make a million messages take twice as long.
RESOLUTION = ((2 * MINUTE, 1), (15 * MINUTE, 5), (HOUR, 15), (DAY, 5 * MINUTE), (30 * DAY, HOUR))
_IN_WORDS = "by the second to 2 min, by 5 s to 15 min, by 15 s to an hour, by 5 min to a day, by the hour to 30 days"

# The threshold that never rolls over.
NEVER = math.inf

# A century: MongoDB compares with 64 bits at most.
LONGEST = 36_500 * DAY

# A turn of a call stays in its call at any threshold.
_IN_CALL = frozenset({Rule.SAME_CALL})
# These joined for another reason than the pause; only threshold 0 gives them a session of their own.
_HELD = frozenset({Rule.LIVE_CALL, Rule.INSIDE_SESSION, Rule.JOINS_NEXT})
# These opened a session for another reason than the pause.
_OPENERS = frozenset({Rule.FIRST_MESSAGE, Rule.BEFORE_FIRST, Rule.ASKED_FOR, Rule.CLOSED_FOR_GOOD})
_LATE = frozenset({Rule.INSIDE_SESSION, Rule.JOINS_NEXT, Rule.BEFORE_FIRST})


class BadThreshold(GatewayError):
    """A threshold that cannot be read, or is finer than pauses are counted; names what was given and what would do."""


def bin_of(seconds: float) -> int:
    """Give the bin of a pause, named by its upper end in seconds, which belongs to it (as in invariant I1)."""
    for until, step in RESOLUTION:
        if seconds <= until:
            return math.ceil(seconds / step) * step
    return math.ceil(seconds / DAY) * DAY


def read_threshold(text: str) -> float:
    """Read a threshold in seconds, or `never`. BadThreshold if it lies between two bins."""
    text = text.strip().lower()
    if text == "never":
        return NEVER
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise BadThreshold(f"{text!r} is no threshold. Write seconds, such as 300, or never.")
    if seconds > LONGEST:
        raise BadThreshold(f"{text} s is longer than any pause. Write seconds up to {LONGEST}, or never.")
    if bin_of(seconds) != seconds:
        near = bin_of(seconds)
        raise BadThreshold(f"{text} s is finer than pauses are counted: {_IN_WORDS}. The next is {near}.")
    return int(seconds)


def in_words(seconds: float) -> str:
    """Write a threshold or the end of a bin as people say it: `5 min`, `1 h 30 min`, `never`."""
    if math.isinf(seconds):
        return "never"
    parts, rest = [], round(seconds)
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (1, "s")):
        whole, rest = divmod(rest, unit)
        if whole:
            parts.append(f"{whole} {name}")
    return " ".join(parts) or "0 s"


@dataclass(slots=True)
class Tally:
    """What messages do to the number of sessions. `opened` and `joined` count pauses by bin, as they were decided.

    `always` open a session at any threshold, `held` join one at any but 0; turns in a call only count as `messages`,
    which are those of both directions. `late` came after a message that was sent later.
    """

    messages: int = 0
    always: int = 0
    held: int = 0
    late: int = 0
    opened: Counter[int] = field(default_factory=Counter)
    joined: Counter[int] = field(default_factory=Counter)

    def add(self, decision: Mapping[str, Any] | None) -> None:
        """Count one message, by its stored decision; one that we sent has none."""
        self.messages += 1
        if not decision:
            return
        rule, gap, opens = decision.get("rule"), decision.get("gap_seconds"), decision.get("kind") != Kind.REUSED
        self.late += rule in _LATE or "next_gap_seconds" in decision
        if rule in _IN_CALL:
            return
        if opens and (gap is None or rule in _OPENERS):
            self.always += 1
        elif rule in _HELD or gap is None:
            self.held += 1
        else:
            (self.opened if opens else self.joined)[bin_of(gap)] += 1

    def include(self, other: "Tally") -> None:
        """Add all that another has counted."""
        self.messages += other.messages
        self.always += other.always
        self.held += other.held
        self.late += other.late
        self.opened.update(other.opened)
        self.joined.update(other.joined)

    @property
    def gaps(self) -> Counter[int]:
        """Give all pauses by bin."""
        return self.opened + self.joined

    @property
    def stored(self) -> int:
        """Give how many sessions were opened."""
        return self.always + self.opened.total()

    def sessions(self, threshold: float) -> int:
        """Give how many sessions there would have been."""
        return self.stored - self.merging(threshold) + self.splitting(threshold)

    def merging(self, threshold: float) -> int:
        """Give how many stored sessions would have joined the one before. At 0 none does, not even at no pause."""
        return sum(count for upper, count in self.opened.items() if upper <= threshold) if threshold else 0

    def splitting(self, threshold: float) -> int:
        """Give how many messages that joined a session would have opened one."""
        if not threshold:
            return self.held + self.joined.total()
        return sum(count for upper, count in self.joined.items() if upper > threshold)
