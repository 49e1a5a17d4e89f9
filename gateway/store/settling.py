"""Counts and times put right after a crash, without ever racing the turns that are being stored meanwhile.

A process killed between storing a message and counting it leaves its session one short. Nothing marks that,
since a mark would cost every message a write; so the worker compares the sessions of recent messages with
their messages. It looks only at sessions that had no message for some seconds: there nothing can be on its way,
and a correction that is bound to the count it saw can neither meet another worker's nor a new turn's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

from gateway.store.answers import PENDING
from gateway.store.connection import collection
from gateway.store.documents import JobDocument, MessageDocument, SessionDocument

BATCH = 500

# How long a session that was asked for stays without a message.
ASKED_FOR = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Miscount:
    """A session that counts other than it has."""

    session_id: ObjectId
    counted: int
    stored: int


@dataclass(frozen=True, slots=True)
class Recent:
    """What one look finds through messages stored `since` a moment: what some of those `until` another may lack.

    For each of that there is a look of its own, which costs as much as this one and mostly finds nothing. `quiet` are
    the sessions that got none after that.
    """

    since: datetime
    until: datetime
    quiet: list[ObjectId]
    answered: bool
    pending: bool
    queued: bool
    with_files: bool


def look_through(since: datetime, until: datetime) -> Recent:
    """Look through the messages stored since a moment, and whose session got none after another."""
    lacking = {
        "answered": {"$max": {"$gt": ["$answer.text", None]}},
        "pending": {"$max": {"$eq": ["$answer.state", PENDING]}},
        "queued": {"$max": {"$eq": ["$status", "queued"]}},
        "with_files": {"$max": {"$ne": ["$media", []]}},
    }
    by_session = {"_id": "$session_id", "newest": {"$max": "$storedAt"}, **lacking}
    steps: list[dict[str, Any]] = [{"$match": {"storedAt": {"$gte": since}}}, {"$group": by_session}]
    rows = list(collection(MessageDocument).aggregate(steps))
    kinds = {kind: any(row[kind] for row in rows) for kind in lacking}
    return Recent(since, until, [row["_id"] for row in rows if row["newest"] < until], **kinds)


def miscounts(recent: Recent) -> list[Miscount]:
    """Compare the quiet sessions with their messages."""
    found: list[Miscount] = []
    for start in range(0, len(recent.quiet), BATCH):
        found += _compare(recent.quiet[start : start + BATCH])
    return found


def _compare(ids: list[ObjectId]) -> list[Miscount]:
    # What is on its way out loses its messages before it goes itself.
    here = {"_id": {"$in": ids}, "retired": {"$exists": False}}
    sessions = collection(SessionDocument).find(here, {"message_count": 1})
    counted = {row["_id"]: row.get("message_count", 0) for row in sessions}
    stored = collection(MessageDocument).aggregate(
        [{"$match": {"session_id": {"$in": ids}}}, {"$group": {"_id": "$session_id", "messages": {"$sum": 1}}}]
    )
    return [
        Miscount(row["_id"], counted[row["_id"]], row["messages"])
        for row in stored
        if counted.get(row["_id"], row["messages"]) != row["messages"]
    ]


def recount(ids: list[ObjectId]) -> int:
    """Put the counts and times of these sessions right; gives how many were wrong."""
    return sum(correct(miscount) for miscount in _compare(ids))


def correct(miscount: Miscount) -> bool:
    """Put a session's count and times right; False where it had a message since and waits for the next look."""
    (times,) = totals([miscount.session_id]).values()
    done = collection(SessionDocument).update_one(
        {"_id": miscount.session_id, "message_count": miscount.counted},
        {
            "$set": {"message_count": miscount.stored},
            # They only ever grow or shrink, so a turn that comes now cannot be overwritten.
            "$max": {name: times[name] for name in ("last_message_at", "last_inbound_at") if times[name]},
            "$min": {name: times[name] for name in ("first_message_at",) if times[name]},
        },
    )
    return done.modified_count == 1


def totals(ids: Sequence[ObjectId]) -> dict[ObjectId, dict[str, Any]]:
    """Count the messages of sessions, and tell from when to when they go; those without any are left out."""
    # Private notes are counted, and are no activity (rule T5): their moments are left out.
    moment = {"$cond": [{"$eq": ["$metadata.private", True]}, None, "$createdAt"]}
    inbound = {"$cond": [{"$eq": ["$direction", "inbound"]}, "$createdAt", None]}
    group: dict[str, Any] = {"first_message_at": {"$min": moment}, "last_message_at": {"$max": moment}}
    group |= {"last_inbound_at": {"$max": inbound}, "messages": {"$sum": 1}}
    pipeline: list[dict[str, Any]] = [
        {"$match": {"session_id": {"$in": list(ids)}}},
        {"$group": {"_id": "$session_id", **group}},
    ]
    return {row["_id"]: row for row in collection(MessageDocument).aggregate(pipeline)}


def drop_empty(older_than: datetime) -> int:
    """Delete sessions that were opened for a message which never came, and link around them.

    One that somebody asked for, to write in it, waits for a day.
    """
    sessions, dropped = collection(SessionDocument), 0
    for empty in sessions.find(
        {
            "message_count": 0,
            "createdAt": {"$lt": older_than},
            "opening.message_id": {"$exists": True},
            "$or": [{"opening.asked_for": None}, {"createdAt": {"$lt": older_than - ASKED_FOR}}],
            # One that is taken out of another it was merged with gets its messages back in a moment.
            "absorbed": {"$exists": False},
        }
    ):
        if collection(MessageDocument).find_one({"session_id": empty["_id"]}, {"_id": 1}):
            continue
        if sessions.delete_one({"_id": empty["_id"], "message_count": 0}).deleted_count:
            sessions.update_many(
                {"keys": {"$in": empty["keys"]}, "previous_session_id": empty["_id"]},
                {"$set": {"previous_session_id": empty["previous_session_id"]}},
            )
            dropped += 1
    return dropped


def missing_answers(recent: Recent) -> list[str]:
    """List those whose answer was given but is not there (mongod died between the two)."""
    if not recent.answered:
        return []
    stored = {"$gte": recent.since, "$lt": recent.until}
    rows = collection(MessageDocument).aggregate(
        [
            {"$match": {"storedAt": stored, "answer.text": {"$exists": True}}},
            # Pieces are stored in order, so the last one stands for all.
            {"$project": {"answer_id": {"$ifNull": ["$answer.last", {"$concat": ["re:", "$_id"]}]}}},
            {
                "$lookup": {
                    "from": MessageDocument._get_collection_name(),
                    "localField": "answer_id",
                    "foreignField": "_id",
                    "as": "answers",
                }
            },
            {"$match": {"answers": []}},
            {"$project": {"_id": 1}},
        ]
    )
    return [row["_id"] for row in rows]


def settled_until() -> datetime | None:
    """Tell up to when messages were looked at, by any worker."""
    found = collection(JobDocument).find_one({"_id": "settle"})
    return found["until"] if found else None


def set_settled_until(until: datetime) -> None:
    """Note up to when messages were looked at."""
    collection(JobDocument).update_one({"_id": "settle"}, {"$max": {"until": until}}, upsert=True)
