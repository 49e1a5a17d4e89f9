"""A person for reading: what is known of them, and their sessions over all channels the reader may see."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bson import ObjectId

from gateway.core.messages import CHAT
from gateway.core.participant import EMAIL
from gateway.store import claims, groups
from gateway.store.claims import Claim
from gateway.store.connection import collection
from gateway.store.documents import NOT_DELETED, ChannelDocument, SessionDocument
from gateway.store.groups import Group
from gateway.store.isolation import Channels, only

_LISTED = {
    "title": 1,
    "channel_id": 1,
    "communication_type": 1,
    "metadata": 1,
    "status": 1,
    "closed_reason": 1,
    "closed_at": 1,
    "first_message_at": 1,
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

    `members` are the ids of all these contacts: each kept its sessions. `claims` are what they say of themselves.
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
    claims: tuple[Claim, ...] = ()

    @property
    def identities(self) -> tuple[str, ...]:
        """Give the numbers and other ids they write by."""
        return (*self.phones, *self.external_ids)

    @property
    def ways(self) -> tuple[str, ...]:
        """Give what people know them by: numbers, other ids and addresses, each once."""
        return (*(one for one in self.identities if not one.startswith(EMAIL)), *self.emails)


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
        crm=_crm(group),
        members=tuple(str(one) for one in group.ids),
        created_at=group.head.get("createdAt") or group.head["_id"].generation_time,
        claims=claims.of(group),
    )


def _crm(group: Group) -> dict[str, Any]:
    """Give what is kept of each CRM; a contact that was adopted may have anything else there."""
    known = group.first("crm")
    return known if isinstance(known, dict) else {}


def sessions_of(
    contact_ids: Sequence[str],
    channels: Channels,
    *,
    limit: int,
    before: datetime | None = None,
    after: tuple[datetime, str] | None = None,
) -> list[dict[str, Any]]:
    """Give a person's sessions on these channels by last message, the newest first.

    Only those before a moment, or that follow `after`: a session's last message and its id.
    """
    wanted = theirs(contact_ids, channels)
    if before:
        wanted["last_message_at"] = {"$lt": before}
    if after:
        at, last = after
        older = [{"last_message_at": {"$lt": at}}, {"last_message_at": at, "_id": {"$lt": ObjectId(last)}}]
        wanted["$or"] = older
    found = collection(SessionDocument).find(wanted, _LISTED).sort([("last_message_at", -1), ("_id", -1)]).limit(limit)
    return [row | {"id": str(row["_id"])} for row in found]


def theirs(contact_ids: Sequence[str], channels: Channels) -> dict[str, Any]:
    """Match the sessions of these contacts on these channels."""
    return {"contact_id": {"$in": [ObjectId(one) for one in contact_ids]}} | NOT_DELETED | only(channels)


def is_seen(contact_ids: Sequence[str], channels: Channels) -> bool:
    """Tell whether a person is there for somebody who sees these channels: by a session on one of them."""
    if channels is None:
        return True
    return collection(SessionDocument).find_one(theirs(contact_ids, channels), {"_id": 1}) is not None


def seen_among(contact_ids: Sequence[str], channels: Channels) -> set[ObjectId] | None:
    """Give those of many contacts that have a session on these channels; None where all are seen."""
    if channels is None:
        return None
    return set(collection(SessionDocument).distinct("contact_id", theirs(contact_ids, channels)))


def identities_on(contact_ids: Sequence[str], channels: Channels) -> set[str]:
    """Give the numbers and other ids that a person's sessions on these channels were found by."""
    found = collection(SessionDocument).distinct("keys", theirs(contact_ids, channels))
    return {str(key).rpartition("|")[2] for key in found}


def lines_of(channels: Channels) -> set[str]:
    """Give the numbers of these channels; a website is none, for nothing is sent from it by itself."""
    found = collection(ChannelDocument).find({"communication_type": {"$ne": CHAT}}, {"phone_number": 1})
    return {str(row.get("phone_number")) for row in found if channels is None or str(row["_id"]) in channels}


def known_as(contact_id: str) -> str:
    """Say how a contact that was merged is known, without those it was merged with; empty where it is gone."""
    found = groups.alone(contact_id)
    if found is None:
        return ""
    alone = of(found)
    return alone.name or next(iter((*alone.identities, *alone.emails)), "no name")


def as_seen(person: Person, channels: Channels) -> Person:
    """Leave out what tells of other channels: what is known from there, and what was said there."""
    if channels is None:
        return person
    known, lines = identities_on(person.members, channels), lines_of(channels)
    return replace(
        person,
        phones=tuple(one for one in person.phones if one in known),
        emails=tuple(one for one in person.emails if f"{EMAIL}{one}" in known),
        external_ids=tuple(one for one in person.external_ids if one in known),
        opted_out=tuple(out for out in person.opted_out if out.line in lines),
        claims=claims.seen(person.claims, channels),
    )
