"""What other thresholds would have made of counted pauses: a table, a histogram, and a value to try with its reason."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from gateway.core.gaps import DAY, HOUR, MINUTE, Tally, in_words

# What the table always shows, in seconds.
USUAL = tuple(minutes * MINUTE for minutes in (1, 2, 5, 10, 15, 30, 60))

_EDGES = (
    *(0, 1, 2, 3, 5, 7, 10, 15, 20, 30, 45),
    *(round(minutes * MINUTE) for minutes in (1, 1.5, 2, 3, 5, 7, 10, 15, 20, 30, 45)),
    *(round(hours * HOUR) for hours in (1, 1.5, 2, 3, 4, 6, 8, 12, 18)),
    *(days * DAY for days in (1, 2, 3, 5, 7, 14, 30)),
)

# Values people would set. A threshold under half a minute or over a day is hardly what anybody means.
_CANDIDATES = (
    *(30, 45),
    *(minutes * MINUTE for minutes in (1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 45)),
    *(hours * HOUR for hours in (1, 2, 3, 4, 6, 8, 12, 18, 24)),
)

# Fewer pauses than this, or fewer on either side of the value, say nothing.
ENOUGH, ENOUGH_BESIDE = 200, 20
# A valley is one if it is no higher than this share of the lower of the two hills beside it.
_CLEAR = 0.6
# Candidates that are as low as the lowest, within this share of the lower hill, count as the same valley.
_AS_LOW = 0.03
# How far a pause reaches when the distribution is smoothed, in doublings.
_REACH = 0.5
_CELLS_A_DOUBLING = 4


@dataclass(frozen=True, slots=True)
class Cut:
    """What one threshold (seconds; infinite is never) would have made of a history."""

    threshold: float
    sessions: int
    merging: int
    splitting: int
    sessions_per_day: float
    messages_per_session: float


def cut(tally: Tally, threshold: float, days: float) -> Cut:
    """Count what a threshold would have made of the messages of so many days."""
    sessions = tally.sessions(threshold)
    return Cut(
        threshold,
        sessions,
        tally.merging(threshold),
        tally.splitting(threshold),
        sessions / days if days else 0.0,
        tally.messages / sessions if sessions else 0.0,
    )


@dataclass(frozen=True, slots=True)
class Bucket:
    """Pauses longer than `lower` and up to `upper` seconds; the last has no end, the first includes its beginning."""

    lower: float
    upper: float
    gaps: int


def histogram(gaps: Counter[int]) -> list[Bucket]:
    """Sort pauses into buckets that widen as they do, up to the longest pause there is."""
    if not gaps:
        return []
    counts = [0] * len(_EDGES)
    for upper, count in gaps.items():
        counts[_bucket(upper)] += count
    ends = [*pairwise(_EDGES), (_EDGES[-1], math.inf)]
    last = max(number for number, count in enumerate(counts) if count)
    return [Bucket(lower, upper, count) for (lower, upper), count in list(zip(ends, counts, strict=True))[: last + 1]]


def _bucket(gap: int) -> int:
    return next((number for number, upper in enumerate(_EDGES[1:]) if gap <= upper), len(_EDGES) - 1)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A threshold to try, in seconds, and why; None where the pauses suggest nothing."""

    threshold: int | None
    reason: str


def suggest(gaps: Counter[int]) -> Suggestion:
    """Suggest the threshold in the valley between pauses inside a conversation and those between two.

    Pauses are compared by their ratio, since twice as long means the same at a minute and at an hour. The valley is
    where the smoothed distribution is lowest compared with the lower of the hills on its two sides.
    """
    total = gaps.total()
    if total < ENOUGH:
        return Suggestion(None, f"Not enough data: {total:,} pauses between messages, and it takes {ENOUGH}.")
    density = _density(gaps)
    clear = [(share, value) for value in _CANDIDATES if (share := _depth(density, value)) <= _CLEAR]
    valleys = [(share, value) for share, value in clear if min(_sides(gaps, value)) >= ENOUGH_BESIDE]
    if clear and not valleys:
        return Suggestion(None, _too_few(gaps, min(clear)[1]))
    if not valleys:
        return Suggestion(
            None,
            "No clear value: the pauses inside conversations and those between them run into each other, so any "
            "threshold would cut some conversations and join others.",
        )
    lowest = min(valleys)[0]
    same = [value for share, value in valleys if share <= lowest + _AS_LOW]
    value = same[(len(same) - 1) // 2]
    return Suggestion(value, _reason(gaps, density, value))


def _reason(gaps: Counter[int], density: Sequence[float], value: int) -> str:
    total, place = gaps.total(), _cell(value)
    near = sum(count for gap, count in gaps.items() if value / 2 < gap <= value * 2)
    before, after = _highest(density[:place]), place + _highest(density[place:])
    return (
        f"Pauses inside a conversation are mostly around {_about(before)}, and people who come back do so mostly after "
        f"about {_about(after)}. In between, pauses of around {in_words(value)} are the rarest: {near:,} of "
        f"{total:,} ({near / total:.1%}) lie between half and double of it, so a threshold there cuts the fewest "
        f"conversations in two, and matters least if it is not quite right."
    )


def _cell(seconds: float) -> int:
    return round(math.log2(max(seconds, 1)) * _CELLS_A_DOUBLING)


def _about(cell: int) -> str:
    """Say a pause roughly, as it is read off a hill."""
    seconds = 2 ** (cell / _CELLS_A_DOUBLING)
    unit = next((unit for unit in (DAY, HOUR, MINUTE) if seconds >= unit), 1)
    return in_words(round(seconds / unit) * unit)


def _density(gaps: Counter[int]) -> list[float]:
    """Give how many pauses there are about each length, smoothed, by cells of equal ratio."""
    counts = Counter[int]()
    for gap, count in gaps.items():
        counts[_cell(gap)] += count
    cells = range(max([*counts, _cell(DAY)]) + 2)
    reach = _REACH * _CELLS_A_DOUBLING
    weights = [math.exp(-((distance / reach) ** 2) / 2) for distance in cells]
    return [sum(count * weights[abs(cell - place)] for cell, count in counts.items()) for place in cells]


def _highest(density: Sequence[float]) -> int:
    return max(range(len(density)), key=density.__getitem__)


def _depth(density: Sequence[float], value: int) -> float:
    """Give how high the distribution is at a value, as a share of the lower hill beside it; 1 or more is no valley."""
    place = _cell(value)
    hill = min(max(density[:place]), max(density[place:]))
    return density[place] / hill if hill else math.inf


def _sides(gaps: Counter[int], value: int) -> tuple[int, int]:
    """Count the pauses up to a value, and those beyond it."""
    shorter = sum(count for gap, count in gaps.items() if gap <= value)
    return shorter, gaps.total() - shorter


def _too_few(gaps: Counter[int], value: int) -> str:
    shorter, longer = _sides(gaps, value)
    few, where = (shorter, "up to") if shorter < longer else (longer, "above")
    return (
        f"Not enough data: only {few} of {gaps.total():,} pauses {where} {in_words(value)}, and it takes "
        f"{ENOUGH_BESIDE} on either side."
    )
