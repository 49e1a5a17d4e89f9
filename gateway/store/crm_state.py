"""How a contact stands with a CRM, kept on the contact: `crm.<provider>`; and whether the whole account is to wait."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId

from gateway.store.connection import collection
from gateway.store.documents import ContactDocument, JobDocument

_JOB = "crm"
_BATCH = 500


def of(contact: Mapping[str, Any], provider: str) -> Mapping[str, Any]:
    """Give how a stored contact stands; empty where it was never told of. One that was adopted may hold anything."""
    known = contact.get("crm")
    found = known.get(provider) if isinstance(known, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def note(contact_id: Any, provider: str, fields: Mapping[str, Any], *, drop: Sequence[str] = ()) -> None:
    """Set and drop some fields of how a contact stands; when it failed is kept beside them too, for its index."""
    change: dict[str, Any] = {"$set": {}, "$unset": {}}
    for name, value in fields.items():
        change["$set"][f"crm.{provider}.{name}"] = value
    for name in drop:
        change["$unset"][f"crm.{provider}.{name}"] = ""
    if "error_at" in fields:
        change["$set"]["crm_error_at"] = fields["error_at"]
    if "error_at" in drop:
        change["$unset"]["crm_error_at"] = ""
    change = {operator: what for operator, what in change.items() if what}
    if change:
        collection(ContactDocument).update_one({"_id": ObjectId(contact_id)}, change)


def with_errors(limit: int) -> tuple[int, list[Mapping[str, Any]]]:
    """Count the contacts whose last synchronisation failed, and give the newest of them."""
    contacts, failed = collection(ContactDocument), {"crm_error_at": {"$exists": True}}
    found = contacts.find(failed, {"crm": 1, "name": 1}).sort("crm_error_at", -1).hint("crm_failed").limit(limit)
    return contacts.count_documents(failed, hint="crm_failed"), list(found)


def hold(until: datetime, token: str, reason: str) -> None:
    """Let the whole account wait, as long as it is asked with this token; never shorter than it waits already."""
    jobs = collection(JobDocument)
    jobs.update_one({"_id": _JOB, "owner": {"$ne": token}}, {"$unset": {"due": ""}})
    jobs.update_one({"_id": _JOB}, {"$max": {"due": until}, "$set": {"owner": token, "reason": reason}}, upsert=True)


def held(token: str, now: datetime) -> tuple[datetime, str] | None:
    """Tell until when the account is to wait, and why; None where it need not."""
    found = collection(JobDocument).find_one({"_id": _JOB, "owner": token, "due": {"$gt": now}})
    return (found["due"], found.get("reason") or "") if found else None


def contacts() -> Iterator[Sequence[Mapping[str, Any]]]:
    """Go through all contacts that stand for a person, some at a time."""
    last: Any = None
    while True:
        wanted: dict[str, Any] = {"merged_into": {"$exists": False}, "to_forget": {"$exists": False}}
        if last:
            wanted["_id"] = {"$gt": last}
        rows = list(collection(ContactDocument).find(wanted, {"crm": 1}).sort("_id", 1).hint("_id_").limit(_BATCH))
        if not rows:
            return
        yield rows
        last = rows[-1]["_id"]
