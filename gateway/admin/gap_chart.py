"""The picture of pauses: bars on a logarithmic axis, with thresholds drawn in; geometry only, no colours."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway.core.gaps import DAY, HOUR, MINUTE, in_words
from gateway.core.whatif import Bucket

# Where the axis begins and how far it goes at least, in seconds. Shorter pauses are drawn at its beginning.
_FIRST, _LEAST = 0.7, 2 * DAY
# What has no end is drawn as twice its beginning.
_ENDLESS = 2

_TICKS = (1, 5, 15, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 6 * HOUR, DAY, 7 * DAY, 30 * DAY)
_FEW_TICKS = (1, 10, MINUTE, 10 * MINUTE, HOUR, DAY, 30 * DAY)
_TOP, _BOTTOM, _SIDE = 46, 26, 12
# How wide the text of a mark is at most: `2 min 30 s suggested`.
_TEXT = 140


@dataclass(frozen=True, slots=True)
class Bar:
    """One bucket; its area is the number of pauses in it."""

    x: float
    y: float
    width: float
    height: float
    words: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A threshold or a tick of the axis. `anchor` is the side of its text, `row` the line it is written in."""

    x: float
    label: str
    anchor: str = "middle"
    row: int = 0
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture of a size; `scale` and `left` give the place of a pause: left + log2(seconds) * scale."""

    size: str
    width: int
    height: int
    top: int
    floor: int
    bars: list[Bar]
    ticks: list[Mark]
    marks: list[Mark]
    left: float
    scale: float


def draw(buckets: Sequence[Bucket], marks: Mapping[str, float], *, size: str, width: int, height: int) -> Chart:
    """Draw pauses with marks (kind to seconds, in the order they are written); needs at least one bucket."""
    last = max(buckets[-1].lower * _ENDLESS if math.isinf(buckets[-1].upper) else buckets[-1].upper, _LEAST)
    scale = (width - 2 * _SIDE) / math.log2(last / _FIRST)
    left = _SIDE - math.log2(_FIRST) * scale

    def place(seconds: float) -> float:
        within = min(max(seconds, _FIRST), last)
        return round(left + math.log2(within) * scale, 1)

    floor = height - _BOTTOM
    ticks = [Mark(place(at), in_words(at)) for at in (_TICKS if width > 500 else _FEW_TICKS) if at <= last]
    places = [place(at) for at in marks.values()]
    written = [
        Mark(x, in_words(at), _side(x, width, places[:row]), row, kind)
        for row, (x, (kind, at)) in enumerate(zip(places, marks.items(), strict=True))
    ]
    return Chart(
        size, width, height, _TOP, floor, _bars(buckets, place, floor), ticks, written, round(left, 3), round(scale, 3)
    )


def _bars(buckets: Sequence[Bucket], place: Callable[[float], float], floor: int) -> list[Bar]:
    edges = [(place(one.lower), place(one.upper)) for one in buckets]
    densities = [one.gaps / max(end - begin, 1) for one, (begin, end) in zip(buckets, edges, strict=True)]
    highest = max(densities) or 1
    return [
        Bar(begin, round(floor - height, 1), round(max(end - begin - 1, 1), 1), round(height, 1), describe(one))
        for one, (begin, end), density in zip(buckets, edges, densities, strict=True)
        if (height := max(density / highest * (floor - _TOP), 1 if one.gaps else 0))
    ]


def describe(bucket: Bucket) -> str:
    """Say a bucket: `over 1 min to 1 min 30 s`, `over 30 d`."""
    if math.isinf(bucket.upper):
        return f"over {in_words(bucket.lower)}"
    return f"{'over ' if bucket.lower else ''}{in_words(bucket.lower)} to {in_words(bucket.upper)}"


def _side(x: float, width: int, higher: Sequence[float]) -> str:
    """Write a mark's text where there is room for it, and where it does not lie across a line that begins higher."""
    after = any(x < line < x + _TEXT for line in higher)
    before = any(x - _TEXT < line < x for line in higher)
    if after and not before and x > _TEXT:
        return "end"
    if before and not after and x < width - _TEXT:
        return "start"
    return "end" if x > width * 0.6 else "start"
