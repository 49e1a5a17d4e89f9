"""Callbacks that came before what they speak of: kept for an hour, applied when their subject is stored."""

from typing import cast

from gateway.core.events import Callback, from_plain, key_of, kind_of, to_plain
from gateway.store.connection import collection
from gateway.store.documents import CallbackDocument


def park(about: str, callback: Callback) -> None:
    """Keep a callback, once, however often it is delivered."""
    document = {
        "about": about,
        "kind": kind_of(callback),
        "receivedAt": callback.received_at,
        "event": to_plain(callback),
    }
    collection(CallbackDocument).update_one({"_id": key_of(callback)}, {"$setOnInsert": document}, upsert=True)


def waiting(about: str) -> list[Callback]:
    """Give what waits for a subject, in the order it came."""
    found = collection(CallbackDocument).find({"about": about}).sort("receivedAt", 1)
    return [cast(Callback, from_plain(document["kind"], document["event"])) for document in found]


def forget(callback: Callback) -> None:
    """Stop keeping a callback."""
    collection(CallbackDocument).delete_one({"_id": key_of(callback)})
