"""Imports: who ordered them, of what, and how they stand."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bson import ObjectId

from gateway.core.imported import Position, Tally
from gateway.store.connection import collection
from gateway.store.documents import ImportDocument

UPLOADING, QUEUED, RUNNING = "uploading", "queued", "running"
DONE, FAILED, CANCELED = "done", "failed", "canceled"
STATES = (UPLOADING, QUEUED, RUNNING, DONE, FAILED, CANCELED)

ENDED = dict.fromkeys(("unfinished", "lease", "owner", "intent"), "")


@dataclass(frozen=True, slots=True)
class Import:
    """An import. `place` is where the file lies; empty where it was uploaded. `seconds` is how long it was worked on.

    `is_complete` is None until the file was read to its end. `options` say how another program's source is read, and
    `fingerprint` which rows it had; `people` is None where nobody counted them.
    `sources` are the files it was read from, where this host has them. `undone` counts what was taken back,
    `consolidated` what a consolidation made one.
    `in_place` is there where it takes over what lies in this database: the `step` it is at, `backup` with how many
    documents of each collection are in the backup, `late` how many were written after that was begun, and `left` how
    many stay there when it is taken back.
    """

    id: str
    state: str
    layout: str
    file_name: str
    size: int
    by: str
    created_at: datetime
    place: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    position: Position = field(default_factory=Position)
    tally: Tally = field(default_factory=Tally)
    seconds: float = 0
    is_complete: bool | None = None
    error: str = ""
    owner: str = ""
    intent: Mapping[str, Any] = field(default_factory=dict)
    channels: Mapping[str, str] = field(default_factory=dict)
    days: Sequence[datetime] = ()
    oldest_stored: datetime | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    people: int | None = None
    sources: Sequence[str] = ()
    undoing_since: datetime | None = None
    undone_at: datetime | None = None
    undone: Mapping[str, int] = field(default_factory=dict)
    in_place: Mapping[str, Any] = field(default_factory=dict)
    consolidated: Mapping[str, int] = field(default_factory=dict)

    @property
    def rows_per_second(self) -> float | None:
        """Give the rate at which it was worked on, rests left out; None before the first batch."""
        return round(self.position.rows / self.seconds, 1) if self.seconds else None

    @property
    def seconds_left(self) -> float | None:
        """Guess how long the rest will take; None where nobody is at work on it, or nothing is known yet."""
        if self.state != RUNNING or not self.seconds or not self.position.offset:
            return None
        return round((self.size - self.position.offset) * self.seconds / self.position.offset, 1)


@dataclass(frozen=True, slots=True)
class Page:
    """Some imports, newest first, and where the next page begins; None on the last."""

    imports: list[Import]
    next_cursor: str | None


def add(
    now: datetime,
    *,
    state: str,
    layout: str,
    file_name: str,
    size: int,
    by: str,
    place: str = "",
    options: Mapping[str, Any] | None = None,
    sources: Sequence[str] = (),
    in_place: Mapping[str, Any] | None = None,
) -> str:
    """Note that a file is to be imported; gives the import's id."""
    document: dict[str, Any] = {
        "_id": ObjectId(),
        "state": state,
        "layout": layout,
        "file_name": file_name,
        "size": size,
        "by": by,
        "place": place,
        "options": dict(options or {}),
        "sources": list(sources),
        "createdAt": now,
        "unfinished": now,
    }
    document |= {"in_place": dict(in_place)} if in_place else {}
    collection(ImportDocument).insert_one(document)
    return str(document["_id"])


def queue(import_id: str, size: int) -> bool:
    """Let an import be claimed whose file is here now; False where it was canceled meanwhile."""
    which = {"_id": ObjectId(import_id), "state": UPLOADING}
    return collection(ImportDocument).update_one(which, {"$set": {"state": QUEUED, "size": size}}).modified_count == 1


def unfinished_at(place: str) -> Import | None:
    """Give the import of the file at a place that is not at its end."""
    found = collection(ImportDocument).find_one({"unfinished": {"$exists": True}, "place": place})
    return import_of(found) if found else None


