"""Counts of sessions for the eye: each stops at a limit, where it says "100+" instead of reading the whole index."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from gateway.store.connection import collection
from gateway.store.documents import SessionDocument
from gateway.store.isolation import Channels
from gateway.store.listing import Wanted, matching

LIMIT = 100

# So long what reached the limit is not counted again: those are nearly all of a busy inbox, and few fall below it.
SECONDS = 30.0

# What is counted: sessions of a kind, on some channels.
Kind = tuple[Wanted, Channels]


class Capped:
    """Counts each kind up to LIMIT, exactly below it; one that reached it is believed to for SECONDS more."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._many: dict[Kind, float] = {}

    def counts(self, wanted: Mapping[str, Kind]) -> dict[str, int]:
        """Count several kinds, given by name, in one round trip."""
        now, kinds = self._clock(), {name: _comparable(kind) for name, kind in wanted.items()}
        many = {kind: until for kind, until in self._many.items() if until > now}
        counted = {name: LIMIT for name, kind in kinds.items() if kind in many}
        counted |= counts({name: kind for name, kind in wanted.items() if name not in counted})
        # Put in place at once: threads share it, and what another one learned meanwhile is counted once more.
        self._many = {kinds[name]: now + SECONDS for name, count in counted.items() if count >= LIMIT} | many
        return counted


def _comparable(kind: Kind) -> Kind:
    wanted, channels = kind
    return wanted, None if channels is None else frozenset(channels)


def counts(wanted: Mapping[str, Kind]) -> dict[str, int]:
    """Count sessions of several kinds, each up to LIMIT, from an index alone and in one round trip."""
    if not wanted:
        return {}
    first, *others = (_count(name, one, channels) for name, (one, channels) in wanted.items())
    union = [{"$unionWith": {"coll": SessionDocument._get_collection_name(), "pipeline": other}} for other in others]
    found = collection(SessionDocument).aggregate([*first, *union])
    return dict.fromkeys(wanted, 0) | {row["_id"]: row["sessions"] for row in found}


def _count(name: str, wanted: Wanted, channels: Channels) -> list[dict[str, Any]]:
    return [
        {"$match": matching(wanted, channels)},
        {"$limit": LIMIT},
        {"$group": {"_id": {"$literal": name}, "sessions": {"$sum": 1}}},
    ]
