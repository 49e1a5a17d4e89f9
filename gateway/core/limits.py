"""How many answers a sender got of late: counted by the hour, so that a session carries two small numbers."""

from collections.abc import Mapping
from datetime import datetime, timedelta

HOUR = timedelta(hours=1)


def hour_of(moment: datetime) -> str:
    """Name the hour of a moment, as answers are counted by."""
    return str(int(moment.timestamp() // 3600))


def lately(counted: Mapping[str, int], moment: datetime) -> dict[str, int]:
    """Give the counts of this hour and the one before: together never less than those of the last sixty minutes."""
    hours = {hour_of(moment), hour_of(moment - HOUR)}
    return {hour: count for hour, count in counted.items() if hour in hours}


def stale(counted: Mapping[str, int], moment: datetime) -> tuple[str, ...]:
    """Give the hours whose counts nobody asks for any more."""
    before = int(hour_of(moment - HOUR))
    return tuple(hour for hour in counted if int(hour) < before)
