"""Contacts that turned out to be one person, noted until they are merged: a killed process leaves the note behind."""

from collections.abc import Sequence
from datetime import datetime

from bson import ObjectId

from gateway.store import groups, merges
from gateway.store.connection import collection
from gateway.store.documents import ContactDocument

# Why two are one: what they wrote by came in one message, an e-mail address was proved, or two spellings of a number.
SEEN_TOGETHER, EMAIL_PROVED, SAME_NUMBER = "seen_together", "email_proved", "same_number"


def note(contact_id: str, others: Sequence[str], reason: str, now: datetime) -> bool:
    """Note that a contact is these others too; False where nothing is to be done about it.

    Those are left alone that somebody parted: what a person undid is not done again by itself.
    """
    mine, is_noted = groups.whole(contact_id), False
    for other in map(groups.whole, others):
        if other.id == mine.id or merges.were_parted(mine.ids, other.ids):
            continue
        entry = {"with": other.head["_id"], "reason": reason, "at": now}
        which = {"_id": mine.head["_id"], "to_merge.with": {"$ne": entry["with"]}}
        collection(ContactDocument).update_one(which, {"$push": {"to_merge": entry}})
        is_noted = True
    return is_noted


def noted(*, limit: int = 100) -> list[tuple[str, str, str]]:
    """List what is to be merged, noted first first: a contact, another that it is too, and why."""
    found = collection(ContactDocument).find({"to_merge": {"$exists": True}}, {"to_merge": 1})
    rows = found.sort("to_merge.at", 1).hint("to_merge").limit(limit)
    return [(str(row["_id"]), str(one["with"]), one["reason"]) for row in rows for one in row["to_merge"]]


def of_contact(contact_id: str) -> list[tuple[str, str, str]]:
    """List what a contact is to be merged with."""
    found = collection(ContactDocument).find_one({"_id": ObjectId(contact_id)}, {"to_merge": 1}) or {}
    return [(contact_id, str(one["with"]), one["reason"]) for one in found.get("to_merge") or ()]


def done(contact_id: str, other_id: str) -> None:
    """Take a note away: it is done, or not to be done any more."""
    contacts, which = collection(ContactDocument), {"_id": ObjectId(contact_id)}
    contacts.update_one(which, {"$pull": {"to_merge": {"with": ObjectId(other_id)}}})
    contacts.update_one(which | {"to_merge": []}, {"$unset": {"to_merge": ""}})
