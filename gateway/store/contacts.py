"""The people behind the sessions: looked up when a session opens, never on a known sender's message."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from gateway.core.participant import EMAIL, Participant
from gateway.store import groups, suppressions
from gateway.store.connection import collection
from gateway.store.documents import ContactDocument
from gateway.store.groups import Group, escaped


@dataclass(frozen=True, slots=True)
class Contact:
    """A person as far as filing a message needs them. `opted_out` are the lines they said STOP to.

    `identities` are those of all contacts that were merged, where this is more than one.
    """

    id: str
    opted_out: tuple[str, ...] = ()
    identities: tuple[str, ...] = ()


def resolve(sender: Participant, now: datetime, *, as_id: str | None = None) -> Contact | None:
    """Find the contact behind a sender, or make it; None for a caller who withholds the number.

    `as_id` is the id a new one gets; where a contact has that already, it is this one.
    """
    if sender.withheld:
        return None
    phones, others = _by_kind(sender)
    known = _known_by(sender)
    document: dict[str, Any] = {
        "name": sender.name,
        "emails": [one.removeprefix(EMAIL) for one in others if one.startswith(EMAIL)],
        "opted_out": {},
        "crm": {},
        "createdAt": now,
    }
    # An array that is not there keeps out of the unique index; an empty one would be in it as null.
    document |= {"phones": phones} if phones else {}
    document |= {"external_ids": others} if others else {}
    document |= {"_id": ObjectId(as_id)} if as_id else {}
    contacts = collection(ContactDocument)
    found = contacts.find_one({"$or": known})
    if found is None:
        # Who was forgotten keeps what they said STOP to.
        said_stop = suppressions.lines_of(sender.identities)
        document["opted_out"] = {escaped(line): {"at": now, "message_id": None} for line in said_stop}
        try:
            contacts.insert_one(document)
            found = document
        except DuplicateKeyError:
            found = contacts.find_one({"$or": known})
            if found is None and as_id:
                found = contacts.find_one({"_id": ObjectId(as_id)})
    if found and not {*phones, *others} <= {*found.get("phones", ()), *found.get("external_ids", ())}:
        _learn(found["_id"], sender)
    return None if found is None else _contact(groups.of(found))


def find(person: Participant) -> Contact | None:
    """Find the contact behind a person, and make none."""
    found = collection(ContactDocument).find_one({"$or": _known_by(person)})
    return _contact(groups.of(found)) if found else None


def opted_out_of(person: Participant) -> tuple[str, ...]:
    """Give the lines a person said STOP to, who may be no contact, or none any more."""
    known = find(person)
    return known.opted_out if known else suppressions.lines_of(person.identities)


def _by_kind(person: Participant) -> tuple[list[str], list[str]]:
    phones = [identity for identity in person.identities if identity.startswith("+")]
    return phones, [identity for identity in person.identities if not identity.startswith("+")]


def _known_by(person: Participant) -> list[dict[str, Any]]:
    phones, others = _by_kind(person)
    emails = [one.removeprefix(EMAIL) for one in others if one.startswith(EMAIL)]
    known = {"phones": phones, "external_ids": others, "emails": emails}
    return [{field: {"$in": values}} for field, values in known.items() if values]


def add(wanted: Mapping[str, Sequence[str]], name: str, now: datetime) -> str | None:
    """Make a contact with these lists of identifiers; None where another one has one of them."""
    identities = [value for field in ("phones", "external_ids") for value in wanted.get(field, ())]
    # Who was forgotten keeps what they said STOP to.
    said_stop = suppressions.lines_of(identities)
    document = {
        "name": name or None,
        **{field: list(values) for field, values in wanted.items() if values},
        "opted_out": {escaped(line): {"at": now, "message_id": None} for line in said_stop},
        "crm": {},
        "createdAt": now,
    }
    try:
        return str(collection(ContactDocument).insert_one(document).inserted_id)
    except DuplicateKeyError:
        return None


def extend(contact_id: str, more: Mapping[str, Sequence[str]], name: str | None) -> bool:
    """Give a contact further identifiers, and another name where one is given; False where another has one of them."""
    added = {field: {"$each": list(values)} for field, values in more.items() if values}
    changes: dict[str, Any] = {"$addToSet": added} if added else {}
    if name is not None:
        changes["$set"] = {"name": name or None}
    try:
        if changes:
            collection(ContactDocument).update_one({"_id": ObjectId(contact_id)}, changes)
    except DuplicateKeyError:
        return False
    return True


def take_off(contact_ids: Sequence[ObjectId], field: str, values: Sequence[str]) -> None:
    """Take identifiers off contacts; a list that is empty then goes, for the unique index would have it as null."""
    if not values:
        return
    left = {"$setDifference": [f"${field}", list(values)]}
    collection(ContactDocument).update_many(
        {"_id": {"$in": list(contact_ids)}, field: {"$in": list(values)}},
        [{"$set": {field: left}}, {"$set": {field: {"$cond": [{"$eq": [f"${field}", []]}, "$$REMOVE", f"${field}"]}}}],
    )


def holder(field: str, values: Sequence[str]) -> tuple[str, str] | None:
    """Find a contact that has one of these identifiers: its person's id, and the identifier."""
    found = collection(ContactDocument).find_one({field: {"$in": list(values)}}) if values else None
    if found is None:
        return None
    return groups.of(found).id, next(value for value in found[field] if value in values)


