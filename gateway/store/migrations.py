"""What a database of an earlier version lacks: indexes, and what later versions keep of contacts.

Each step may be repeated, and be done while an earlier version goes on writing.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from gateway.core import identifiers
from gateway.store import groups, linking
from gateway.store.connection import DUPLICATE_KEY, collection, create_indexes, deadline
from gateway.store.documents import ContactDocument
from gateway.store.groups import IDENTIFIERS, Document

_AT_ONCE, _SECONDS = 1000, 600

# Before version 7 contacts had no `identifiers`. A name alone identifies nobody.
_LACKING = {"identifiers": {"$exists": False}, "$or": [{f"{field}.0": {"$exists": True}} for field in IDENTIFIERS]}


def migrate() -> list[str]:
    """Bring the database up to date; gives the names of all indexes. Safe to run twice and while serving."""
    names = create_indexes()
    with deadline(_SECONDS):
        identify_contacts()
    return names


def identify_contacts() -> int:
    """Give contacts the one form of each identifier, which they are found by; gives how many lacked it.

    Two that turn out to have spellings of one number are noted to be merged.
    """
    done = 0
    for some in _in_parts():
        for index in _identified(some):
            _identify(some[index])
        done += len(some)
    return done


def _in_parts() -> Iterator[list[Document]]:
    part: list[Document] = []
    for contact in collection(ContactDocument).find(_LACKING):
        part.append(contact)
        if len(part) == _AT_ONCE:
            yield part
            part = []
    if part:
        yield part


def _forms(contact: Document) -> list[str]:
    return identifiers.of(*(contact.get(field) or () for field in IDENTIFIERS))


def _identified(some: Sequence[Document]) -> list[int]:
    """Write the forms of many contacts at once; gives the positions of those that have one of another's."""
    writes = [UpdateOne({"_id": one["_id"]}, {"$addToSet": {"identifiers": {"$each": _forms(one)}}}) for one in some]
    try:
        collection(ContactDocument).bulk_write(writes, ordered=False)
    except BulkWriteError as error:
        failures: list[dict[str, Any]] = error.details["writeErrors"]
        if error.details["writeConcernErrors"] or any(failure["code"] != DUPLICATE_KEY for failure in failures):
            raise
        return [failure["index"] for failure in failures]
    return []


def _identify(contact: Document) -> None:
    contacts = collection(ContactDocument)
    for form in _forms(contact):
        try:
            contacts.update_one({"_id": contact["_id"]}, {"$addToSet": {"identifiers": form}})
        except DuplicateKeyError:
            other = contacts.find_one({"identifiers": form})
            if other and groups.of(other).id != groups.of(contact).id:
                mine = str(contact["_id"])
                linking.note(mine, [str(other["_id"])], linking.SAME_NUMBER, datetime.now(UTC))
