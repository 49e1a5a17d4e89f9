"""What somebody limited to some channels finds: a part of the query, so that nothing else is ever read."""

from collections.abc import Collection
from typing import Any

# The ids of channels; None is every channel.
Channels = Collection[str] | None


def only(channels: Channels) -> dict[str, Any]:
    """Match sessions, messages and whatever else has a `channel_id` on these channels."""
    return {} if channels is None else {"channel_id": {"$in": sorted(channels)}}
