"""How many answers a sender got of late: counted by the minute, in the session itself."""

from collections.abc import Mapping
from datetime import datetime

MINUTES = 60


def slot_of(moment: datetime) -> str:
    """Name the minute of a moment, as answers are counted by."""
    return str(int(moment.timestamp() // 60))


def lately(counted: Mapping[str, int], moment: datetime) -> dict[str, int]:
    """Give the counts of the last sixty minutes, the one that only began and the one that only ends included."""
    since = int(slot_of(moment)) - MINUTES
    return {slot: count for slot, count in counted.items() if int(slot) >= since}


def stale(counted: Mapping[str, int], moment: datetime) -> tuple[str, ...]:
    """Give the minutes whose counts nobody asks for any more."""
    return tuple(slot for slot in counted if slot not in lately(counted, moment))
