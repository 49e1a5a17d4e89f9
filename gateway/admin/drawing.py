"""Charts as shapes: where each bar, point and cell of an SVG goes. Colours and letters are the style sheet's."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.core.times import spoken

WIDTH, HEIGHT = 480, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 6, 10, 24
_PLOT_WIDTH, _PLOT_HEIGHT = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
_LABELS = 4

# The times an axis may name, in ms.
_SECOND, _MINUTE, _HOUR, _DAY = 1000, 60_000, 3_600_000, 86_400_000
_TIMES = (
    *(1, 2, 5, 10, 20, 50, 100, 200, 500),
    *(number * _SECOND for number in (1, 2, 5, 10, 30)),
    *(number * _MINUTE for number in (1, 2, 5, 10, 30)),
    *(number * _HOUR for number in (1, 2, 6, 12)),
    *(number * _DAY for number in (1, 2, 7, 30)),
)


@dataclass(frozen=True, slots=True)
class Shape:
    """A rectangle of a series or level, named by `kind`."""

    kind: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Group:
    """Shapes that belong to one day or hour, and what is said of it."""

    words: str
    shapes: list[Shape]


@dataclass(frozen=True, slots=True)
class Mark:
    """A word at an axis; `anchor` is the end of it that stands there."""

    x: float
    y: float
    words: str
    anchor: str = "middle"


@dataclass(frozen=True, slots=True)
class Line:
    """A series of points; `path` is broken where days are missing."""

    kind: str
    path: str
    points: list[tuple[float, float, str]]


@dataclass(frozen=True, slots=True)
class Bar:
    """A lying bar with its name before and its number behind it; `parts` are (kind, share of the whole width)."""

    name: str
    number: str
    words: str
    parts: list[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class Drawing:
    """All of a chart; `rules` are the heights of the lines behind it."""

    height: int
    groups: list[Group]
    lines: list[Line]
    marks: list[Mark]
    rules: list[float]


def bars(words: Sequence[str], columns: Sequence[Sequence[tuple[str, int]]], days: Sequence[str]) -> Drawing:
    """Stack a column for each day: its parts are (kind, count), drawn from the bottom."""
    top = _round_up(max((sum(count for _, count in column) for column in columns), default=0))
    step = _PLOT_WIDTH / max(len(columns), 1)
    gap = 0 if step < 3 else min(step * 0.25, 8)
    groups = []
    for number, (said, column) in enumerate(zip(words, columns, strict=True)):
        shapes, floor = [], float(_TOP + _PLOT_HEIGHT)
        for kind, count in column:
            if count:
                height = count / top * _PLOT_HEIGHT
                floor -= height
                shapes.append(_shape(kind, _LEFT + number * step + gap / 2, floor, step - gap, height))
        if shapes:
            groups.append(Group(said, shapes))
    heights = [(_TOP + _PLOT_HEIGHT * (1 - share), round(top * share)) for share in (0, 0.5, 1)]
    marks = [Mark(_LEFT - 6, y + 4, _short(count), "end") for y, count in heights]
    return Drawing(HEIGHT, groups, [], marks + _along(days, step), [y for y, _ in heights])


def _shape(kind: str, x: float, y: float, width: float, height: float) -> Shape:
    return Shape(kind, round(x, 2), round(y, 2), round(width, 2), round(height, 2))


def _round_up(count: int) -> int:
    """Give the next number an axis may end at, which can be halved."""
    unit = int(10 ** int(math.log10(max(count, 1))))
    return max(2, next(part * unit for part in (1, 2, 4, 6, 8, 10) if part * unit >= count))


def _short(count: int) -> str:
    for size, letter in ((1_000_000, "M"), (1000, "k")):
        if count >= size:
            return f"{count / size:g}{letter}"
    return str(count)


def _along(days: Sequence[str], step: float) -> list[Mark]:
    """Name a few of the days under a chart, the last one among them."""
    every = math.ceil(len(days) / _LABELS)
    named = [number for number in range(len(days)) if (len(days) - 1 - number) % every == 0]
    return [_under(_LEFT + (number + 0.5) * step, days[number]) for number in named]


def _under(x: float, words: str) -> Mark:
    """Put a word under the chart, and no letter of it outside."""
    anchor = "end" if x > WIDTH - 34 else "start" if x < 34 else "middle"
    return Mark(round(WIDTH - _RIGHT if anchor == "end" else x, 2), HEIGHT - 6, words, anchor)


def times(series: Iterable[tuple[str, Sequence[float | None], Sequence[str]]], days: Sequence[str]) -> Drawing:
    """Draw a line for each series of times in ms, None where there is none, over a logarithmic axis."""
    series = list(series)
    given = [max(one, 1.0) for _, values, _ in series for one in values if one is not None]
    low = max((one for one in _TIMES if one <= min(given)), default=_TIMES[0])
    high = min((one for one in _TIMES if one >= max(given) and one > low), default=max(given))
    step, span = _PLOT_WIDTH / len(days), math.log(high / low)

    def place(number: int, value: float) -> tuple[float, float]:
        share = math.log(max(value, low) / low) / span
        return round(_LEFT + (number + 0.5) * step, 2), round(_TOP + _PLOT_HEIGHT * (1 - share), 2)

    lines = []
    for kind, values, words in series:
        path, points, pen = [], [], "M"
        for number, (value, said) in enumerate(zip(values, words, strict=True)):
            if value is None:
                pen = "M"
                continue
            x, y = place(number, value)
            path.append(f"{pen}{x} {y}")
            points.append((x, y, said))
            pen = "L"
        lines.append(Line(kind, " ".join(path), points))
    heights = [(place(0, one)[1], one) for one in _few([one for one in _TIMES if low <= one <= high])]
    marks = [Mark(_LEFT - 6, y + 4, _axis_time(one), "end") for y, one in heights]
    return Drawing(HEIGHT, [], lines, marks + _along(days, step), [y for y, _ in heights])


def _few(ticks: list[int]) -> list[int]:
    return ticks if len(ticks) <= _LABELS else ticks[:: math.ceil(len(ticks) / _LABELS)]


def _axis_time(milliseconds: int) -> str:
    return spoken(milliseconds).replace(" 0 s", "").replace(" 0 min", "").replace(" 0 h", "")


def grid(rows: Sequence[tuple[str, Sequence[int]]], words: Sequence[Sequence[str]]) -> Drawing:
    """Draw a row of cells for each weekday, a column for each hour; the more, the higher its level, up to 5."""
    top = max((count for _, counts in rows for count in counts), default=0)
    width, height = _PLOT_WIDTH / 24, 24
    groups, marks = [], []
    for number, ((day, counts), said) in enumerate(zip(rows, words, strict=True)):
        y = _TOP + number * height
        marks.append(Mark(_LEFT - 6, y + 16, day, "end"))
        for hour, (count, one) in enumerate(zip(counts, said, strict=True)):
            level = math.ceil(5 * count / top) if top else 0
            cell = _shape(f"level-{level}", _LEFT + hour * width + 1, y + 1, width - 2, height - 2)
            groups.append(Group(one, [cell]))
    foot = _TOP + len(rows) * height
    marks += [Mark(round(_LEFT + (hour + 0.5) * width, 2), foot + 16, f"{hour}", "middle") for hour in range(0, 24, 3)]
    return Drawing(foot + 24, groups, [], marks, [])


# A name is cut off where the bars begin; its group says it whole.
_NAMES, _NUMBERS, _BAR, _NAME_LENGTH = 140, 44, 24, 17


def funnel(parts: Sequence[tuple[str, Sequence[Bar]]]) -> Drawing:
    """Draw lying bars one below the other, under the title of each part."""
    groups, marks, y = [], [], 0
    width = WIDTH - _NAMES - _NUMBERS
    for title, drawn in parts:
        marks.append(Mark(0, y + 16, _cut(title, 2 * _NAME_LENGTH), "start"))
        y += _BAR
        for bar in drawn:
            x, shapes = float(_NAMES), []
            for kind, share in bar.parts:
                if share:
                    shapes.append(_shape(kind, x, y + 3, max(share * width, 1), _BAR - 6))
                    x += share * width
            groups.append(Group(bar.words, shapes))
            marks.append(Mark(_NAMES - 8, y + 16, _cut(bar.name, _NAME_LENGTH), "end"))
            marks.append(Mark(round(x + 6, 2), y + 16, bar.number, "start"))
            y += _BAR
        y += _BAR // 2
    return Drawing(y, groups, [], marks, [])


def _cut(words: str, length: int) -> str:
    return words if len(words) <= length else words[: length - 1] + "…"
