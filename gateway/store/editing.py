"""What is written down of contacts by hand: identifiers given to them and taken off, each one contact's."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from gateway.core import identifiers
from gateway.store import contacts, groups, suppressions
from gateway.store.connection import collection
from gateway.store.documents import ContactDocument
from gateway.store.groups import IDENTIFIERS, Group, escaped


def add(wanted: Mapping[str, Sequence[str]], name: str, now: datetime) -> str | None:
    """Make a contact with these lists of identifiers; None where another one has one of them."""
    identities = [value for field in ("phones", "external_ids") for value in wanted.get(field, ())]
    # Who was forgotten keeps what they said STOP to.
    said_stop = suppressions.lines_of(identities)
    known_by = forms(wanted)
    document = {
        "name": name or None,
        **{field: list(values) for field, values in wanted.items() if values},
        **({"identifiers": known_by} if known_by else {}),
        "opted_out": {escaped(line): {"at": now, "message_id": None} for line in said_stop},
        "crm": {},
        "createdAt": now,
    }
    try:
        return str(collection(ContactDocument).insert_one(document).inserted_id)
    except DuplicateKeyError:
        return None


def forms(lists: Mapping[str, Sequence[str]]) -> list[str]:
    """Give the one form of each of these identifiers, by the lists a contact has."""
    return identifiers.of(*(lists.get(field, ()) for field in IDENTIFIERS))


def extend(group: Group, more: Mapping[str, Sequence[str]], name: str | None) -> bool:
    """Give a person further identifiers, and another name where one is given; False where another has one of them.

    Another spelling of what they have goes to the contact of theirs that has it.
    """
    given = [(field, value, forms({field: [value]})[0]) for field, values in more.items() for value in values]
    try:
        for field, value, form in given:
            owner = ObjectId(group.owner([form]))
            collection(ContactDocument).update_one({"_id": owner}, {"$addToSet": {field: value, "identifiers": form}})
    except DuplicateKeyError:
        return False
    if name is not None:
        contacts.rename(group.id, name)
    return True


def take_off(contact_ids: Sequence[ObjectId], field: str, values: Sequence[str]) -> None:
    """Take identifiers off contacts; a list that is empty then goes, for the unique index would have it as null."""
    among = {"_id": {"$in": list(contact_ids)}, field: {"$in": list(values)}}
    for one in list(collection(ContactDocument).find(among)) if values else ():
        lists = {name: [value for value in one.get(name) or () if name != field or value not in values]
                 for name in IDENTIFIERS}  # fmt: skip
        gone = set(forms({field: values})) - set(forms(lists))
        _without(one["_id"], {field: list(values), "identifiers": sorted(gone)})


def _without(contact_id: ObjectId, less: Mapping[str, Sequence[str]]) -> None:
    left = {field: {"$setDifference": [f"${field}", list(values)]} for field, values in less.items() if values}
    rest = {
        field: {"$cond": [{"$eq": [{"$ifNull": [f"${field}", []]}, []]}, "$$REMOVE", f"${field}"]} for field in left
    }
    collection(ContactDocument).update_one({"_id": contact_id}, [{"$set": left}, {"$set": rest}])


def holder(field: str, values: Sequence[str]) -> tuple[str, str] | None:
    """Find a contact that has one of these identifiers, however it spells it: its person's id, and the identifier."""
    if not values:
        return None
    written = {forms({field: [value]})[0]: value for value in values}
    among = [{field: {"$in": list(values)}}, {"identifiers": {"$in": list(written)}}]
    found = collection(ContactDocument).find_one({"$or": among})
    if found is None:
        return None
    theirs = groups.forms_of(found)
    return groups.of(found).id, next(value for form, value in written.items() if form in theirs)
