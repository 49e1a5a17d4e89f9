"""Webhooks kept to be looked at: the newest of each verdict, for some hours."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import bson
from bson import ObjectId

from gateway.core.times import epoch_ms, from_epoch_ms
from gateway.store.connection import collection, insert_new
from gateway.store.documents import InspectionDocument

# So many of each verdict are kept: a flood of forged requests must not push out the one that matters.
KEPT = 1000

# Deleted in steps, so that not every write deletes one.
SLACK = 100

_LISTED = {"at": 1, "path": 1, "status": 1, "verdict": 1, "milliseconds": 1, "client": 1, "about": 1, "method": 1}


@dataclass(frozen=True, slots=True)
class Page:
    """Some inspections, newest first, and where the next page begins; None on the last."""

    rows: list[dict[str, Any]]
    next_cursor: str | None


def add(documents: Sequence[Mapping[str, Any]]) -> None:
    """Store inspections, each with an `_id` of ours: what is there already stays, so this may be repeated."""
    insert_new(InspectionDocument, documents)


def check(document: Mapping[str, Any]) -> None:
    """Raise whatever MongoDB's driver will where it cannot hold this: it refuses all that is added together."""
    bson.encode(document)


def new_id() -> ObjectId:
    """Give an id for an inspection."""
    return ObjectId()


def trim(verdicts: Collection[str]) -> int:
    """Delete the oldest of these verdicts beyond KEPT; gives how many."""
    rows, deleted = collection(InspectionDocument), 0
    for verdict in verdicts:
        if rows.count_documents({"verdict": verdict}, limit=KEPT + SLACK, hint="verdict") < KEPT + SLACK:
            continue
        newest_first = rows.find({"verdict": verdict}, {"at": 1}).sort([("at", -1), ("_id", -1)])
        for first in newest_first.skip(KEPT).limit(1):
            deleted += rows.delete_many({"verdict": verdict, "at": {"$lte": first["at"]}}).deleted_count
    return deleted


def page(*, verdict: str = "", path: str = "", status: int | None = None, cursor: str = "", limit: int) -> Page:
    """List inspections that fit, newest first. ValueError if the cursor is not ours."""
    wanted: dict[str, Any] = {name: value for name, value in (("verdict", verdict), ("path", path)) if value}
    if status is not None:
        wanted["status"] = status
    if cursor:
        at, row_id = _read_cursor(cursor)
        wanted["at"] = {"$lte": at}
        wanted["$or"] = [{"at": {"$lt": at}}, {"_id": {"$lt": row_id}}]
    found = collection(InspectionDocument).find(wanted, _LISTED).sort([("at", -1), ("_id", -1)])
    rows = list(found.hint("verdict" if verdict else "path" if path else "newest").limit(limit + 1))
    shown = [_plain(row) for row in rows[:limit]]
    return Page(shown, f"{epoch_ms(shown[-1]['at'])}-{shown[-1]['id']}" if len(rows) > limit else None)


def _read_cursor(cursor: str) -> tuple[datetime, ObjectId]:
    at, _, row_id = cursor.partition("-")
    if not at.isdecimal() or len(at) > 14 or not ObjectId.is_valid(row_id):
        raise ValueError(f"{cursor!r:.80} is no page of this list")
    return from_epoch_ms(int(at)), ObjectId(row_id)


def one(inspection_id: str) -> dict[str, Any] | None:
    """Give a whole inspection."""
    if not ObjectId.is_valid(inspection_id):
        return None
    found = collection(InspectionDocument).find_one({"_id": ObjectId(inspection_id)})
    return _plain(found) if found else None


def verdicts() -> dict[str, int]:
    """Count the inspections by verdict, what there is most of first."""
    counted = collection(InspectionDocument).aggregate(
        [
            {"$sort": {"verdict": 1, "at": -1, "_id": -1}},
            {"$group": {"_id": "$verdict", "rows": {"$sum": 1}}},
            {"$sort": {"rows": -1, "_id": 1}},
        ],
        hint="verdict",
    )
    return {row["_id"]: row["rows"] for row in counted}


def forget_words() -> int:
    """Delete what was kept unredacted: nobody can say whose words are in there."""
    return collection(InspectionDocument).delete_many({"redacted": False}).deleted_count


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "_id"} | {"id": str(row["_id"])}
