"""What became of messages of ours at the provider: the id it gave them, and the statuses it reports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from gateway.core.messages import StatusUpdate
from gateway.core.statuses import MESSAGE_RANK, outranked
from gateway.store.connection import collection
from gateway.store.documents import MessageDocument, SessionDocument

_FAILED = ("failed", "undelivered")


def sent(message_id: str, sid: str, status: str | None, at: datetime) -> UpdateOne:
    """Give the update that notes the provider's id of a message and its first status, as `apply_status` would (I8)."""
    return UpdateOne(_named(message_id, sid), [{"$set": _sid(sid) | (_status(status, at) if status else {})}])


def _named(message_id: str, sid: str) -> dict[str, Any]:
    """Find a message of ours that has this id of the provider's, or none yet: it never changes again."""
    return {"_id": message_id, "direction": "outbound", "provider_sid": {"$in": [None, sid]}}


def _sid(sid: str) -> dict[str, Any]:
    return {"provider_sid": {"$literal": sid}}


def _status(status: str, at: datetime, code: str | None = None) -> dict[str, Any]:
    """Give what a status changes: the history, once; and what is in effect, unless it is higher already (I8).

    What a responder failed with is the message's own, whatever becomes of its sending.
    """
    said = {"$literal": status}
    entry = {"status": said, "at": at} | ({"error_code": {"$literal": code}} if code else {})
    history = {"$ifNull": ["$status_history", []]}
    statuses = {"$ifNull": ["$status_history.status", []]}
    takes = {"$in": [{"$ifNull": ["$status", None]}, [*outranked(status, MESSAGE_RANK), None]]}
    noted: dict[str, Any] = {
        "status": {"$cond": [takes, said, "$status"]},
        "status_history": {
            "$cond": [{"$in": [said, statuses]}, "$status_history", {"$concatArrays": [history, [entry]]}]
        },
        "error_code": {"$cond": [takes, {"$literal": code} if code else "$$REMOVE", "$error_code"]},
    }
    if not code:
        ours = {"$and": [takes, {"$ne": ["$has_error", True]}]}
        noted["error_message"] = {"$cond": [ours, "$$REMOVE", "$error_message"]}
    return noted


def use_template(message_id: str, content_sid: str, variables: Mapping[str, str]) -> None:
    """Note that a message goes out as a template: it is looked up, and sent again, as what it was sent as."""
    template = {"content_sid": content_sid, "variables": dict(variables)}
    collection(MessageDocument).update_one({"_id": message_id}, {"$set": {"template": template}})


def known_sids(sids: Sequence[str]) -> set[str]:
    """Tell which of these provider ids belong to messages we know."""
    found = collection(MessageDocument).find(
        {"direction": "outbound", "provider_sid": {"$in": list(sids)}}, {"provider_sid": 1}
    )
    return {row["provider_sid"] for row in found}


def fail(message_id: str, *, status: str, code: str | None, reason: str, at: datetime) -> None:
    """Note that a message was not sent, and why; a status of the provider's own is not overwritten."""
    entry: dict[str, Any] = {"status": status, "at": at}
    if code:
        entry["error_code"] = code
    if status in _FAILED:
        _flag(collection(MessageDocument).find_one({"_id": message_id}, {"session_id": 1}))
    collection(MessageDocument).update_one(
        {"_id": message_id, "status": {"$in": [*outranked(status, MESSAGE_RANK), None]}},
        {
            "$set": {"status": status, "error_message": reason, **({"error_code": code} if code else {})},
            "$push": {"status_history": entry},
        },
    )


def requeue(message_id: str, at: datetime) -> bool:
    """Let a message be sent that we gave up; False where the provider has it, or nobody wants it sent any more.

    No status of the provider's is overwritten (I8): without a SID nothing but our own "failed" was ever noted.
    """
    messages = collection(MessageDocument)
    ours = {"_id": message_id, "direction": "outbound", "provider_sid": None}
    messages.update_one(
        ours | {"status": "failed"},
        {
            "$set": {"status": "queued"},
            "$unset": {"error_code": "", "error_message": ""},
            "$push": {"status_history": {"status": "queued", "at": at}},
        },
    )
    return messages.find_one(ours | {"status": "queued"}, {"_id": 1}) is not None


@dataclass(frozen=True, slots=True)
class Applied:
    """Which message a status took effect on, and whether the provider's id of it was not known before."""

    message_id: str
    found_out: bool


def apply_status(update: StatusUpdate) -> Applied | None:
    """Add a delivery status to a message we sent; it takes effect only over lower ones (I8).

    Where the status names the message, it tells the provider's id of it as well. None where no message carries that
    id yet.
    """
    by_sid = {"direction": "outbound", "provider_sid": update.sid}
    wanted = [_named(update.message_id, update.sid), by_sid] if update.message_id else [by_sid]
    return next((applied for which in wanted if (applied := _apply(which, update))), None)


def apply_together(updates: Sequence[StatusUpdate]) -> Sequence[Applied | None]:
    """Add statuses that report no failure, with one look and one write; None for each that has to be added alone."""
    found = _look_up(updates)
    changes = [
        UpdateOne(_named(message["_id"], update.sid), [{"$set": _changes(update)}])
        for update, message in zip(updates, found, strict=True)
        if message
    ]
    try:
        # In their order, for two of them may be of one message. Who misses changed meanwhile, and nobody says which.
        matched = collection(MessageDocument).bulk_write(changes).matched_count if changes else 0
    except BulkWriteError as error:
        if not error.details.get("writeErrors"):
            raise
        matched = 0
    if not matched or matched < len(changes):
        return [None] * len(updates)
    return [Applied(one["_id"], one.get("provider_sid") is None) if one else None for one in found]


def _look_up(updates: Sequence[StatusUpdate]) -> list[dict[str, Any] | None]:
    """Find the message each status is about."""
    sids, named = [update.sid for update in updates], [update.message_id for update in updates if update.message_id]
    ours = {"direction": "outbound"}
    which = {"$or": [ours | {"_id": {"$in": named}}, ours | {"provider_sid": {"$in": sids}}]}
    messages = list(collection(MessageDocument).find(which, {"provider_sid": 1}))
    by_id = {message["_id"]: message for message in messages}
    by_sid = {message.get("provider_sid"): message for message in messages}
    found = []
    for update in updates:
        named_one = by_id.get(update.message_id)
        fits = named_one is not None and named_one.get("provider_sid") in (None, update.sid)
        found.append(named_one if fits else by_sid.get(update.sid))
    return found


def _changes(update: StatusUpdate) -> dict[str, Any]:
    return _sid(update.sid) | _status(update.status, update.received_at, update.error_code)


def _apply(which: Mapping[str, Any], update: StatusUpdate) -> Applied | None:
    messages = collection(MessageDocument)
    if update.status in _FAILED:
        _flag(messages.find_one(which, {"session_id": 1}))
    before = messages.find_one_and_update(
        which,
        [{"$set": _changes(update)}],
        projection={"provider_sid": 1},
    )
    return Applied(str(before["_id"]), before.get("provider_sid") is None) if before else None


def _flag(message: Mapping[str, Any] | None) -> None:
    """Let the session of a message that failed be found by that."""
    if message:
        collection(SessionDocument).update_one({"_id": message["session_id"]}, {"$set": {"has_failed": True}})
