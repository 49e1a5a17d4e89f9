"""Callbacks that came before what they speak of: kept for an hour, applied when their subject is stored."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from gateway.core.messages import Attachment, CallEvent, CallNote, Media, StatusUpdate
from gateway.store.connection import collection
from gateway.store.documents import CallbackDocument

Callback = CallEvent | Attachment | CallNote | StatusUpdate

_KINDS: dict[str, type[CallEvent] | type[Attachment] | type[CallNote] | type[StatusUpdate]] = {
    "call_status": CallEvent,
    "attachment": Attachment,
    "note": CallNote,
    "message_status": StatusUpdate,
}


def park(key: str, about: str, callback: Callback) -> None:
    """Keep a callback; `key` is the same for a repeated delivery of it."""
    kind = next(name for name, known in _KINDS.items() if isinstance(callback, known))
    document = {"about": about, "kind": kind, "receivedAt": callback.received_at, **asdict(callback)}
    collection(CallbackDocument).update_one({"_id": key}, {"$setOnInsert": document}, upsert=True)


def waiting(about: str) -> list[tuple[str, Callback]]:
    """Give what waits for a subject, each with its key, in the order it came."""
    found = collection(CallbackDocument).find({"about": about}).sort("receivedAt", 1)
    return [(document["_id"], _read(document)) for document in found]


def forget(key: str) -> None:
    """Stop keeping a callback."""
    collection(CallbackDocument).delete_one({"_id": key})


def _read(document: Mapping[str, Any]) -> Callback:
    kind = _KINDS[document["kind"]]
    values = {field.name: document[field.name] for field in fields(kind)}
    if values.get("media"):
        values["media"] = Media(**values["media"])
    return kind(**values)
