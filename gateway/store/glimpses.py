"""What the list shows of sessions beside themselves: whose they are, and what was said last."""

from collections.abc import Collection
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


def last_messages(session_ids: Collection[str], channels: Channels) -> dict[str, dict[str, Any]]:
    """Give each session's newest message on these channels, its content cut short; private notes are passed over."""
    newest = [
        {"$match": only(channels) | NOT_PRIVATE},
        {"$sort": {"createdAt": -1}},
        {"$limit": 1},
        {
            "$project": {
                "content": {"$substrCP": [{"$ifNull": ["$content", ""]}, 0, LENGTH]},
                "direction": 1,
                "sender": 1,
                "communication_type": 1,
                "media.content_type": 1,
            }
        },
    ]
    found = collection(SessionDocument).aggregate(
        [
            {"$match": {"_id": {"$in": [ObjectId(session_id) for session_id in session_ids]}}},
            {"$project": {"_id": 1}},
            {
                "$lookup": {
                    "from": collection(MessageDocument).name,
                    "localField": "_id",
                    "foreignField": "session_id",
                    "pipeline": newest,
                    "as": "last",
                }
            },
        ]
    )
    return {str(row["_id"]): row["last"][0] for row in found if row["last"]}
