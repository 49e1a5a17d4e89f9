"""Who is to be synchronised with a CRM: one row of the outbox for a contact, with the sessions it is to be told of.

Whoever wants more while a worker is at it is not lost: `asked` counts them, and a row whose count moved goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId

from gateway.store.connection import collection, insert_new
from gateway.store.documents import OutboxDocument
from gateway.store.outbox import CRM, DONE, WAITING, Row


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be told of a contact: some sessions, or with `whole` all of them; `asked` is how often it was said."""

    sessions: tuple[str, ...] = ()
    whole: bool = False
    asked: int = 0


@dataclass(frozen=True, slots=True)
class Waits:
    """How the row of a contact stands: whether it waits, when it is due, and whether a worker has it."""

    state: str
    due: datetime
    held: bool


def row_id(contact_id: str) -> str:
    """Give the id of a contact's row."""
    return f"crm:{contact_id}"


def want(contact_id: str, wanted: Wanted, *, due: datetime, now: datetime, hurry: bool = False) -> None:
    """Have a contact synchronised, once however often it is wanted meanwhile.

    A row that waits keeps its moment, which may be a pause after a failure, unless there is a `hurry`.
    """
    waits = {"$eq": ["$state", WAITING]}
    idle = {"$in": [{"$ifNull": ["$owner", ""]}, ["", None]]}
    sooner = {"$cond": [idle, {"$min": ["$due", due]}, "$due"]} if hurry else "$due"
    fields: dict[str, Any] = {
        "step": CRM,
        "about": contact_id,
        "contact_id": ObjectId(contact_id),
        "segments": 1,
        "due": {"$cond": [waits, sooner, due]},
        "queued_at": {"$cond": [waits, "$queued_at", now]},
        "owner": {"$cond": [waits, {"$ifNull": ["$owner", ""]}, ""]},
        "tries": {"$cond": [waits, {"$ifNull": ["$tries", 0]}, 0]},
        "asked": {"$add": [{"$ifNull": ["$asked", 0]}, 1]},
        "sessions": {"$setUnion": [{"$ifNull": ["$sessions", []]}, [ObjectId(one) for one in wanted.sessions]]},
        "whole": {"$or": [{"$ifNull": ["$whole", False]}, wanted.whole]},
        "state": WAITING,
    }
    change: list[dict[str, Any]] = [{"$set": fields}, {"$unset": ["finished_at", "error"]}]
    collection(OutboxDocument).update_one({"_id": row_id(contact_id)}, change, upsert=True)


def put_erasure(row_id: str, entries: Sequence[Sequence[str]], now: datetime) -> None:
    """Queue the deletion of entries at the CRM, once: each its kind of conversation, the CRM's id, and ours."""
    # It names no contact and no session: what is queued for those goes with them.
    row = {"_id": row_id, "step": CRM, "about": "", "state": WAITING, "due": now, "queued_at": now, "tries": 0}
    insert_new(OutboxDocument, [row | {"segments": 1, "event": {"entries": [list(one) for one in entries]}}])


def wanted(row: Row) -> Wanted:
    """Tell what a claimed row is to be told of."""
    found = collection(OutboxDocument).find_one({"_id": row.id}, {"sessions": 1, "whole": 1, "asked": 1}) or {}
    return Wanted(tuple(map(str, found.get("sessions") or ())), bool(found.get("whole")), found.get("asked") or 0)


def finish(row: Row, wanted: Wanted, now: datetime, *, again: datetime) -> None:
    """End a claimed row whose wishes are fulfilled; where there are more by now it is due `again`."""
    mine = {"_id": row.id, "owner": row.owner, "state": WAITING}
    over = {"state": DONE, "finished_at": now, "sessions": [], "whole": False}
    ended = collection(OutboxDocument).update_one(
        mine | {"asked": wanted.asked}, {"$set": over, "$unset": {"error": ""}}
    )
    if not ended.modified_count:
        collection(OutboxDocument).update_one(mine, {"$set": {"due": again, "owner": "", "tries": 0}})


def waits(contact_id: str) -> Waits | None:
    """Tell how a contact's row stands; None where it never had one, or not for a week."""
    found = collection(OutboxDocument).find_one({"_id": row_id(contact_id)}, {"state": 1, "due": 1, "owner": 1})
    return Waits(found["state"], found["due"], bool(found.get("owner"))) if found else None


def depth(now: datetime) -> tuple[int, int]:
    """Count the contacts that wait, and those of them that are due."""
    rows, waiting = collection(OutboxDocument), {"state": WAITING, "step": CRM}
    due = waiting | {"due": {"$lte": now}}
    return rows.count_documents(waiting, hint="step_waiting"), rows.count_documents(due, hint="step_waiting")
