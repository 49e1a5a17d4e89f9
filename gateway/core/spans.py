"""How far back to look, as people write it: `30m`, `2h`, `3d`, or a moment."""

import re
from datetime import datetime, timedelta

from gateway.core.errors import GatewayError
from gateway.core.times import parse_moment

# Whoever means more than that has mostly mistyped; years are read in several runs.
LONGEST = timedelta(days=400)

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_SPAN = re.compile(r"(\d{1,6})([mhd])")


class BadSpan(GatewayError):
    """A span that cannot be read, or has no sensible end; names what was given and what would do."""


def moment_of(text: str, now: datetime) -> datetime:
    """Read a span before `now`, or an ISO 8601 moment (one without an offset is UTC)."""
    text = text.strip()
    try:
        if span := _SPAN.fullmatch(text.lower()):
            return now - timedelta(**{_UNITS[span[2]]: int(span[1])})
        return parse_moment(text)
    except (ValueError, OverflowError):
        raise BadSpan(
            f"{text!r} is neither a span such as 30m, 2h or 3d nor a time such as 2026-03-01T10:00:00Z."
        ) from None


def bounded(since: datetime, until: datetime) -> None:
    """Refuse a span that ends before it begins, or is longer than one run takes on."""
    if since >= until:
        raise BadSpan(f"There is nothing between {since.isoformat()} and {until.isoformat()}: choose an earlier start.")
    if until - since > LONGEST:
        raise BadSpan(f"That is more than {LONGEST.days} days at once: choose a later start or an earlier end.")
