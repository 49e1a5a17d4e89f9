"""Contacts without the one form of each identifier: whoever writes by another spelling of it is found by that."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from gateway.core import identifiers
from gateway.store import linking
from gateway.store.connection import DUPLICATE_KEY, collection
from gateway.store.documents import ContactDocument
from gateway.store.groups import IDENTIFIERS
from gateway.store.migrations.pattern import Mended, Migration

Contact = Mapping[str, Any]


def mend(contacts: Sequence[Contact]) -> Mended:
    """Add the forms that contacts lack; two with spellings of one number are noted, for a worker to merge them."""
    lacking = [contact for contact in contacts if _lacks(contact)]
    if lacking and not _all_at_once(lacking):
        # One has what another has, or was changed meanwhile: each by itself, as it is now.
        ids = [contact["_id"] for contact in lacking]
        for contact in collection(ContactDocument).find({"_id": {"$in": ids}}, dict(IDENTIFY_CONTACTS.fields)):
            _each_form(contact)
    return Mended(len(lacking))


def _lacks(contact: Contact) -> list[str]:
    forms = identifiers.of(*(contact.get(field) or () for field in IDENTIFIERS))
    kept = contact.get("identifiers") or ()
    return [form for form in forms if form not in kept]


def _as_seen(contact: Contact) -> dict[str, Any]:
    """Match a contact as long as it has what it had: what was taken off meanwhile is not to be known again."""
    return {"_id": contact["_id"]} | {field: contact.get(field) for field in IDENTIFIERS}


def _all_at_once(lacking: Sequence[Contact]) -> bool:
    writes = [UpdateOne(_as_seen(one), {"$addToSet": {"identifiers": {"$each": _lacks(one)}}}) for one in lacking]
    try:
        return collection(ContactDocument).bulk_write(writes, ordered=False).matched_count == len(writes)
    except BulkWriteError as error:
        failures: list[dict[str, Any]] = error.details["writeErrors"]
        if error.details["writeConcernErrors"] or any(failure["code"] != DUPLICATE_KEY for failure in failures):
            raise
        return False


def _each_form(contact: Contact) -> None:
    contacts = collection(ContactDocument)
    for form in _lacks(contact):
        try:
            contacts.update_one(_as_seen(contact), {"$addToSet": {"identifiers": form}})
        except DuplicateKeyError:
            other = contacts.find_one({"identifiers": form}, {"_id": 1})
            if other:
                linking.note(str(contact["_id"]), [str(other["_id"])], linking.SAME_NUMBER, datetime.now(UTC))


IDENTIFY_CONTACTS = Migration(
    number=3,
    name="identify_contacts",
    why="people are found by one spelling of their number only",
    documents=ContactDocument,
    fields={"phones": 1, "emails": 1, "external_ids": 1, "identifiers": 1},
    mend=mend,
)
