"""What became of messages of ours at the provider: the id it gave them, and the statuses it reports."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pymongo import UpdateOne

from gateway.core.messages import StatusUpdate
from gateway.core.statuses import MESSAGE_RANK, outranked
from gateway.store.connection import collection
from gateway.store.documents import MessageDocument, SessionDocument

_FAILED = ("failed", "undelivered")


def set_sid(message_id: str, sid: str) -> bool:
    """Note the provider's id of a message of ours; True if it was not known before. It never changes again."""
    done = collection(MessageDocument).update_one(
        {"_id": message_id, "direction": "outbound", "provider_sid": {"$in": [None, sid]}},
        {"$set": {"provider_sid": sid}},
    )
    return done.modified_count == 1


def sent(message_id: str, sid: str, status: str | None, at: datetime) -> UpdateOne:
    """Give the update that notes the provider's id of a message and its first status, as `apply_status` would (I8)."""
    noted: dict[str, Any] = {"provider_sid": {"$literal": sid}}
    if status:
        said, entry = {"$literal": status}, {"status": {"$literal": status}, "at": at}
        history = {"$ifNull": ["$status_history", []]}
        statuses = {"$ifNull": ["$status_history.status", []]}
        takes = {"$in": [{"$ifNull": ["$status", None]}, [*outranked(status, MESSAGE_RANK), None]]}
        ours = {"$and": [takes, {"$ne": ["$has_error", True]}]}
        noted |= {
            "status": {"$cond": [takes, said, "$status"]},
            "status_history": {
                "$cond": [{"$in": [said, statuses]}, "$status_history", {"$concatArrays": [history, [entry]]}]
            },
            "error_code": {"$cond": [takes, "$$REMOVE", "$error_code"]},
            "error_message": {"$cond": [ours, "$$REMOVE", "$error_message"]},
        }
    known = {"_id": message_id, "direction": "outbound", "provider_sid": {"$in": [None, sid]}}
    return UpdateOne(known, [{"$set": noted}])


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


def apply_status(update: StatusUpdate) -> str | None:
    """Add a delivery status to a message we sent; it takes effect only over lower ones (I8).

    Gives the message's id; None where no message carries that SID yet.
    """
    messages = collection(MessageDocument)
    found = messages.find_one({"direction": "outbound", "provider_sid": update.sid}, {"has_error": 1, "session_id": 1})
    if found is None:
        return None
    if update.status in _FAILED:
        _flag(found)
    ours = {"_id": found["_id"]}
    entry: dict[str, Any] = {"status": update.status, "at": update.received_at}
    if update.error_code:
        entry["error_code"] = update.error_code
    messages.update_one(ours | {"status_history.status": {"$ne": update.status}}, {"$push": {"status_history": entry}})
    effect: dict[str, Any] = {"$set": {"status": update.status}}
    if update.error_code:
        effect["$set"]["error_code"] = update.error_code
    else:
        # What a responder failed with is the message's own, whatever becomes of its sending.
        effect["$unset"] = {"error_code": ""} | ({} if found.get("has_error") else {"error_message": ""})
    lower = [*outranked(update.status, MESSAGE_RANK), None]
    messages.update_one(ours | {"status": {"$in": lower}}, effect)
    return str(found["_id"])


def _flag(message: Mapping[str, Any] | None) -> None:
    """Let the session of a message that failed be found by that."""
    if message:
        collection(SessionDocument).update_one({"_id": message["session_id"]}, {"$set": {"has_failed": True}})
