"""A person for reading: what is known of them, and their sessions over all channels the reader may see."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId

from gateway.store import groups
from gateway.store.connection import collection
from gateway.store.documents import NOT_DELETED, ChannelDocument, SessionDocument
from gateway.store.groups import Group
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
    """A contact with all that were merged into it; `crm` is what is kept of each CRM.

    `members` are the ids of all these contacts: each kept its sessions.
    """

    id: str
    name: str
    phones: tuple[str, ...]
    external_ids: tuple[str, ...]
    emails: tuple[str, ...]
    opted_out: tuple[OptOut, ...]
    crm: dict[str, Any]
    members: tuple[str, ...]
    created_at: datetime

    @property
    def identities(self) -> tuple[str, ...]:
        """Give the numbers and other ids they write by."""
        return (*self.phones, *self.external_ids)


def get(contact_id: str) -> Person | None:
    """Look a contact up, or the one it was merged into; None for one who is about to be forgotten."""
    found = groups.find(contact_id)
    return of(found) if found and not found.first("to_forget") else None


def of(group: Group) -> Person:
    """Put together what is known of a person."""
    return Person(
        id=group.id,
        name=group.first("name") or "",
        phones=group.values("phones"),
        external_ids=group.values("external_ids"),
        emails=group.values("emails"),
        opted_out=tuple(OptOut(line, told.get("at")) for line, told in group.opted_out.items()),
        crm=group.first("crm") or {},
        members=tuple(str(one) for one in group.ids),
        created_at=group.head.get("createdAt") or group.head["_id"].generation_time,
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
