"""Counts and times put right after a crash, without ever racing the turns that are being stored meanwhile.

A process killed between storing a message and counting it leaves its session one short. Nothing marks that,
since a mark would cost every message a write; so the worker compares the sessions of recent messages with
their messages. A difference may also be a turn on its way. It is believed when a second look, some seconds
later, still shows it, and it is corrected by adding the difference, which commutes with turns in flight.
"""

from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

from gateway.store.connection import collection
from gateway.store.documents import JobDocument, MessageDocument, SessionDocument

BATCH = 500


def drifting(since: datetime) -> dict[str, int]:
    """Compare the sessions that got messages since then with all their messages: session id to difference.

    Positive where messages are not counted.
    """
    recent = collection(MessageDocument).aggregate(
        [{"$match": {"storedAt": {"$gte": since}}}, {"$group": {"_id": "$session_id"}}]
    )
    ids = [row["_id"] for row in recent]
    drift: dict[str, int] = {}
    for start in range(0, len(ids), BATCH):
        drift |= _compare(ids[start : start + BATCH])
    return drift


def _compare(ids: list[ObjectId]) -> dict[str, int]:
    sessions = collection(SessionDocument)
    counted = {row["_id"]: row for row in sessions.find({"_id": {"$in": ids}}, {"message_count": 1})}
    stored = {row["_id"]: row for row in _stored(ids)}
    again = {row["_id"]: row for row in sessions.find({"_id": {"$in": ids}}, {"message_count": 1})}
    drift = {}
    for session_id, row in stored.items():
        if session_id not in again or session_id not in counted:
            continue
        # Between the two readings of the counter the messages were counted, so what lies outside both is real.
        low, high = sorted((counted[session_id]["message_count"], again[session_id]["message_count"]))
        if row["messages"] > high:
            drift[str(session_id)] = row["messages"] - high
        elif row["messages"] < low:
            drift[str(session_id)] = row["messages"] - low
    return drift


def _stored(ids: list[ObjectId]) -> list[dict[str, Any]]:
    return list(
        collection(MessageDocument).aggregate(
            [
                {"$match": {"session_id": {"$in": ids}}},
                {
                    "$group": {
                        "_id": "$session_id",
                        "messages": {"$sum": 1},
                        "first": {"$min": "$createdAt"},
                        "last": {"$max": "$createdAt"},
                    }
                },
            ]
        )
    )


def correct(session_id: str, difference: int) -> None:
    """Add a difference that was seen twice, and let the times cover the session's messages."""
    rows = _stored([ObjectId(session_id)])
    times = {
        "$max": {"last_message_at": rows[0]["last"]},
        "$min": {"first_message_at": rows[0]["first"]},
    } if rows else {}  # fmt: skip
    collection(SessionDocument).update_one(
        {"_id": ObjectId(session_id)}, {"$inc": {"message_count": difference}, **times}
    )


def drop_empty(older_than: datetime) -> int:
    """Delete sessions that were opened for a message which never came, so that none of them is ever shown."""
    sessions, dropped = collection(SessionDocument), 0
    suspects = sessions.find(
        {
            "open_keys": {"$exists": True},
            "message_count": 0,
            "opening.message_id": {"$exists": True},
            "createdAt": {"$lt": older_than, "$gt": older_than - timedelta(days=1)},
        },
        {"_id": 1},
    ).hint("one_open_session")
    for suspect in suspects:
        if collection(MessageDocument).find_one({"session_id": suspect["_id"]}, {"_id": 1}) is None:
            dropped += sessions.delete_one({**suspect, "message_count": 0}).deleted_count
    return dropped


def missing_answers(since: datetime, until: datetime) -> list[str]:
    """List messages stored in this time whose answer was given but is not there (mongod died between the two)."""
    rows = collection(MessageDocument).aggregate(
        [
            {"$match": {"storedAt": {"$gte": since, "$lt": until}, "answer.text": {"$exists": True}}},
            {"$project": {"answer_id": {"$concat": ["re:", "$_id"]}}},
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
