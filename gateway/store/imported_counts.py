"""How many messages the sessions of an import have, and from when to when they go."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo import UpdateMany, UpdateOne

from gateway.store import settling
from gateway.store.connection import collection
from gateway.store.documents import SessionDocument

# A message that comes at the very moment is looked at again.
_TRIES = 5


@dataclass(slots=True)
class Span:
    """How many messages a session gets, and from when to when it goes with them."""

    first: datetime | None
    last: datetime
    inbound: datetime | None
    messages: int = 0

    def include(self, message: Mapping[str, Any]) -> None:
        """Count a message. Private notes are counted, and are no activity (rule T5)."""
        at = message["createdAt"]
        self.messages += 1
        if (message.get("metadata") or {}).get("private") is not True:
            self.first = min(self.first or at, at)
            self.last = max(self.last, at)
        if message.get("direction") == "inbound":
            self.inbound = max(self.inbound or at, at)

    def times(self) -> dict[str, datetime]:
        """Give the times that a session has."""
        times = {"first_message_at": self.first, "last_message_at": self.last, "last_inbound_at": self.inbound}
        return {name: at for name, at in times.items() if at}


def span(session: Mapping[str, Any]) -> Span:
    """Give what a session says of itself, before its messages."""
    return Span(session.get("first_message_at"), session["last_message_at"], session.get("last_inbound_at"))


def count(amounts: Mapping[str, int]) -> None:
    """Say how many messages sessions have that are new; where something else came meanwhile, they are counted."""
    by_amount: dict[int, list[ObjectId]] = {}
    for one, amount in amounts.items():
        if amount:
            by_amount.setdefault(amount, []).append(ObjectId(one))
    # Told by which index: where several would do, MongoDB tries all of them for each session.
    updates = [
        UpdateMany({"_id": {"$in": ids}, "message_count": 0}, {"$set": {"message_count": amount}}, hint=[("_id", 1)])
        for amount, ids in by_amount.items()
    ]
    found = collection(SessionDocument).bulk_write(updates, ordered=False).matched_count if updates else 0
    if found < sum(map(len, by_amount.values())):
        recount(amounts.keys())


def recount(ids: Collection[str]) -> None:
    """Put the counts and times of these sessions right, without racing what arrives meanwhile."""
    left = {ObjectId(one) for one in ids}
    for _ in range(_TRIES):
        if not left:
            return
        left = _recount(sorted(left))


def _recount(ids: list[ObjectId]) -> set[ObjectId]:
    """Count; gives the sessions that got a message just then."""
    sessions, updates = collection(SessionDocument), []
    found = sessions.find({"_id": {"$in": ids}}, {"message_count": 1})
    counted = {row["_id"]: row.get("message_count") for row in found}
    for row in settling.totals(ids).values():
        if row["_id"] in counted and counted[row["_id"]] != row["messages"]:
            # Bound to the count that was seen: what comes now is counted by whoever brings it.
            which = {"_id": row["_id"], "message_count": counted[row["_id"]]}
            updates.append(UpdateOne(which, _counts(row)))
    if not updates or sessions.bulk_write(updates, ordered=False).matched_count == len(updates):
        return set()
    return {update._filter["_id"] for update in updates}


def _counts(row: Mapping[str, Any]) -> dict[str, Any]:
    change = {
        "$set": {"message_count": row["messages"]},
        "$max": {name: row[name] for name in ("last_message_at", "last_inbound_at") if row[name]},
        "$min": {name: row[name] for name in ("first_message_at",) if row[name]},
    }
    return {operator: fields for operator, fields in change.items() if fields}
