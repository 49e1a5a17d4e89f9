"""Contacts that are one person: a merge is a link (`merged_into`), and all that is read of a person goes along it.

Numbers, words and sessions stay with the contact that had them; only reading puts them together. So a merge is one
atomic update, during which nobody is unknown for a moment, and to undo it takes nothing away from anybody.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from gateway.core import identifiers
from gateway.store.connection import collection
from gateway.store.documents import ContactDocument

Document = dict[str, Any]

IDENTIFIERS = ("phones", "external_ids", "emails")

# What says whether a contact was ever merged.
LINKS = {"merged_into": 1, "absorbed": 1}


@dataclass(frozen=True, slots=True)
class Group:
    """A contact with all that were merged into it, as stored; the first stands for all."""

    members: tuple[Document, ...]

    @property
    def head(self) -> Document:
        """Give the contact that stands for all."""
        return self.members[0]

    @property
    def id(self) -> str:
        """Give the id of the contact that stands for all."""
        return str(self.head["_id"])

    @property
    def ids(self) -> tuple[ObjectId, ...]:
        """Give the ids of all."""
        return tuple(one["_id"] for one in self.members)

    @property
    def identities(self) -> tuple[str, ...]:
        """Give all numbers and other ids that messages come from."""
        return (*self.values("phones"), *self.values("external_ids"))

    def values(self, field: str) -> tuple[str, ...]:
        """Give what all have in a list."""
        return tuple(dict.fromkeys(value for one in self.members for value in one.get(field) or ()))

    def first(self, field: str) -> Any:
        """Give a field of the first who has it."""
        return next(filter(None, (one.get(field) for one in self.members)), None)

    @property
    def opted_out(self) -> dict[str, Document]:
        """Give the lines that any of them said STOP to, with the newest word of it: a merge loses no STOP (I12)."""
        said: dict[str, Document] = {}
        for one in self.members:
            for line, word in (one.get("opted_out") or {}).items():
                held = said.get(unescaped(line))
                said[unescaped(line)] = word if held is None else max(held, word, key=_moment)
        return said

    def owner(self, identities: Sequence[str]) -> str:
        """Give the contact that one of these belongs to: what is said by it is that contact's, whatever is merged."""
        wanted = set(map(identifiers.canonical, identities))
        for one in self.members:
            if wanted & forms_of(one):
                return str(one["_id"])
        return self.id


def forms_of(contact: Mapping[str, Any]) -> set[str]:
    """Give the forms of all that a stored contact is known by, also of one that an older version stored."""
    written = (contact.get(field) or () for field in IDENTIFIERS)
    return {*identifiers.of(*written), *(contact.get("identifiers") or ())}


def _moment(word: Mapping[str, Any]) -> float:
    at = word.get("at")
    return at.timestamp() if at else 0.0


def escaped(line: str) -> str:
    """Write an address so that it can be a field name in an update: a dot would be a path."""
    return line.replace(".", "\uff0e").replace("\0", "\ufffd")


def unescaped(line: str) -> str:
    """Read an address that was a field name."""
    return line.replace("\uff0e", ".")


def find(contact_id: str | None) -> Group | None:
    """Find the person a contact is, by the id of any that were merged; None where there is none of that id."""
    if contact_id is None or not ObjectId.is_valid(contact_id):
        return None
    found = collection(ContactDocument).find_one({"_id": ObjectId(contact_id)})
    return of(found) if found else None


def alone(contact_id: str) -> Group | None:
    """Find a contact with what was merged into it, whatever it was merged into itself."""
    found = collection(ContactDocument).find_one({"_id": ObjectId(contact_id)})
    return below(found) if found else None


def whole(contact_id: str) -> Group:
    """Find the person a contact is; one that is gone is nobody else."""
    return find(contact_id) or Group(({"_id": ObjectId(contact_id)},))


def of(contact: Document) -> Group:
    """Give the person that a stored contact is. Costs nothing more for one who was never merged."""
    if not contact.get("merged_into") and not contact.get("absorbed"):
        return Group((contact,))
    return below(_head(contact))


def distinct(contacts: Sequence[Document]) -> list[Group]:
    """Give the people that stored contacts are, each once, in this order."""
    return list({group.id: group for group in map(of, contacts)}.values())


def below(contact: Document) -> Group:
    """Give a contact with what was merged into it, and leave out what it was merged into itself."""
    members = {contact["_id"]: contact}
    level = [contact]
    while level:
        among = {"merged_into": {"$in": [one["_id"] for one in level]}}
        level = [one for one in collection(ContactDocument).find(among).sort("_id", 1) if one["_id"] not in members]
        members |= {one["_id"]: one for one in level}
    return Group(tuple(members.values()))


def _head(contact: Document) -> Document:
    seen = set[ObjectId]()
    while (above := contact.get("merged_into")) and above not in seen:
        seen.add(above)
        found = collection(ContactDocument).find_one({"_id": above})
        if found is None:
            break
        contact = found
    return contact


def heads(contact_ids: Collection[str]) -> dict[str, Group]:
    """Give the people that contacts are, by the contacts' ids; whoever is gone is left out."""
    ids = [ObjectId(one) for one in contact_ids if ObjectId.is_valid(one)]
    return {str(one["_id"]): of(one) for one in collection(ContactDocument).find({"_id": {"$in": ids}})}


def ids_of(contact_ids: Sequence[ObjectId]) -> list[ObjectId]:
    """Give the ids of all contacts that are the same people as these."""
    return ids_from(collection(ContactDocument).find({"_id": {"$in": list(contact_ids)}}, LINKS))


def ids_from(contacts: Iterable[Document]) -> list[ObjectId]:
    """Give the same of stored contacts, of which LINKS are enough."""
    return list({one: None for found in contacts for one in (of(found).ids if is_linked(found) else (found["_id"],))})


def is_linked(contact: Mapping[str, Any]) -> bool:
    """Tell whether a stored contact was merged, or others with it; LINKS of it are enough."""
    return bool(contact.get("merged_into") or contact.get("absorbed"))


def link(absorbed: str, survivor: str) -> None:
    """Let one contact be another from here on. That it is looked for below the other is noted before it is there."""
    contacts = collection(ContactDocument)
    contacts.update_one({"_id": ObjectId(survivor)}, {"$addToSet": {"absorbed": ObjectId(absorbed)}})
    contacts.update_one({"_id": ObjectId(absorbed)}, {"$set": {"merged_into": ObjectId(survivor)}})


def unlink(absorbed: str, survivor: str) -> None:
    """Let a contact be one of its own again."""
    contacts = collection(ContactDocument)
    contacts.update_one({"_id": ObjectId(absorbed)}, {"$unset": {"merged_into": ""}})
    contacts.update_one({"_id": ObjectId(survivor)}, {"$pull": {"absorbed": ObjectId(absorbed)}})
