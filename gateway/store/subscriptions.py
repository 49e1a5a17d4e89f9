"""Programs that are told of events: who they are, what they listen to, and how telling them went."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument

from gateway.core.notifications import Event, matches
from gateway.store.connection import collection
from gateway.store.documents import SubscriptionDocument
from gateway.store.isolation import Channels

# Hosts' clocks differ a little, and who subscribes wants what comes from then on.
OVERLAP = timedelta(seconds=2)
# That somebody takes what it is told is noted so often.
SUCCESS_EVERY = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Subscription:
    """A URL that is told of events. `key` is the prefix of the API key it was made with, `channels` None is all.

    `failures` counts tries that failed since the last success; until `held_until` it is left alone.
    """

    id: str
    url: str
    events: tuple[str, ...]
    description: str
    active: bool
    created_at: datetime
    created_by: str
    generation: int
    fingerprint: str
    channels: frozenset[str] | None = None
    key: str | None = None
    listens_since: datetime | None = None
    old_secret_until: datetime | None = None
    disabled_reason: str | None = None
    disabled_at: datetime | None = None
    last_success_at: datetime | None = None
    last_failure_at: datetime | None = None
    last_error: str | None = None
    failures: int = 0
    failing_since: datetime | None = None
    held_until: datetime | None = None

    @property
    def state(self) -> str:
        """Say how it does: `active`, `failing`, `paused` by somebody, or `disabled` by us."""
        if not self.active:
            return "disabled" if self.disabled_reason else "paused"
        return "failing" if self.failures else "active"

    def hears(self, event: Event) -> bool:
        """Tell whether it is told of an event."""
        return matches(self.events, event.type) and (self.channels is None or event.channels <= self.channels)

    def heard(self, event: Event) -> bool:
        """Tell whether it listened already when an event happened."""
        return self.listens_since is not None and event.at >= self.listens_since - OVERLAP


def _subscription(row: Mapping[str, Any]) -> Subscription:
    channels = row.get("channels")
    known = {name: row[name] for name in Subscription.__slots__ if row.get(name) is not None and name != "channels"}
    return Subscription(
        **known
        | {
            "id": str(row["_id"]),
            "events": tuple(row["events"]),
            "created_at": row["createdAt"],
            "channels": None if channels is None else frozenset(channels),
        }
    )


def new_id() -> str:
    """Make the id of a subscription, which its secret is made from."""
    return str(ObjectId())


def add(new: Subscription) -> None:
    """Store a subscription."""
    kept = ("url", "events", "description", "active", "created_by", "generation", "fingerprint", "key", "listens_since")
    document = {name: value for name in kept if (value := getattr(new, name)) is not None}
    document |= {"_id": ObjectId(new.id), "createdAt": new.created_at, "events": list(new.events)}
    if new.channels is not None:
        document["channels"] = sorted(new.channels)
    collection(SubscriptionDocument).insert_one(document)


def _seen_by(channels: Channels) -> dict[str, Any]:
    """Match what may be seen: whoever is limited to channels sees what hears of nothing else."""
    if channels is None:
        return {}
    return {"channels": {"$type": "array", "$not": {"$elemMatch": {"$nin": sorted(channels)}}}}


def get(subscription_id: str, channels: Channels = None) -> Subscription | None:
    """Look up a subscription that may be seen."""
    if not ObjectId.is_valid(subscription_id):
        return None
    found = collection(SubscriptionDocument).find_one({"_id": ObjectId(subscription_id)} | _seen_by(channels))
    return _subscription(found) if found else None


def page(channels: Channels, *, limit: int, before: str = "") -> list[Subscription]:
    """List what may be seen, the newest first; `before` is the id of the last one of the page before.

    ValueError if that is no id.
    """
    if before and not ObjectId.is_valid(before):
        raise ValueError(f"{before!r:.80} is no page of this list")
    wanted = _seen_by(channels) | ({"_id": {"$lt": ObjectId(before)}} if before else {})
    return [_subscription(row) for row in collection(SubscriptionDocument).find(wanted).sort("_id", -1).limit(limit)]


def count() -> int:
    """Count all subscriptions."""
    return collection(SubscriptionDocument).count_documents({})


def listening() -> list[Subscription]:
    """List the subscriptions that are told of events."""
    return [_subscription(row) for row in collection(SubscriptionDocument).find({"active": True})]


def change(subscription_id: str, values: Mapping[str, Any], *, without: Collection[str] = ()) -> Subscription | None:
    """Set fields of a subscription, and take others away; None where it is gone."""
    changes: dict[str, Any] = {"$set": dict(values)} if values else {}
    if without:
        changes["$unset"] = dict.fromkeys(without, "")
    return _changed({"_id": ObjectId(subscription_id)}, changes)


def disable(subscription_id: str, reason: str, now: datetime) -> bool:
    """Stop telling a program; False where that was so."""
    fields = {"active": False, "disabled_reason": reason, "disabled_at": now}
    return _changed({"_id": ObjectId(subscription_id), "active": True}, {"$set": fields}) is not None


def remove(subscription_id: str) -> bool:
    """Delete a subscription; False where it was gone."""
    return collection(SubscriptionDocument).delete_one({"_id": ObjectId(subscription_id)}).deleted_count == 1


def succeeded(seen: Subscription, now: datetime) -> None:
    """Note that a program took what it was told."""
    if not seen.failures and seen.last_success_at and now - seen.last_success_at < SUCCESS_EVERY:
        return
    over = dict.fromkeys(("failures", "failing_since", "held_until", "last_error"), "")
    change = {"$max": {"last_success_at": now}, "$unset": over}
    collection(SubscriptionDocument).update_one({"_id": ObjectId(seen.id)}, change)


def failed(subscription_id: str, error: str, now: datetime) -> Subscription | None:
    """Note that a program did not take what it was told; gives it with its count, None where it is gone."""
    noted: dict[str, Any] = {
        "failures": {"$add": [{"$ifNull": ["$failures", 0]}, 1]},
        "failing_since": {"$ifNull": ["$failing_since", now]},
        "last_failure_at": now,
        "last_error": {"$literal": error},
    }
    return _changed({"_id": ObjectId(subscription_id)}, [{"$set": noted}])


def hold(subscription_id: str, until: datetime) -> None:
    """Leave a program alone until then."""
    collection(SubscriptionDocument).update_one({"_id": ObjectId(subscription_id)}, {"$max": {"held_until": until}})


def _changed(which: Mapping[str, Any], changes: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> Subscription | None:
    found = collection(SubscriptionDocument).find_one_and_update(which, changes, return_document=ReturnDocument.AFTER)
    return _subscription(found) if found else None
