"""The people behind the sessions: looked up when a session opens, never on a known sender's message."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from gateway.core import identifiers
from gateway.core.participant import EMAIL, Participant
from gateway.store import groups, import_changes, numbers, suppressions, writing
from gateway.store.connection import collection
from gateway.store.documents import ContactDocument
from gateway.store.groups import IDENTIFIERS, Document, Group, escaped


@dataclass(frozen=True, slots=True)
class Contact:
    """A person as far as filing a message needs them. `opted_out` are the lines they said STOP to.

    `identities` is all they are known to write by, `members` are the ids of all contacts that were merged. `others`
    are contacts that the sender is too, as it turns out.
    """

    id: str
    opted_out: tuple[str, ...] = ()
    identities: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sender:
    """Somebody who wrote to a number of ours, whose country a number without one is read in."""

    person: Participant
    line: str | None


# Each attempt that fails means that somebody else made the contact, or that it was just forgotten.
_ATTEMPTS = 3


def resolve(
    sender: Participant,
    now: datetime,
    *,
    as_id: str | None = None,
    line: str | None = None,
    shared: Collection[str] = (),
    import_id: str | None = None,
) -> Contact | None:
    """Find the contact behind a sender, or make it; None for a caller who withholds the number.

    `as_id` is the id a new one gets; where a contact has that already, it is this one. `line` is the number of ours
    whose country a number without one is read in. `shared` is left out where they are known by something else too.
    `import_id` is the import that brings a new one; it names nobody who is here already, which could not be undone.
    """
    if sender.withheld:
        return None
    person = identifiers.told_apart(sender, shared)
    forms = numbers.forms(person, line)
    new = {"createdAt": now} | ({"_id": ObjectId(as_id)} if as_id else {})
    new |= {"import_id": ObjectId(import_id)} if import_id else {}
    found = _found_or_made(person, forms, new)
    if not found:
        return None
    mine, *others = groups.distinct(found)
    if person.name and not import_id and not mine.first("name"):
        _take_name(mine, person.name)
    if not shared or set(forms.values()).isdisjoint(shared):
        said_stop = dict.fromkeys(line for group in (mine, *others) for line in group.opted_out)
        return replace(_contact(mine), opted_out=tuple(said_stop), others=tuple(one.id for one in others))
    return _contact(mine)


def _take_name(group: Group, name: str) -> None:
    """Give somebody without a name the first that comes; one that was given meanwhile stays."""
    nameless = {"_id": group.head["_id"], "name": {"$in": [None, ""]}}
    writing.update(ContactDocument, nameless, {"$set": {"name": name}}, last=False)


def _found_or_made(person: Participant, forms: Mapping[str, str], new: Document) -> list[Document]:
    for _ in range(_ATTEMPTS):
        found = _known(person, forms) or _made(person, forms, new)
        if found and _learn(found, person, forms, str(new.get("import_id") or "")):
            return found
    return _known(person, forms)


def _written(contact: Document) -> set[str]:
    return {value for field in IDENTIFIERS for value in contact.get(field) or ()}


def _known(person: Participant, forms: Mapping[str, str]) -> list[Document]:
    """Give the stored contacts that have any of these, whoever has what they wrote by first."""
    known = [{"identifiers": {"$in": sorted(set(forms.values()))}}, *_known_by(person)]
    found = writing.find_all(ContactDocument, {"$or": known})
    return sorted(found, key=lambda one: (_place(one, forms), one["_id"])) if len(found) > 1 else found


def _place(contact: Document, forms: Mapping[str, str]) -> int:
    theirs = groups.forms_of(contact)
    return next((place for place, form in enumerate(forms.values()) if form in theirs), len(forms))


def _made(person: Participant, forms: Mapping[str, str], new: Document) -> list[Document]:
    """Make a contact; none where somebody else was faster, unless it has the id that this one was to have."""
    made = {"_id": ObjectId()} | document(person, forms, new, suppressions.lines_of(person.identities))
    if writing.insert(ContactDocument, [made], ordered=True):
        # Before theirs is used: a new primary may be without it.
        writing.confirm()
        return list(collection(ContactDocument).find({"_id": new["_id"]})) if "_id" in new else []
    return [made]


def document(
    person: Participant, forms: Mapping[str, str], new: Mapping[str, Any], said_stop: Collection[str]
) -> Document:
    """Give a new contact as it is stored. Who was forgotten keeps what they said STOP to."""
    phones, others = _by_kind(person)
    made: Document = {
        "name": person.name,
        "emails": [one.removeprefix(EMAIL) for one in others if one.startswith(EMAIL)],
        "identifiers": list(dict.fromkeys(forms.values())),
        "opted_out": {escaped(line): {"at": new["createdAt"], "message_id": None} for line in said_stop},
        "crm": {},
        **new,
    }
    # An array that is not there keeps out of the unique index; an empty one would be in it as null.
    return made | ({"phones": phones} if phones else {}) | ({"external_ids": others} if others else {})


def find(person: Participant, *, line: str | None = None) -> Contact | None:
    """Find the contact behind a person, as `resolve` does, and make none."""
    found = _known(person, numbers.forms(person, line))
    return _contact(groups.of(found[0])) if found else None


def opted_out_of(person: Participant) -> tuple[str, ...]:
    """Give the lines a person said STOP to, who may be no contact, or none any more."""
    known = find(person)
    return known.opted_out if known else suppressions.lines_of(person.identities)


def _by_kind(person: Participant) -> tuple[list[str], list[str]]:
    phones = [identity for identity in person.identities if identity.startswith("+")]
    return phones, [identity for identity in person.identities if not identity.startswith("+")]


def _known_by(person: Participant) -> list[dict[str, Any]]:
    """Match what they wrote by as it came: an older version knows contacts by nothing else."""
    phones, others = _by_kind(person)
    emails = [one.removeprefix(EMAIL) for one in others if one.startswith(EMAIL)]
    known = {"phones": phones, "external_ids": others, "emails": emails}
    return [{field: {"$in": values}} for field, values in known.items() if values]


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


def learn(contact_id: str, person: Participant, *, line: str | None) -> tuple[str, ...]:
    """Note further identities of a person; gives whoever else has one of them already, to whom it stays."""
    forms = numbers.forms(person, line)
    group = groups.whole(contact_id)
    owner = group.owner(tuple(forms.values()))
    mine = sorted(group.members, key=lambda one: str(one["_id"]) != owner)
    if _learn(mine, person, forms):
        return ()
    return tuple(one.id for one in groups.distinct(_known(person, forms)) if one.id != group.id)


def _learn(found: Sequence[Document], person: Participant, forms: Mapping[str, str], import_id: str = "") -> bool:
    """Note what the first of some contacts is known by too, and none of the others; `import_id` is who says so.

    False where a contact that was not found has something of it, which it keeps.
    """
    mine, is_whole = found[0], True
    written = _written(mine)
    stored = set(mine.get("identifiers") or ())
    others = {form for one in found[1:] for form in groups.forms_of(one)}
    for identity in person.identities:
        if (identity in written and forms[identity] in stored) or forms[identity] in others:
            continue
        known = {"identifiers": forms[identity], "phones" if identity.startswith("+") else "external_ids": identity}
        known |= {"emails": identity.removeprefix(EMAIL)} if identity.startswith(EMAIL) else {}
        if import_id:
            import_changes.note_learned(import_id, mine, known)
        try:
            collection(ContactDocument).update_one({"_id": mine["_id"]}, {"$addToSet": known})
        except DuplicateKeyError:
            is_whole = False
    return is_whole


def of(stored: Document) -> Contact:
    """Give whom a stored contact is."""
    return _contact(groups.of(stored))


def _contact(group: Group) -> Contact:
    return Contact(group.id, tuple(group.opted_out), group.identities, members=tuple(map(str, group.ids)))


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


def all_opted_out(contact_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Give the same of several people, by their ids, with those that are there only."""
    wanted = {"_id": {"$in": [ObjectId(one) for one in set(contact_ids) if ObjectId.is_valid(one)]}}
    return {str(found["_id"]): tuple(groups.of(found).opted_out) for found in collection(ContactDocument).find(wanted)}
