"""Whom an import says a contact is at a CRM: of two, whoever was synchronised last is kept."""

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from gateway.core.times import parse_moment
from gateway.store import crm_state, groups, import_changes
from gateway.store.connection import collection
from gateway.store.documents import ContactDocument

_NEVER = datetime.min.replace(tzinfo=UTC)
_TRIES = 5


def carry(contact_id: str, provider: str, theirs: Any, import_id: str) -> str:
    """Note whom a person is at a CRM; gives the id that is not kept, which is empty where there is no other.

    May be repeated. What is not as the gateway keeps it is left out.
    """
    group = groups.find(contact_id)
    if group is None or not isinstance(theirs, Mapping) or not theirs.get("contact_id"):
        return ""
    for _ in range(_TRIES):
        contact = collection(ContactDocument).find_one({"_id": group.head["_id"]}) or {}
        mine = crm_state.of(contact, provider)
        dropped, state = _newest(mine, theirs)
        if not contact or state == mine:
            return dropped
        known = contact.get("crm")
        crm = {**(known if isinstance(known, Mapping) else {}), provider: state}
        import_changes.note_crm(import_id, contact, crm)
        # Bound to what was seen: a worker may be telling the CRM just now.
        which = {"_id": contact["_id"], "crm": known if "crm" in contact else {"$exists": False}}
        if collection(ContactDocument).update_one(which, {"$set": {"crm": crm}}).matched_count:
            return dropped
    return ""


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
