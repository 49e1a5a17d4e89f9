"""Moments and spans: aware UTC datetimes of whole milliseconds, spans as integer milliseconds.

BSON keeps milliseconds and no more, so a finer moment would decide one way here and another in MongoDB.
"""

from datetime import UTC, datetime, timedelta

MILLISECOND = timedelta(milliseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def floor_ms(moment: datetime) -> datetime:
    """Cut a moment to the millisecond below it, in UTC."""
    moment = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    finer = moment.microsecond % 1000
    return moment.replace(microsecond=moment.microsecond - finer) if finer else moment


def ms_between(earlier: datetime, later: datetime) -> int:
    """Give the span in whole milliseconds; negative where `later` comes first."""
    return (later - earlier) // MILLISECOND


def epoch_ms(moment: datetime) -> int:
    """Give a moment as whole milliseconds since 1970."""
    return ms_between(_EPOCH, moment)


def from_epoch_ms(milliseconds: int) -> datetime:
    """Read a moment back."""
    return _EPOCH + milliseconds * MILLISECOND


def parse_moment(text: str) -> datetime:
    """Read an ISO 8601 moment; one without an offset is UTC. ValueError names what was given."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no ISO 8601 time such as 2026-03-01T10:00:00Z") from error
    return floor_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def seconds(span_ms: int) -> float:
    """Give seconds as stored in a decision."""
    return span_ms / 1000


def short_seconds(span_ms: int) -> str:
    """Write a span as log lines do: `120s`, `0.25s`, `300.001s`."""
    return f"{span_ms / 1000:.3f}".rstrip("0").rstrip(".") + "s"


def legible(span_ms: int, limit_ms: int | None = None) -> int:
    """Round a span to whole seconds, unless it is below one or the limit lies between."""
    rounded = (span_ms + 500) // 1000 * 1000
    if span_ms < 1000 or (limit_ms is not None and (span_ms <= limit_ms) != (rounded <= limit_ms)):
        return span_ms
    return rounded


def spoken(span_ms: int) -> str:
    """Write a span for people: `2 min 0 s`, `1 h 5 min`, `0.25 s`."""
    if span_ms < 60_000:
        return f"{short_seconds(span_ms)[:-1]} s"
    whole, rest = divmod(span_ms, 1000)
    if whole < 3600:
        second = f"{whole % 60}{f'.{rest:03d}'.rstrip('0') if rest else ''}"
        return f"{whole // 60} min {second} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"
