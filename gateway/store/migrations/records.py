"""How far each migration is, kept in the database: what is done is done once, by one process at a time.

A claim is a lease by MongoDB's own clock, since hosts differ, and everything its holder notes is bound to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo import ReturnDocument

from gateway import __version__
from gateway.store.connection import collection
from gateway.store.documents import MigrationDocument
from gateway.store.migrations.pattern import Mended, Migration

OUTSTANDING, RUNNING, DONE = "outstanding", "running", "done"

# A batch takes a second, and rests as long; whoever is silent for longer than this is dead.
LEASE_MS = 90_000
# So many problems are kept of a migration.
PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class Record:
    """How far a migration is. `place` is where it goes on, for `Migration.next`."""

    number: int
    name: str
    state: str
    by: str = ""
    version: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    place: Mapping[str, Any] | None = None
    seen: int = 0
    changed: int = 0
    problems: tuple[str, ...] = ()
    owner: str = ""


def _record(row: Mapping[str, Any]) -> Record:
    return Record(
        number=row["_id"],
        name=row.get("name") or "",
        state=row.get("state") or OUTSTANDING,
        by=row.get("by") or "",
        version=row.get("version") or "",
        started_at=row.get("started_at"),
        finished_at=row.get("finished_at"),
        place={"after": row["after"]} if "after" in row else {},
        seen=row.get("seen") or 0,
        changed=row.get("changed") or 0,
        problems=tuple(row.get("problems") or ()),
        owner=row.get("owner") or "",
    )


def every() -> dict[int, Record]:
    """Give what is known of each migration that was ever begun here, by number."""
    return {row["_id"]: _record(row) for row in collection(MigrationDocument).find({"_id": {"$gte": 0}})}


def claim(migration: Migration, owner: str, by: str) -> Record | None:
    """Take a migration, or go on with one whose process died; None where it is done, or somebody is at it."""
    records, which = collection(MigrationDocument), {"_id": migration.number}
    records.update_one(which, {"$setOnInsert": {"name": migration.name, "state": OUTSTANDING}}, upsert=True)
    free = {"$or": [{"lease": None}, {"$expr": {"$lte": ["$lease", "$$NOW"]}}]}
    taken = {"owner": owner, "by": by, "version": __version__, "state": RUNNING, "lease": _lease()}
    found = records.find_one_and_update(
        {**which, **free, "state": {"$ne": DONE}},
        [{"$set": taken | {"started_at": {"$ifNull": ["$started_at", "$$NOW"]}}}],
        return_document=ReturnDocument.AFTER,
    )
    return _record(found) if found else None


def _lease() -> dict[str, Any]:
    return {"$add": ["$$NOW", LEASE_MS]}


def advance(record: Record, after: Any, seen: int, mended: Mended) -> bool:
    """Note a batch; False where the claim ran out and somebody else goes on."""
    problems = {
        "$slice": [{"$concatArrays": [{"$ifNull": ["$problems", []]}, {"$literal": list(mended.problems)}]}, PROBLEMS]
    }
    noted = {
        "after": {"$literal": after},
        "seen": {"$add": [{"$ifNull": ["$seen", 0]}, seen]},
        "changed": {"$add": [{"$ifNull": ["$changed", 0]}, mended.changed]},
        "problems": problems,
        "lease": _lease(),
    }
    return _mine(record, [{"$set": noted}])


def finish(record: Record) -> bool:
    """Note that a migration is through; False where the claim ran out."""
    ended = {"$set": {"state": DONE, "finished_at": "$$NOW"}}
    return _mine(record, [ended, {"$unset": ["owner", "lease"]}])


def release(record: Record) -> None:
    """Let somebody else go on at once."""
    _mine(record, [{"$unset": ["owner", "lease"]}])


def _mine(record: Record, change: list[dict[str, Any]]) -> bool:
    which = {"_id": record.number, "owner": record.owner}
    return collection(MigrationDocument).update_one(which, change).matched_count == 1


def again(number: int) -> bool:
    """Let a migration that is done be gone through once more from the beginning; False where it is not done."""
    change = {"$set": {"state": OUTSTANDING}, "$unset": dict.fromkeys(_WALKED, "")}
    return collection(MigrationDocument).update_one({"_id": number, "state": DONE}, change).modified_count == 1


_WALKED = ("after", "seen", "changed", "problems", "started_at", "finished_at")
