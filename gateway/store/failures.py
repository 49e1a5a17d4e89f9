"""Rows of the outbox that failed: counted by what went wrong, listed, and put back to work or set aside by hand."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo import ReturnDocument

from gateway.core.times import epoch_ms, from_epoch_ms
from gateway.store.connection import collection
from gateway.store.documents import OutboxDocument
from gateway.store.outbox import AT_HAND, CANCELED, DONE, EVER, FAILED, HANDS, WAITING

# So many failed rows at most are looked at when they are counted by kind.
COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class Failure:
    """A row that failed. `attempted` says that the provider was called, so that a retry looks the message up first."""

    id: str
    step: str
    about: str
    error: str
    tries: int
    failed_at: datetime
    attempted: bool
    session_id: str | None
    to: str


@dataclass(frozen=True, slots=True)
class Kind:
    """Failures of one step for one reason; `reason` is what their errors begin with, mostly the provider's code."""

    step: str
    reason: str
    count: int
    newest: datetime


@dataclass(frozen=True, slots=True)
class Page:
    """Some failures, newest first, and where the next page begins; None on the last."""

    rows: list[Failure]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """How the rows of one step wait: in a worker's hands, due and not taken, or due later."""

    step: str
    held: int
    due: int
    later: int


def _failure(row: Mapping[str, Any]) -> Failure:
    session_id = row.get("session_id") or (row.get("event") or {}).get("session_id")
    return Failure(
        id=row["_id"],
        step=row["step"],
        about=row.get("about") or "",
        error=row.get("error") or "",
        tries=row.get("tries") or 0,
        failed_at=row.get("finished_at") or EVER,
        attempted="attempted_at" in row,
        session_id=str(session_id) if session_id else None,
        to=(row.get("address") or {}).get("to") or "",
    )


def _of(step: str, reason: str | None) -> dict[str, Any]:
    # The moment is in there for the index, which holds failed rows only.
    among = step or {"$in": list(HANDS)}
    wanted: dict[str, Any] = {"state": FAILED, "step": among, "finished_at": {"$gt": EVER}}
    if reason is not None:
        wanted["error"] = {"$regex": f"^{re.escape(reason)}(: |$)"} if reason else {"$in": [None, ""]}
    return wanted


def page(*, step: str = "", reason: str | None = None, cursor: str = "", limit: int) -> Page:
    """List failures, those of a kind where one is named; events only by that name, since they may be many.

    ValueError if the cursor is not ours.
    """
    wanted = _of(step, reason)
    if cursor:
        at, row_id = _read_cursor(cursor)
        wanted["finished_at"] = {"$gt": EVER, "$lte": at}
        wanted["$or"] = [{"finished_at": {"$lt": at}}, {"_id": {"$lt": row_id}}]
    found = collection(OutboxDocument).find(wanted).hint("failed_by_step").sort([("finished_at", -1), ("_id", -1)])
    rows = [_failure(row) for row in found.limit(limit + 1)]
    more = len(rows) > limit
    return Page(rows[:limit], f"{epoch_ms(rows[limit - 1].failed_at)}-{rows[limit - 1].id}" if more else None)


def _read_cursor(cursor: str) -> tuple[datetime, str]:
    at, _, row_id = cursor.partition("-")
    if not at.isdecimal() or len(at) > 14 or not row_id:
        raise ValueError(f"{cursor!r:.80} is no page of this list")
    return from_epoch_ms(int(at)), row_id


def kinds() -> list[Kind]:
    """Count the newest failures by step and reason, what failed most first."""
    beginning = {"$arrayElemAt": [{"$split": [{"$ifNull": ["$error", ""]}, ": "]}, 0]}
    counted = collection(OutboxDocument).aggregate(
        [
            {"$match": _of("", None)},
            {"$sort": {"finished_at": -1, "_id": -1}},
            {"$limit": COUNTED},
            {
                "$group": {
                    "_id": {"step": "$step", "reason": beginning},
                    "rows": {"$sum": 1},
                    "newest": {"$max": "$finished_at"},
                }
            },
            {"$sort": {"rows": -1, "newest": -1}},
        ],
        hint="failed_by_step",
    )
    return [Kind(one["_id"]["step"], one["_id"]["reason"], one["rows"], one["newest"]) for one in counted]


def get(row_id: str) -> Failure | None:
    """Look up a row that failed; None where it did not, or does no more."""
    found = collection(OutboxDocument).find_one({"_id": row_id, "state": FAILED})
    return _failure(found) if found else None


def reopen(row_id: str, now: datetime) -> bool:
    """Make a failed row due again with all its tries. That the provider was called stays noted (I9)."""
    done = collection(OutboxDocument).update_one(
        {"_id": row_id, "state": FAILED},
        {"$set": {"state": WAITING, "due": now, "owner": "", "tries": 0}, "$unset": {"finished_at": "", "slot": ""}},
    )
    return done.modified_count == 1


def dismiss(row_id: str, now: datetime) -> bool:
    """Set a failed row aside: nobody tries it again."""
    return _end(row_id, CANCELED, now)


def settle(row_id: str, now: datetime) -> bool:
    """End a failed row whose work turned out to be done."""
    return _end(row_id, DONE, now)


def _end(row_id: str, state: str, now: datetime) -> bool:
    found = collection(OutboxDocument).find_one_and_update(
        {"_id": row_id, "state": FAILED},
        {"$set": {"state": state, "finished_at": now}},
        {"_id": 1},
        return_document=ReturnDocument.AFTER,
    )
    return found is not None


def waiting(now: datetime) -> list[Waiting]:
    """Count the rows that wait, by step and by what they wait for."""
    held = {"$and": [{"$gt": ["$due", now]}, {"$gt": ["$owner", ""]}]}
    late = {"$lte": ["$due", now]}
    counted = collection(OutboxDocument).aggregate(
        [
            {"$match": AT_HAND},
            {
                "$group": {
                    "_id": "$step",
                    "rows": {"$sum": 1},
                    "held": {"$sum": {"$cond": [held, 1, 0]}},
                    "due": {"$sum": {"$cond": [late, 1, 0]}},
                }
            },
        ]
    )
    return [Waiting(one["_id"], one["held"], one["due"], one["rows"] - one["held"] - one["due"]) for one in counted]
