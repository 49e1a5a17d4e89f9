"""A person for reading: what is known of them, and their sessions over all channels the reader may see."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId

from gateway.store.connection import collection
from gateway.store.contacts import unescaped
from gateway.store.documents import NOT_DELETED, ChannelDocument, ContactDocument, SessionDocument
from gateway.store.isolation import Channels, only

_LISTED = {
    "title": 1,
    "communication_type": 1,
    "metadata": 1,
    "status": 1,
    "closed_reason": 1,
    "message_count": 1,
    "last_message_at": 1,
    "live": 1,
    "live_until": 1,
    "needs_person": 1,
    "keys": 1,
}


@dataclass(frozen=True, slots=True)
class OptOut:
    """One of our lines, or a messaging service, that a person said STOP to."""

    line: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Person:
    """A contact as stored; `identities` are numbers and other ids, `crm` what is kept of each CRM."""

    id: str
    name: str
    identities: tuple[str, ...]
    emails: tuple[str, ...]
    opted_out: tuple[OptOut, ...]
    crm: dict[str, Any]


def get(contact_id: str) -> Person | None:
    """Look a contact up; the one it was merged into instead, where that happened."""
    contacts, seen = collection(ContactDocument), set[str]()
    while ObjectId.is_valid(contact_id) and contact_id not in seen:
        seen.add(contact_id)
        found = contacts.find_one({"_id": ObjectId(contact_id)})
        if found is None:
            return None
        if not found.get("merged_into"):
            return _person(found)
        contact_id = str(found["merged_into"])
    return None


def _person(found: dict[str, Any]) -> Person:
    said = (found.get("opted_out") or {}).items()
    return Person(
        id=str(found["_id"]),
        name=found.get("name") or "",
        identities=(*(found.get("phones") or ()), *(found.get("external_ids") or ())),
        emails=tuple(found.get("emails") or ()),
        opted_out=tuple(OptOut(unescaped(line), told.get("at")) for line, told in said),
        crm=found.get("crm") or {},
    )


def sessions_of(
    contact_ids: Sequence[str], channels: Channels, *, limit: int, before: datetime | None = None
) -> list[dict[str, Any]]:
    """Give a person's sessions on these channels by last message, the newest first, and only before a moment."""
    theirs = {"contact_id": {"$in": [ObjectId(one) for one in contact_ids]}}
    wanted: dict[str, Any] = theirs | NOT_DELETED | only(channels)
    if before:
        wanted["last_message_at"] = {"$lt": before}
    found = collection(SessionDocument).find(wanted, _LISTED).sort([("last_message_at", -1), ("_id", -1)]).limit(limit)
    return [row | {"id": str(row["_id"])} for row in found]


def lines_of(channels: Collection[str]) -> set[str]:
    """Give the numbers of these channels."""
    found = collection(ChannelDocument).find({}, {"phone_number": 1})
    return {str(row.get("phone_number")) for row in found if str(row["_id"]) in channels}
