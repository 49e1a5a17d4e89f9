"""E-mail addresses that were kept as they were written: who chats, or is looked for, by one is found in lower case."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pymongo.errors import DuplicateKeyError

from gateway.core import emails
from gateway.store.connection import collection
from gateway.store.documents import ContactDocument
from gateway.store.migrations.pattern import Mended, Migration


def mend(contacts: Sequence[Mapping[str, Any]]) -> Mended:
    """Write each address as it is kept now; where another contact has that one, tell so and leave both."""
    changed, problems = 0, []
    for contact in contacts:
        for written, kept in _otherwise(contact):
            try:
                changed += _replace(contact["_id"], written, kept)
            except DuplicateKeyError:
                other = collection(ContactDocument).find_one({"emails": kept}, {"_id": 1}) or {}
                problems.append(
                    f"Contact {contact['_id']} has an e-mail that contact {other.get('_id')} has in lower case. "
                    "Merge them if they are one person."
                )
    return Mended(changed, problems)


def _otherwise(contact: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for written in contact.get("emails") or ():
        kept = emails.normalised(written) if isinstance(written, str) else None
        if kept and kept != written:
            yield written, kept


def _replace(contact_id: Any, written: str, kept: str) -> int:
    """Put one address in the place of another, unless that was taken off meanwhile; a list never has it twice."""
    contacts, mine = collection(ContactDocument), {"_id": contact_id, "emails": written}
    if contacts.update_one(mine | {"$nor": [{"emails": kept}]}, {"$set": {"emails.$": kept}}).modified_count:
        return 1
    return contacts.update_one(mine, {"$pull": {"emails": written}}).modified_count


LOWER_CASE_EMAILS = Migration(
    number=2,
    name="lower_case_emails",
    why="an e-mail with capitals belongs to nobody who chats or is looked for by it",
    documents=ContactDocument,
    fields={"emails": 1},
    mend=mend,
)
