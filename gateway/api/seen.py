"""What a key may ask for by its id: found for it, or not there."""

from typing import Any

from gateway.api.auth import access
from gateway.api.problems import not_found
from gateway.store import channels, listing
from gateway.store.connection import deadline

# So many merges are followed; a chain of them has no circle, but nobody waits for one.
_FURTHEST = 20


def session(session_id: str) -> dict[str, Any]:
    """Give a session as stored; the one it was merged into instead, where that happened."""
    wanted = session_id
    with deadline():
        for _ in range(_FURTHEST):
            found = listing.one(wanted, access().channels)
            if found is None or not found.get("merged_into"):
                break
            wanted = str(found["merged_into"])
    if found is None:
        raise not_found("session", session_id)
    return found


def channel(channel_id: str) -> str:
    """Give the id of a channel."""
    with deadline():
        if not access().sees(channel_id) or channel_id not in channels.by_id():
            raise not_found("channel", channel_id)
    return channel_id
