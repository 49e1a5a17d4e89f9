"""What the list shows of sessions beside themselves: whose they are, and what was said last."""

from collections.abc import Collection, Sequence
from typing import Any

from bson import ObjectId

from gateway.store import groups
from gateway.store.connection import collection
from gateway.store.documents import NOT_PRIVATE, MessageDocument, SessionDocument
from gateway.store.isolation import Channels, only

# What fits into a line, and a little more.
LENGTH = 160


def names(contact_ids: Collection[str]) -> dict[str, str]:
    """Give the names of the people that contacts are, by the contacts' ids; whoever has none is left out."""
    named = {contact_id: group.first("name") for contact_id, group in groups.heads(contact_ids).items()}
    return {contact_id: name for contact_id, name in named.items() if name}


_GLIMPSE = {
    "content": {"$substrCP": [{"$ifNull": ["$content", ""]}, 0, LENGTH]},
    "session_id": 1,
    "direction": 1,
    "sender": 1,
    "communication_type": 1,
    "media.content_type": 1,
}


def last_messages(session_ids: Collection[str], channels: Channels) -> dict[str, dict[str, Any]]:
    """Give each session's newest message on these channels, its content cut short; private notes are passed over."""
    ids = [ObjectId(session_id) for session_id in session_ids]
    last = _newest(ids, channels)
    if others := [one for one in ids if one not in last]:
        last |= _newest_allowed(others, channels)
    return {str(session_id): message for session_id, message in last.items()}


def _newest(ids: Sequence[ObjectId], channels: Channels) -> dict[ObjectId, dict[str, Any]]:
    """Give the newest messages of sessions, but for those that are not allowed.

    Sorted down both ways, and grouped by the first, MongoDB jumps from session to session in the index and reads one
    message of each: 26 in 0.3 ms, where looking into one session after the other took 4.7 ms.
    """
    found = collection(MessageDocument).aggregate(
        [
            {"$match": {"session_id": {"$in": ids}}},
            {"$sort": {"session_id": -1, "createdAt": -1}},
            {"$group": {"_id": "$session_id", "last": {"$first": "$$ROOT"}}},
            {"$replaceRoot": {"newRoot": "$last"}},
            {"$match": only(channels) | NOT_PRIVATE},
            {"$project": _GLIMPSE},
        ]
    )
    return {message["session_id"]: message for message in found}


def _newest_allowed(ids: Sequence[ObjectId], channels: Channels) -> dict[ObjectId, dict[str, Any]]:
    """Give each session's newest message that is allowed, looking into one after the other."""
    newest = [{"$match": only(channels) | NOT_PRIVATE}, {"$sort": {"createdAt": -1}}, {"$limit": 1}]
    found = collection(SessionDocument).aggregate(
        [
            {"$match": {"_id": {"$in": ids}}},
            {"$project": {"_id": 1}},
            {
                "$lookup": {
                    "from": collection(MessageDocument).name,
                    "localField": "_id",
                    "foreignField": "session_id",
                    "pipeline": [*newest, {"$project": _GLIMPSE}],
                    "as": "last",
                }
            },
        ]
    )
    return {row["_id"]: row["last"][0] for row in found if row["last"]}
