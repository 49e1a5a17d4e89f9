"""Messages that are in a session twice once sessions were merged: found, put aside with all they hold, and put back.

What the provider gave an id is one message by that; without one it is who said what at which moment. Of what one of
two sessions says several times itself, as many stay.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo import UpdateOne

from gateway.core.messages import VOICE
from gateway.store.connection import collection, insert_new
from gateway.store.documents import ImportChangeDocument, MessageDocument, RegroupingDocument, SessionDocument
from gateway.store.regroupings import UNDONE

REMOVED = "removed"
_PREFIX = f"{REMOVED}:"
_AT_ONCE = 500

Document = dict[str, Any]

# The claim of what was received is never taken away, and the turns of a call have the id of the call beside their own.
_IS_NAMED = {"$regexMatch": {"input": {"$toString": "$_id"}, "regex": "^[A-Z]{2}[0-9a-f]{32}"}}
_IS_CALL = {"$eq": ["$communication_type", VOICE]}
_SAID = {
    "sender": "$sender",
    "direction": "$direction",
    "content": "$content",
    "at": "$createdAt",
    "private": {"$eq": ["$metadata.private", True]},
}
_KEY = {
    "$switch": {
        "branches": [
            {"case": {"$and": [_IS_NAMED, _IS_CALL]}, "then": {"id": "$_id"}},
            {"case": _IS_NAMED, "then": {"sid": "$_id"}},
            {"case": {"$and": [{"$gt": ["$provider_sid", ""]}, {"$not": _IS_CALL}]}, "then": {"sid": "$provider_sid"}},
        ],
        "default": _SAID,
    }
}
# What has files, or is or was to be answered here, stays whatever else says the same.
_MAY_GO = {
    "$and": [
        {"$not": _IS_NAMED},
        {"$eq": [{"$size": {"$ifNull": ["$media", []]}}, 0]},
        {"$eq": [{"$type": "$answer"}, "missing"]},
    ]
}


def among(session_ids: Sequence[str]) -> int:
    """Count the messages in some sessions that would be there twice, were these one."""
    steps: list[Document] = [
        {"$match": {"session_id": {"$in": [ObjectId(one) for one in session_ids]}}},
        {
            "$group": {
                "_id": {"key": _KEY, "session": "$session_id"},
                "times": {"$sum": 1},
                "going": {"$sum": {"$cond": [_MAY_GO, 1, 0]}},
            }
        },
        {
            "$group": {
                "_id": "$_id.key",
                "all": {"$sum": "$times"},
                "most": {"$max": "$times"},
                "going": {"$sum": "$going"},
            }
        },
        {"$project": {"more": {"$min": ["$going", {"$subtract": ["$all", "$most"]}]}}},
        {"$group": {"_id": None, "more": {"$sum": "$more"}}},
    ]
    rows = collection(MessageDocument).aggregate(steps, allowDiskUse=True)
    return next((int(row["more"]) for row in rows), 0)


def moved_by(mark: str, session_id: str) -> Iterator[list[Any]]:
    """Give the ids of messages that a merge brought into a session and that say what others there do, some at a time.

    The same ones as long as none is put aside.
    """
    is_moved = {"$in": [mark, {"$ifNull": ["$moved.id", []]}]}
    may_go = {"$and": [is_moved, _MAY_GO]}
    steps: list[Document] = [
        {"$match": {"session_id": ObjectId(session_id)}},
        {"$sort": {"_id": 1}},
        {
            "$group": {
                "_id": _KEY,
                "there": {"$sum": {"$cond": [is_moved, 0, 1]}},
                "going": {"$push": {"$cond": [may_go, "$_id", "$$REMOVE"]}},
            }
        },
        {"$match": {"there": {"$gt": 0}, "going": {"$ne": []}}},
        {"$project": {"going": {"$slice": ["$going", "$there"]}}},
    ]
    held: list[Any] = []
    for row in collection(MessageDocument).aggregate(steps, allowDiskUse=True):
        held += row["going"]
        while len(held) >= _AT_ONCE:
            yield held[:_AT_ONCE]
            held = held[_AT_ONCE:]
    if held:
        yield held


def put_aside(run_id: str, mark: str, ids: Sequence[Any]) -> list[tuple[datetime, datetime]]:
    """Keep messages as they are, before they are taken out; gives when each was said and stored. May be repeated."""
    moments, updates = [], []
    for message in collection(MessageDocument).find({"_id": {"$in": list(ids)}}):
        kept = {"import_id": ObjectId(run_id), "kind": REMOVED, "ref": message["session_id"], "mark": mark}
        kept |= {"before": message, "at": ObjectId(run_id).generation_time}
        which = {"_id": f"{_PREFIX}{message['_id']}"}
        updates.append(UpdateOne(which, {"$setOnInsert": kept}, upsert=True))
        moments.append((message["createdAt"], message.get("storedAt") or message["createdAt"]))
    if updates:
        collection(ImportChangeDocument).bulk_write(updates, ordered=False)
    return moments


def take_out(mark: str, session_id: str, now: datetime) -> int:
    """Take out of a session what a merge brought there and was put aside; gives how many messages that was."""
    taken = 0
    for page in _aside(mark, session_id, {"before._id": 1}):
        ids = [one["before"]["_id"] for one in page]
        gone = collection(MessageDocument).delete_many({"_id": {"$in": ids}, "session_id": ObjectId(session_id)})
        _count(ObjectId(session_id), -gone.deleted_count, now)
        taken += gone.deleted_count
    return taken


def put_back(mark: str, session_id: str, now: datetime) -> int:
    """Put back what was taken out after a merge, before that is undone; gives how many messages that was.

    Where it was undone already, into the session they came from.
    """
    merge = collection(RegroupingDocument).find_one({"_id": mark}, {"state": 1, "later": 1}) or {}
    is_apart, back = merge.get("state") == UNDONE, 0
    into = merge["later"] if is_apart else ObjectId(session_id)
    for page in _aside(mark, session_id, None):
        messages = [one["before"] | {"session_id": into} for one in page]
        if is_apart:
            messages = [one | {"moved": _without(one, mark)} for one in messages]
        # Some may be back by an attempt before.
        new = len(messages) - len(insert_new(MessageDocument, messages))
        _count(into, new, now)
        back += new
        collection(ImportChangeDocument).delete_many({"_id": {"$in": [one["_id"] for one in page]}})
    return back


def _without(message: Mapping[str, Any], mark: str) -> list[Document]:
    return [move for move in message.get("moved") or () if move.get("id") != mark]


def _aside(mark: str, session_id: str, fields: Mapping[str, int] | None) -> Iterator[list[Document]]:
    after: Document = {}
    wanted = {"ref": ObjectId(session_id), "kind": REMOVED, "mark": mark}
    while page := list(
        collection(ImportChangeDocument).find(wanted | after, fields).sort("_id", 1).limit(_AT_ONCE).hint("about")
    ):
        yield page
        after = {"_id": {"$gt": page[-1]["_id"]}}


def _count(session_id: ObjectId, messages: int, now: datetime) -> None:
    if messages:
        change = {"$inc": {"message_count": messages}, "$max": {"updatedAt": now}}
        collection(SessionDocument).update_one({"_id": session_id, "merged_into": {"$exists": False}}, change)


def aside(run_id: str, mark: str, session_id: str) -> list[str]:
    """Give the ids of the messages that a run put aside after a merge."""
    wanted = {"ref": ObjectId(session_id), "kind": REMOVED, "mark": mark, "import_id": ObjectId(run_id)}
    found = collection(ImportChangeDocument).find(wanted, {"_id": 1}).hint("about")
    return sorted(row["_id"].removeprefix(_PREFIX) for row in found)


def put_aside_of(ids: Sequence[str]) -> dict[str, Document]:
    """Look messages up among what was put aside, by their ids; those that are not there are left out."""
    wanted = {"_id": {"$in": [f"{_PREFIX}{one}" for one in ids]}}
    found = collection(ImportChangeDocument).find(wanted, {"before": 1})
    return {row["_id"].removeprefix(_PREFIX): row["before"] for row in found}