def want_forgotten(contact_id: str, by: str, now: datetime) -> None:
    """Note that a contact is to be forgotten, with all that were merged with it; a worker does it."""
    change = {"$set": {"to_forget": {"at": now, "by": by}}}
    collection(ContactDocument).update_one({"_id": ObjectId(contact_id), "to_forget": {"$exists": False}}, change)


def to_forget() -> list[str]:
    """List the contacts that are to be forgotten, who was asked first first."""
    found = collection(ContactDocument).find({"to_forget": {"$exists": True}}, {"_id": 1}).sort("to_forget.at", 1)
    return [str(one["_id"]) for one in found.hint("to_forget").limit(100)]


def rename(contact_id: str, name: str) -> None:
    """Give a person another name; an empty one is none."""
    collection(ContactDocument).update_one({"_id": ObjectId(contact_id)}, {"$set": {"name": name or None}})


def learn(contact_id: str, sender: Participant) -> None:
    """Note further identities of a person; one that another contact has already stays there."""
    _learn(ObjectId(groups.whole(contact_id).owner(sender.identities)), sender)


def _learn(contact_id: ObjectId, sender: Participant) -> None:
    for identity in sender.identities:
        field = "phones" if identity.startswith("+") else "external_ids"
        known = {field: identity} | ({"emails": identity.removeprefix(EMAIL)} if identity.startswith(EMAIL) else {})
        with contextlib.suppress(DuplicateKeyError):
            collection(ContactDocument).update_one({"_id": contact_id}, {"$addToSet": known})


def _contact(group: Group) -> Contact:
    merged = group.identities if len(group.members) > 1 else ()
    return Contact(group.id, tuple(group.opted_out), merged)


def record_opt_out(
    contact_ids: Sequence[str], lines: Sequence[str], *, out: bool, message_id: str | None, at: datetime
) -> None:
    """Note that contacts said STOP (or START) to these numbers or messaging services."""
    fields = [f"opted_out.{escaped(line)}" for line in lines]
    change = (
        {"$set": {name: {"at": at, "message_id": message_id} for name in fields}}
        if out
        else {"$unset": dict.fromkeys(fields, "")}
    )
    among = {"$in": [ObjectId(one) for one in contact_ids]}
    collection(ContactDocument).update_many({"_id": among}, change)


def opted_out(contact_id: str) -> tuple[str, ...]:
    """Give the numbers and messaging services a person said STOP to."""
    found = groups.find(contact_id)
    return tuple(found.opted_out) if found else ()
