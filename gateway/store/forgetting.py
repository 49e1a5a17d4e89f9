"""Everything the database holds of one person: found by who they are, and deleted."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId

from gateway.core import identifiers
from gateway.store import import_changes, merges
from gateway.store.answers import NONE, QUEUED
from gateway.store.connection import collection
from gateway.store.documents import (
    CallbackDocument,
    ContactDocument,
    MessageDocument,
    OutboxDocument,
    SessionDocument,
)
from gateway.store.outbox import WAITING


@dataclass(frozen=True, slots=True)
class Person:
    """Who is to be forgotten: all identities known, the contacts they are kept as, and what they said STOP to."""

    identities: tuple[str, ...]
    contacts: tuple[ObjectId, ...] = ()
    opted_out: tuple[str, ...] = ()


def person(identity: str) -> Person:
    """Find a person by a number, an e-mail address or a WhatsApp user id, with every contact merged into theirs."""
    fields = dict.fromkeys(("phones", "external_ids", "emails"), identity) | {"identifiers": identifiers.read(identity)}
    known = {"$or": [{field: value} for field, value in fields.items()]}
    return _person(known, {identity})


def contact(contact_id: str) -> Person:
    """Find a person by a contact's id, with every contact merged into theirs."""
    return _person({"_id": ObjectId(contact_id)}, set())


def _person(known: dict[str, Any], identities: set[str]) -> Person:
    contacts = collection(ContactDocument)
    found: dict[ObjectId, dict[str, Any]] = {}
    while fresh := [one for one in contacts.find(known) if one["_id"] not in found]:
        found |= {one["_id"]: one for one in fresh}
        above = [one["merged_into"] for one in found.values() if one.get("merged_into")]
        known = {"$or": [{"_id": {"$in": above}}, {"merged_into": {"$in": list(found)}}]}
    for one in found.values():
        identities.update(one.get("phones") or (), one.get("external_ids") or (), one.get("emails") or ())
    lines = {line.replace("\uff0e", ".") for one in found.values() for line in one.get("opted_out") or ()}
    return Person(tuple(sorted(identities)), tuple(found), tuple(sorted(lines)))


def sessions_of(who: Person) -> list[ObjectId]:
    """List a person's sessions, also those that are on their way out, or that name no contact.

    Reads all sessions once: keys end in the identity, and what ends in something has no index.
    """
    identities = list(who.identities)
    # Without any, this matches nothing.
    ends = "|".join(map(re.escape, identities)) or "$."
    among, merged = {"$in": list(who.contacts)}, "absorbed.session"
    fields = ("keys", "retired.keys", f"{merged}.keys")
    keyed = [{f: {"$in": identities}} for f in (*fields, "metadata.fromNumber", f"{merged}.metadata.fromNumber")]
    ending = [{f: {"$regex": f"\\|({ends})$"}} for f in fields]
    wanted = {"$or": [{"contact_id": among}, {f"{merged}.contact_id": among}, *keyed, *ending]}
    return [row["_id"] for row in collection(SessionDocument).find(wanted, {"_id": 1})]


def kept_under(contacts: Sequence[ObjectId]) -> list[ObjectId]:
    """List the sessions of contacts."""
    found = collection(SessionDocument).find({"contact_id": {"$in": list(contacts)}}, {"_id": 1})
    return [row["_id"] for row in found]


def ask_nobody(sessions: Sequence[ObjectId]) -> None:
    """Let nothing in these sessions be answered any more."""
    collection(MessageDocument).update_many(
        {"session_id": {"$in": list(sessions)}, "answer.state": QUEUED},
        {"$set": {"answer.state": NONE, "answer.reason": "forgotten"}},
    )


def delete_queued(sessions: Sequence[ObjectId], contacts: Sequence[ObjectId], now: datetime | None = None) -> int:
    """Delete what is or was queued for these sessions and contacts; with `now` leave what a worker has in hand."""
    wanted = _queued(sessions, contacts)
    if now:
        wanted["$nor"] = [_HELD | {"due": {"$gt": now}}]
    return collection(OutboxDocument).delete_many(wanted).deleted_count


def in_hand(sessions: Sequence[ObjectId], contacts: Sequence[ObjectId], now: datetime) -> bool:
    """Tell whether a worker is doing something for these sessions or contacts right now."""
    wanted = _queued(sessions, contacts) | _HELD | {"due": {"$gt": now}}
    return collection(OutboxDocument).find_one(wanted, {"_id": 1}) is not None


_HELD = {"state": WAITING, "owner": {"$nin": ["", None]}}


def _queued(sessions: Sequence[ObjectId], contacts: Sequence[ObjectId]) -> dict[str, Any]:
    return {"$or": [{"session_id": {"$in": list(sessions)}}, {"contact_id": {"$in": list(contacts)}}]}


def delete_callbacks(who: Person, sessions: Sequence[ObjectId]) -> int:
    """Delete the callbacks that wait for a message or call of these sessions, or come from this person."""
    sids = {row.get("provider_sid") for row in _sids(sessions)} | {row["_id"].split(":")[0] for row in _sids(sessions)}
    addresses = [f"{prefix}{identity}" for identity in who.identities for prefix in ("", "whatsapp:", "rcs:")]
    named = [f"event.parameters.{name}" for name in ("From", "To", "Caller", "Called")]
    ends = [{name: {"$in": addresses}} for name in [*named, "event.ends.caller", "event.ends.line"]]
    wanted = {"$or": [{"about": {"$in": sorted(filter(None, sids))}}, *ends]}
    return collection(CallbackDocument).delete_many(wanted).deleted_count


def _sids(sessions: Sequence[ObjectId]) -> list[dict[str, Any]]:
    return list(collection(MessageDocument).find({"session_id": {"$in": list(sessions)}}, {"provider_sid": 1}))


def delete_contacts(contacts: Sequence[ObjectId]) -> int:
    """Delete contacts and what is known of their merges; gives how many."""
    merges.forget(contacts)
    import_changes.forget(contacts)
    return collection(ContactDocument).delete_many({"_id": {"$in": list(contacts)}}).deleted_count
