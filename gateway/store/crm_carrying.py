"""Whom an import says a contact is at a CRM: of two, whoever was synchronised last is kept."""

import contextlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from bson import ObjectId
from pymongo import UpdateOne

from gateway.core.times import parse_moment
from gateway.store import crm_state, groups, import_changes
from gateway.store.connection import collection
from gateway.store.documents import ContactDocument

_NEVER = datetime.min.replace(tzinfo=UTC)
_TRIES = 5


class Claim(NamedTuple):
    """Whom somebody says a contact is at a CRM."""

    contact_id: str
    provider: str
    theirs: Any


def carry(claims: Sequence[Claim], import_id: str) -> list[str]:
    """Note whom people are at CRMs; gives the id that is not kept for each claim, empty where there is no other.

    A few queries, however many there are. May be repeated. What is not as the gateway keeps it is left out.
    """
    places = _places(claims)
    dropped, put = [""] * len(claims), dict[ObjectId, Any]()
    for _ in range(_TRIES if places else 0):
        changes = []
        for contact in collection(ContactDocument).find({"_id": {"$in": list(places)}}):
            known = contact.get("crm")
            if contact["_id"] in put and known == put[contact["_id"]]:
                continue
            crm = dict(known) if isinstance(known, Mapping) else {}
            for place in places[contact["_id"]]:
                dropped[place] = _judge(crm, claims[place])
            changes += [(contact, crm)] if crm != (known or {}) else []
        if _is_put(changes, import_id):
            break
        put |= {contact["_id"]: crm for contact, crm in changes}
    return dropped


def _places(claims: Sequence[Claim]) -> dict[ObjectId, list[int]]:
    """Tell whom claims are about, and which."""
    people = groups.heads({one.contact_id for one in claims}) if claims else {}
    places: dict[ObjectId, list[int]] = {}
    for place, (contact_id, _, theirs) in enumerate(claims):
        if contact_id in people and isinstance(theirs, Mapping) and theirs.get("contact_id"):
            places.setdefault(people[contact_id].head["_id"], []).append(place)
    return places


def _judge(crm: dict[str, Any], claim: Claim) -> str:
    """Let a claim count; gives the id that is dropped."""
    mine = crm_state.of({"crm": crm}, claim.provider)
    dropped, state = _newest(mine, claim.theirs)
    if state != mine:
        crm[claim.provider] = state
    return dropped


def _is_put(changes: Sequence[tuple[dict[str, Any], dict[str, Any]]], import_id: str) -> bool:
    if not changes:
        return True
    import_changes.note_crm(import_id, changes)
    # Bound to what was seen: a worker may be telling the CRM just now.
    updates = [
        UpdateOne(
            {"_id": contact["_id"], "crm": contact.get("crm", {"$exists": False})},
            {"$set": {"crm": crm}},
        )
        for contact, crm in changes
    ]
    return collection(ContactDocument).bulk_write(updates, ordered=False).matched_count == len(updates)


def _newest(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Give the id that is dropped, and how the contact stands now."""
    new: dict[str, Any] = {"contact_id": str(theirs["contact_id"])}
    at = theirs.get("last_sync_at")
    if isinstance(at, str):
        with contextlib.suppress(ValueError, OverflowError):
            at = parse_moment(at)
    new |= {"last_sync_at": at} if isinstance(at, datetime) else {}
    known = str(mine.get("contact_id") or "")
    is_newer = _at(new) > _at(mine)
    if known and known != new["contact_id"]:
        return (known, new) if is_newer else (new["contact_id"], mine)
    return "", {**mine, **new} if is_newer or not known else mine


def _at(state: Mapping[str, Any]) -> datetime:
    at = state.get("last_sync_at")
    return at if isinstance(at, datetime) else _NEVER
