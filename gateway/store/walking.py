"""A look through sessions by their last message, by pages: where one ends, and how long it may take to fill it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pymongo
from bson import ObjectId
from pymongo.errors import PyMongoError

from gateway.core.times import MILLISECOND
from gateway.store.connection import collection
from gateway.store.documents import SessionDocument

NEWEST_FIRST = (("last_message_at", -1), ("_id", -1))

# So long a walk may take, through ever longer times: where little is found, each is four times as long as the last.
SECONDS = 0.5
STEPS = tuple(timedelta(hours=4**power) for power in range(9))

# Where a page ends: the last moment and the id of a session.
Place = tuple[datetime, ObjectId]

_EPOCH = datetime.fromtimestamp(0, UTC)
_FIRST_ID, _LAST_ID = ObjectId("0" * 24), ObjectId("f" * 24)


@dataclass(frozen=True, slots=True)
class Look:
    """A look at what matches, newest or oldest first, in the index of that name; in one of MongoDB's choice if none."""

    query: Mapping[str, Any]
    oldest_first: bool
    index: str | None = None

    @property
    def _behind(self) -> str:
        return "$gt" if self.oldest_first else "$lt"

    def rows(self, place: Place | None, limit: int, fields: Mapping[str, int]) -> list[dict[str, Any]]:
        """Give what is behind a place."""
        return self._rows([_beyond(place, self._behind)] if place else [], limit, fields)

    def walk(
        self, place: Place | None, limit: int, fields: Mapping[str, int], *, start: datetime
    ) -> tuple[list[dict[str, Any]], Place | None]:
        """Give what is behind a place, or from a moment on, and found in SECONDS, and the place reached by then.

        That place is None where all or enough was found.
        """
        found: list[dict[str, Any]] = []
        limits = [_beyond(place, self._behind)] if place else []
        at, reached = start, None
        try:
            with pymongo.timeout(SECONDS):
                for step in STEPS:
                    at = at + step if self.oldest_first else max(at - step, _EPOCH)
                    until = {"last_message_at": {"$lte" if self.oldest_first else "$gte": at}}
                    found += self._rows([*limits, until], limit - len(found), fields)
                    if len(found) == limit:
                        return found, None
                    reached, limits = at, [{"last_message_at": {self._behind: at}}]
                return found + self._rows(limits, limit - len(found), fields), None
        except PyMongoError as error:
            if not error.timeout or reached is None:
                raise
        return found, (reached, _LAST_ID if self.oldest_first else _FIRST_ID)

    def start(self) -> datetime:
        """Give the moment of the first that matches; any, where nothing does."""
        first = self._rows([], 1, {"last_message_at": 1})
        return first[0]["last_message_at"] if first else _EPOCH

    def _rows(self, limits: Sequence[Mapping[str, Any]], limit: int, fields: Mapping[str, int]) -> list[dict[str, Any]]:
        order = [(name, -way if self.oldest_first else way) for name, way in NEWEST_FIRST]
        found = collection(SessionDocument).find({"$and": [self.query, *limits]}, fields).sort(order).limit(limit)
        return list(found.hint(self.index) if self.index else found)


def _beyond(place: Place, way: str) -> dict[str, Any]:
    at, session_id = place
    rest = [{"last_message_at": {way: at}}, {"last_message_at": at, "_id": {way: session_id}}]
    return {"$or": rest, "last_message_at": {f"{way}e": at}}


def place_of(row: Mapping[str, Any]) -> Place:
    """Give the place of a session as stored."""
    return row["last_message_at"], row["_id"]


def cursor(place: Place) -> str:
    """Write a place down for an address."""
    at, session_id = place
    return f"{(at - _EPOCH) // MILLISECOND}-{session_id}"


def read_cursor(written: str) -> Place:
    """Read a place; ValueError where it is none."""
    at, _, session_id = written.partition("-")
    if not at.isdecimal() or len(at) > 14 or not ObjectId.is_valid(session_id):
        raise ValueError(f"{written!r} is no page of this list")
    return _EPOCH + int(at) * MILLISECOND, ObjectId(session_id)
