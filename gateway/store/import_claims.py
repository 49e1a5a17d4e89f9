"""An import in somebody's hands: claimed with a lease, and noted how far it is.

Everything a claimant notes is bound to the claim: whoever lost it, or whose import was canceled, learns so from the
next note. A note says how far the file was read and what came of it in one update, so that an import goes on after a
crash exactly where it was.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument

from gateway.core.imported import Position, Tally
from gateway.store.connection import collection
from gateway.store.documents import ImportDocument
from gateway.store.imports import ENDED, QUEUED, RUNNING, Import, import_of

# So many problems of a file are told; all of its rows are counted.
PROBLEMS = 100

_SUMS = tuple(one.name for one in fields(Tally) if one.name != "problems")


@dataclass(frozen=True, slots=True)
class Step:
    """What a batch of rows did: the position after it, what it counted, what it learned, how long it took.

    `ends` where it held the row that says the file is whole.
    """

    position: Position
    tally: Tally
    seconds: float
    channels: Mapping[str, str] = field(default_factory=dict)
    days: Collection[datetime] = ()
    oldest_stored: datetime | None = None
    ends: bool = False


def claim(owner: str, now: datetime, lease: datetime, *, place: str = "") -> Import | None:
    """Take the oldest import that nobody is at work on, of an uploaded file or of the one at a place."""
    wanted = {
        "unfinished": {"$exists": True},
        "state": {"$in": [QUEUED, RUNNING]},
        "place": place,
        "$or": [{"lease": None}, {"lease": {"$lte": now}}],
    }
    change = {"$set": {"state": RUNNING, "owner": owner, "lease": lease}, "$min": {"started_at": now}}
    found = collection(ImportDocument).find_one_and_update(
        wanted, change, sort=[("unfinished", 1)], return_document=ReturnDocument.AFTER
    )
    return import_of(found) if found else None


def under_way(now: datetime) -> str | None:
    """Give the id of an import that somebody is at work on; None where nobody is, and then whoever was loses it."""
    wanted = {"unfinished": {"$exists": True}, "state": RUNNING}
    found = collection(ImportDocument).find_one({**wanted, "lease": {"$gt": now}}, {"_id": 1})
    if found:
        return str(found["_id"])
    collection(ImportDocument).update_many({**wanted, "lease": {"$lte": now}}, {"$unset": {"lease": "", "owner": ""}})
    return None


def renew(run: Import, lease: datetime) -> bool:
    """Hold on to an import; False where the claim was lost."""
    return _note(run, {"$set": {"lease": lease}})


def note_source(run: Import, facts: Mapping[str, Any], lease: datetime) -> bool:
    """Note what its source is like: its size, its fingerprint, its people; of a consolidation, what came of it."""
    return _note(run, {"$set": {**facts, "lease": lease}})


def note_in_place(run: Import, facts: Mapping[str, Any], lease: datetime) -> bool:
    """Note how far it is with taking over what lies here; `late` is added to what is known."""
    told = {f"in_place.{name}": value for name, value in facts.items()}
    late = told.pop("in_place.late", 0)
    return _note(run, {"$set": {**told, "lease": lease}, "$inc": {"in_place.late": late}})


def intend(run: Import, intent: Mapping[str, Any], lease: datetime) -> bool:
    """Note what of a batch is here already, before anything of it is stored; False where the claim was lost."""
    return _note(run, {"$set": {"intent": dict(intent), "lease": lease}})


def advance(run: Import, step: Step, lease: datetime) -> bool:
    """Note that a batch is stored; False where the claim was lost."""
    counted = {f"tally.{name}": value for name in _SUMS if (value := getattr(step.tally, name))}
    place = {"offset": step.position.offset, "rows": step.position.rows, "lease": lease}
    change: dict[str, Any] = {
        "$set": place | ({"complete": True} if step.ends else {}),
        "$inc": counted | {"seconds": step.seconds},
        "$push": {
            "problems": {"$each": step.tally.problems, "$slice": PROBLEMS},
            "channels": {"$each": [list(pair) for pair in step.channels.items()]},
        },
        "$addToSet": {"days": {"$each": sorted(step.days)}},
        "$unset": {"intent": ""},
    }
    if step.oldest_stored:
        change["$min"] = {"oldest_stored": step.oldest_stored}
    return _note(run, change)


def release(run: Import) -> None:
    """Let somebody else go on with an import."""
    _note(run, {"$unset": {"lease": "", "owner": ""}})


def finish(run: Import, state: str, now: datetime, *, is_complete: bool | None = None, error: str = "") -> bool:
    """End an import; False where the claim was lost."""
    known = {"complete": is_complete, "error": error or None}
    ended = {"state": state, "finished_at": now} | {name: one for name, one in known.items() if one is not None}
    return _note(run, {"$set": ended, "$unset": ENDED})


def _note(run: Import, change: Mapping[str, Any]) -> bool:
    which = {"_id": ObjectId(run.id), "owner": run.owner, "state": RUNNING}
    return collection(ImportDocument).update_one(which, change).matched_count == 1