def note_put_back(import_id: str, step: str, left: int) -> None:
    """Note that what lay here before is put back, but for so many documents, which stay in the backup."""
    known = {"in_place.step": step, "in_place.left": left}
    collection(ImportDocument).update_one({"_id": ObjectId(import_id)}, {"$set": known})


def note_days(import_id: str, days: Collection[datetime], oldest_stored: datetime) -> None:
    """Note from which days something is taken out, and when the oldest of it was stored."""
    change = {"$addToSet": {"days": {"$each": sorted(days)}}, "$min": {"oldest_stored": oldest_stored}}
    collection(ImportDocument).update_one({"_id": ObjectId(import_id)}, change)


def cancel(import_id: str, now: datetime) -> bool:
    """End an import that is not at its end; False where there is none."""
    done = collection(ImportDocument).update_one(
        {"_id": ObjectId(import_id), "unfinished": {"$exists": True}},
        {"$set": {"state": CANCELED, "finished_at": now}, "$unset": ENDED},
    )
    return done.modified_count == 1


def in_place_unfinished() -> Import | None:
    """Give the oldest import that takes over what lies here and is not at its end."""
    wanted = {"unfinished": {"$exists": True}, "in_place": {"$exists": True}}
    found = collection(ImportDocument).find_one(wanted, sort=[("unfinished", 1), ("_id", 1)])
    return import_of(found) if found else None


def unfinished() -> set[str]:
    """Give the ids of the imports that are not at their end."""
    return {str(row["_id"]) for row in collection(ImportDocument).find({"unfinished": {"$exists": True}}, {"_id": 1})}


def give_up_uploads(before: datetime, now: datetime, reason: str) -> list[str]:
    """End the imports whose file was still not here at a moment long after it was to come; gives their ids."""
    imports, stale = collection(ImportDocument), {"state": UPLOADING, "unfinished": {"$lt": before}}
    ids = [row["_id"] for row in imports.find(stale, {"_id": 1})]
    if ids:
        ended = {"state": FAILED, "error": reason, "finished_at": now}
        imports.update_many({"_id": {"$in": ids}, "state": UPLOADING}, {"$set": ended, "$unset": {"unfinished": ""}})
    return [str(one) for one in ids]


def get(import_id: str) -> Import | None:
    """Look an import up by its id."""
    if not ObjectId.is_valid(import_id):
        return None
    found = collection(ImportDocument).find_one({"_id": ObjectId(import_id)})
    return import_of(found) if found else None


def page(*, cursor: str | None, limit: int) -> Page:
    """List imports, newest first. ValueError if the cursor is not ours."""
    if cursor and not ObjectId.is_valid(cursor):
        raise ValueError(f"{cursor!r:.80} is no page of this list")
    wanted = {"_id": {"$lt": ObjectId(cursor)}} if cursor else {}
    rows = list(collection(ImportDocument).find(wanted).sort("_id", -1).limit(limit + 1))
    return Page([import_of(row) for row in rows[:limit]], str(rows[limit - 1]["_id"]) if len(rows) > limit else None)


def import_of(row: Mapping[str, Any]) -> Import:
    return Import(
        id=str(row["_id"]),
        state=row["state"],
        layout=row["layout"],
        file_name=row.get("file_name") or "",
        size=row.get("size") or 0,
        by=row.get("by") or "",
        created_at=row["createdAt"],
        place=row.get("place") or "",
        started_at=row.get("started_at"),
        finished_at=row.get("finished_at"),
        position=Position(row.get("offset") or 0, row.get("rows") or 0),
        tally=Tally(**(row.get("tally") or {}), problems=row.get("problems") or []),
        seconds=row.get("seconds") or 0,
        is_complete=row.get("complete"),
        error=row.get("error") or "",
        owner=row.get("owner") or "",
        intent=row.get("intent") or {},
        channels=dict(row.get("channels") or ()),
        days=row.get("days") or (),
        oldest_stored=row.get("oldest_stored"),
        options=row.get("options") or {},
        fingerprint=row.get("fingerprint") or "",
        people=row.get("people"),
        sources=row.get("sources") or (),
        undoing_since=row.get("undoing_since"),
        undone_at=row.get("undone_at"),
        undone=row.get("undone") or {},
        in_place=row.get("in_place") or {},
        consolidated=row.get("consolidated") or {},
    )
