"""What a merge of contacts does to sessions: one stays open (rule T10), and to undo it each person gets theirs back.

Every step may be repeated. Messages stay where they are; only in sessions that were opened while two contacts were
one does undoing write down whose they are.
"""

from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from gateway.store.connection import collection
from gateway.store.documents import MessageDocument, OutboxDocument, SessionDocument
from gateway.store.groups import Group
from gateway.store.merges import Closed
from gateway.store.outbox import WAITING

# As what a session is closed that goes on in another one of its person's.
MERGED = "merged"


def too_many_open(group: Group, now: datetime) -> tuple[list[Closed], bool]:
    """Give a person's open sessions but the newest, where their sessions are a contact's; also whether a call is on.

    A key that is an identity alone is a contact's (rule T1); with a channel in it, sessions stay beside each other.
    """
    fields = {"open_keys": 1, "live": 1, "live_until": 1}
    found = collection(SessionDocument).find({"open_keys": {"$in": list(group.identities)}}, fields)
    newest, *older = list(found.sort([("first_message_at", -1), ("_id", -1)])) or [{}]
    on_a_call = any(one.get("live") and one.get("live_until") and one["live_until"] >= now for one in older)
    return [Closed(str(one["_id"]), tuple(one["open_keys"]), str(newest["_id"])) for one in older], on_a_call


def close(closed: Closed, now: datetime) -> None:
    """Close a session whose person has a newer one, and let that one be found in its place."""
    collection(SessionDocument).update_one(
        {"_id": ObjectId(closed.session_id), "status": "active"},
        {
            "$set": {"status": "closed", "closed_reason": MERGED, "closed_at": now, "updatedAt": now},
            "$unset": {"open_keys": ""},
        },
    )


def restore(closed: Closed, now: datetime) -> None:
    """Open a session again that a merge closed, unless its sender has another open one (rule T10)."""
    try:
        collection(SessionDocument).update_one(
            {"_id": ObjectId(closed.session_id), "status": "closed", "closed_reason": MERGED},
            {
                "$set": {"status": "active", "open_keys": list(closed.open_keys), "updatedAt": now},
                "$unset": {"closed_reason": "", "closed_at": ""},
            },
        )
    except DuplicateKeyError:
        return


def give_back(to: Group, by: Group, since: datetime) -> int:
    """Give a person the sessions that they opened while they were one with another; gives how many these were.

    Whose a session is says the number it was opened by. A session that both wrote in stays with who opened it.
    """
    opened = {"contact_id": {"$in": list(by.ids)}, "createdAt": {"$gte": since}}
    theirs = set(to.identities)
    found = collection(SessionDocument).find(opened, {"keys": {"$slice": 1}})
    ids = [one["_id"] for one in found if _identities(one.get("keys")) & theirs]
    if not ids:
        return 0
    contact = {"$set": {"contact_id": to.head["_id"]}}
    others = {"contact_id": {"$in": list(by.ids)}}
    # The sessions go last: until then a process that goes on here finds them.
    collection(MessageDocument).update_many({"session_id": {"$in": ids}} | others, contact)
    collection(OutboxDocument).update_many({"state": WAITING, "session_id": {"$in": ids}} | others, contact)
    collection(SessionDocument).update_many({"_id": {"$in": ids}}, contact)
    return len(ids)


def _identities(keys: Any) -> set[str]:
    return {str(key).rpartition("|")[2] for key in keys or ()}


def part_keys(one: Group, other: Group) -> None:
    """Let nobody find the other's sessions any more."""
    for mine, theirs in ((one, other), (other, one)):
        foreign, own = {"$in": list(theirs.identities)}, {"$in": list(mine.identities)}
        # What is known by nobody else's number keeps the one it has, or it would never be found again.
        shared = [{"keys": foreign}, {"keys": own}, {"contact_id": {"$in": list(mine.ids)}}]
        sessions = collection(SessionDocument)
        sessions.update_many({"$and": [*shared, {"open_keys": own}]}, {"$pull": {"open_keys": foreign}})
        sessions.update_many({"$and": shared}, {"$pull": {"keys": foreign}})
