"""What the history would have been at other thresholds, as the command line and the API give it to programs."""

import math
from collections.abc import Sequence
from datetime import date
from typing import Any

from gateway.conversation.whatif import History, Line
from gateway.core.gaps import Tally
from gateway.core.whatif import Cut, cut, histogram, suggest


def as_json(history: History, thresholds: Sequence[float], since: date | None) -> dict[str, Any]:
    """Give what was found at these thresholds; seconds, and null for what never ends."""
    return {
        "as_of": history.as_of and history.as_of.isoformat(),
        "since": since and since.isoformat(),
        "days": history.days,
        **_counted(history.tally, thresholds, history.days),
        "histogram": [
            {"over_seconds": one.lower, "up_to_seconds": _finite(one.upper), "gaps": one.gaps}
            for one in histogram(history.tally.gaps)
        ],
        "channels": [_line(line, thresholds, history.days) for line in history.lines if line.tally.messages],
    }


def _counted(tally: Tally, thresholds: Sequence[float], days: int) -> dict[str, Any]:
    suggestion = suggest(tally.gaps)
    return {
        "messages": tally.messages,
        "gaps": tally.gaps.total(),
        "late": tally.late,
        "sessions_stored": tally.stored,
        "thresholds": [_cut(cut(tally, threshold, days)) for threshold in thresholds],
        "suggestion": {"threshold_seconds": suggestion.threshold, "reason": suggestion.reason},
    }


def _cut(made: Cut) -> dict[str, Any]:
    return {
        "threshold_seconds": _finite(made.threshold),
        "sessions": made.sessions,
        "sessions_per_day": round(made.sessions_per_day, 2),
        "messages_per_session": round(made.messages_per_session, 2),
        "merging": made.merging,
        "splitting": made.splitting,
    }


def _line(line: Line, thresholds: Sequence[float], days: int) -> dict[str, Any]:
    return {
        "channel_id": line.channel.id,
        "communication_type": line.channel.communication_type,
        "number": line.number,
        "threshold_seconds": _finite(line.threshold),
        **_counted(line.tally, thresholds, days),
    }


def _finite(seconds: float) -> float | None:
    """Write what never ends as decisions do: null."""
    return None if math.isinf(seconds) else seconds
