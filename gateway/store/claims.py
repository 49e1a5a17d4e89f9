"""What people say of themselves, kept with their contact: it leads to nobody until somebody confirms it."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId

from gateway.core import identifiers
from gateway.core.participant import EMAIL
from gateway.store import groups
from gateway.store.connection import collection
from gateway.store.documents import ContactDocument, SessionDocument
from gateway.store.groups import Group
from gateway.store.isolation import Channels, only

NAME, EMAIL_FIELD, PHONE = "name", "email", "phone"

# The oldest go: who writes a hundred addresses is none of them.
MOST = 20


@dataclass(frozen=True, slots=True)
class Claim:
    """What somebody said of themselves: a `name`, an `email` or a `phone`; where and how (`source`)."""

    id: str
    field: str
    value: str
    at: datetime
    source: str = ""
    session_id: str = ""
    is_dismissed: bool = False

    @property
    def form(self) -> str:
        """Give what a contact would be found by; empty for a name, which finds nobody."""
        return form_of(self.field, self.value)


def form_of(field: str, value: str) -> str:
    """Give what a contact would be found by that has this; empty for a name, which finds nobody."""
    return {NAME: "", EMAIL_FIELD: f"{EMAIL}{value}"}.get(field, identifiers.number(value))


def id_of(field: str, value: str) -> str:
    """Give the id of a claim, which is the same each time the same is said."""
    said = form_of(field, value) or value.casefold()
    return hashlib.sha256(f"{field}\0{said}".encode(errors="surrogatepass")).hexdigest()[:24]


def keep(contact_id: str, claim: Claim) -> bool:
    """Keep a claim, once; False where it is known already."""
    entry = {name: getattr(claim, name) for name in ("id", "field", "value", "at", "source", "session_id")}
    which = {"_id": ObjectId(contact_id), "claims.id": {"$ne": claim.id}}
    pushed = {"$push": {"claims": {"$each": [entry], "$slice": -MOST}}}
    return collection(ContactDocument).update_one(which, pushed).modified_count == 1


def of(group: Group) -> tuple[Claim, ...]:
    """Give what somebody said of themselves and nobody decided on, the newest first."""
    written = [_read(one) for member in group.members for one in member.get("claims") or ()]
    dismissed = {one.id for one in written if one.is_dismissed}
    known = {form for member in group.members for form in groups.forms_of(member)}
    known |= {group.first("name")}
    open_ones = {one.id: one for one in written if one.id not in dismissed and not {one.form, one.value} & known}
    return tuple(sorted(open_ones.values(), key=lambda one: one.at, reverse=True))


def _read(stored: Mapping[str, Any]) -> Claim:
    known = {name: stored.get(name) or "" for name in ("id", "field", "value", "source", "session_id")}
    return Claim(at=stored["at"], is_dismissed=bool(stored.get("dismissed")), **known)


def seen(claims: Collection[Claim], channels: Channels) -> tuple[Claim, ...]:
    """Leave out what was said on other channels than these."""
    if channels is None or not claims:
        return tuple(claims)
    ids = [ObjectId(one.session_id) for one in claims if ObjectId.is_valid(one.session_id)]
    found = collection(SessionDocument).find({"_id": {"$in": ids}} | only(channels), {"_id": 1})
    there = {str(row["_id"]) for row in found}
    return tuple(one for one in claims if one.session_id in there)


def holders(claims: Iterable[Claim]) -> dict[str, Group]:
    """Tell who has what is claimed, by the id of the claim: confirming one makes the two one person."""
    forms = {one.form: one.id for one in claims if one.form}
    if not forms:
        return {}
    found = collection(ContactDocument).find({"identifiers": {"$in": list(forms)}})
    return {forms[form]: groups.of(one) for one in found for form in forms if form in groups.forms_of(one)}


def dismiss(contact_ids: Sequence[ObjectId], claim_id: str, by: str, now: datetime) -> bool:
    """Note that a claim is not to be looked at again; False where there is none."""
    which = {"_id": {"$in": list(contact_ids)}, "claims": {"$elemMatch": {"id": claim_id, "dismissed": None}}}
    change = {"$set": {"claims.$.dismissed": {"by": by, "at": now}}}
    return collection(ContactDocument).update_many(which, change).modified_count > 0


def take(contact_ids: Sequence[ObjectId], claim_id: str) -> bool:
    """Take a claim away, since it is no claim any more; False where somebody else did."""
    contacts = collection(ContactDocument)
    done = contacts.update_many({"_id": {"$in": list(contact_ids)}}, {"$pull": {"claims": {"id": claim_id}}})
    return done.modified_count > 0
