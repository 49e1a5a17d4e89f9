"""Many senders at once: found, or made, with a few queries however many they are.

Only what is plain is done here, and what it comes to is what `contacts.resolve` would: whoever is left out is asked
about there, one by one.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from bson import ObjectId

from gateway.core.participant import EMAIL
from gateway.store import contacts, groups, numbers, suppressions, writing
from gateway.store.contacts import Contact, Sender
from gateway.store.documents import ContactDocument
from gateway.store.groups import IDENTIFIERS, Document

_Forms = Mapping[str, str]


def known(senders: Iterable[Sender], shared: Collection[str], *, quick: bool = False) -> dict[Sender, Contact]:
    """Find the contacts behind many senders with one query, and make none.

    Gives those of whom `resolve` would say the same and store nothing; ask it about the others. With `quick` not those
    who were ever merged, who take three more queries each.
    """
    asked = _asked(senders)
    values = sorted({form for forms in asked.values() for form in forms.values()})
    found = writing.find_all(ContactDocument, {"identifiers": {"$in": values}}) if values else ()
    holders = {form: contact for contact in found for form in contact["identifiers"]}
    here = {}
    for sender, forms in asked.items():
        theirs = [holders.get(form) for form in forms.values()]
        first = theirs[0] if theirs else None
        if first is None or any(one is not first for one in theirs) or (sender.person.name and not first.get("name")):
            continue
        if quick and groups.is_linked(first):
            continue
        if forms.keys() <= _written(first) and set(forms.values()).isdisjoint(shared):
            here[sender] = contacts.of(first)
    return here


def unknown(senders: Iterable[Sender]) -> set[Sender]:
    """Tell of whom nothing is known here, whatever they wrote by before."""
    asked = _asked(senders)
    return asked.keys() - _among(asked, {})


def known_otherwise(senders: Iterable[Sender]) -> set[Sender]:
    """Tell of whom something is known here that no import brought."""
    return _among(_asked(senders), {"import_id": {"$exists": False}})


def _among(asked: Mapping[Sender, _Forms], which: Document) -> set[Sender]:
    """Tell who is one of these contacts, whatever they wrote by before."""
    values = {form for forms in asked.values() for form in forms.values()}
    written = {identity for sender in asked for identity in sender.person.identities}
    if not values:
        return set()
    among: list[Document] = [{"identifiers": {"$in": sorted(values)}}, {"phones": {"$in": sorted(written)}}]
    among += [{"external_ids": {"$in": sorted(written)}}]
    emails = sorted(one.removeprefix(EMAIL) for one in written if one.startswith(EMAIL))
    among += [{"emails": {"$in": emails}}] if emails else []
    found = writing.find_all(ContactDocument, {"$or": among, **which}, dict.fromkeys((*IDENTIFIERS, "identifiers"), 1))
    taken = {one for contact in found for one in (*groups.forms_of(contact), *_written(contact))}
    return {one for one, forms in asked.items() if not taken.isdisjoint({*forms, *forms.values()})}


def make(
    senders: Iterable[Sender], now: datetime, *, shared: Collection[str], import_id: str = "", quick: bool = False
) -> dict[Sender, Contact]:
    """Make the contacts of senders whom nobody knows; gives those that were made, with whom each is.

    `import_id` is the import that brings them. With `quick` none are made where people were forgotten who had said
    STOP: to learn whether these are among them takes a twentieth of a second each.
    """
    new = {one: forms for one, forms in _asked(unknown(senders)).items() if set(forms.values()).isdisjoint(shared)}
    holders: dict[str, _Forms] = {}
    theirs: dict[tuple[Any, ...], list[Sender]] = {}
    for sender, forms in sorted(new.items(), key=lambda one: one[0].person.identities):
        # Who shares a number with another of them, and not all, is somebody to be looked at.
        if all(holders.setdefault(form, forms) == forms for form in forms.values()):
            theirs.setdefault(tuple(forms.items()), []).append(sender)
    if not theirs:
        return {}
    has_stops = not suppressions.is_empty()
    if has_stops and quick:
        return {}
    brought = {"import_id": ObjectId(import_id)} if import_id else {}
    documents = [
        contacts.document(
            next((one.person for one in some if one.person.name), some[0].person),
            dict(key),
            {"_id": ObjectId(), "createdAt": now} | brought,
            suppressions.lines_of(some[0].person.identities) if has_stops else (),
        )
        for key, some in theirs.items()
    ]
    faster = set(writing.insert(ContactDocument, documents, ordered=False))
    return {
        sender: contacts.of(document)
        for place, (document, some) in enumerate(zip(documents, theirs.values(), strict=True))
        if place not in faster
        for sender in some
    }


def _asked(senders: Iterable[Sender]) -> dict[Sender, _Forms]:
    asked = {one: numbers.forms(one.person, one.line) for one in senders if not one.person.withheld}
    return {one: forms for one, forms in asked.items() if forms}


def _written(contact: Mapping[str, Any]) -> set[str]:
    return {value for field in IDENTIFIERS for value in contact.get(field) or ()}
