"""Jobs that one worker at a time does: whose turn it is, until when, and how far the last one came.

A turn is a lease, taken with one conditional update; a worker that dies lets go of it by its end.
"""

from datetime import datetime
from typing import Any

from pymongo.errors import DuplicateKeyError

from gateway.store.connection import collection
from gateway.store.documents import JobDocument


def take(job: str, owner: str, now: datetime, *, lease: datetime, due_only: bool = True) -> bool:
    """Take a job's turn, where nobody has it and, unless `due_only` is off, it is due again."""
    free: dict[str, Any] = {"_id": job, "$or": [{"lease": None}, {"lease": {"$lte": now}}]}
    if due_only:
        free["$and"] = [{"$or": [{"due": None}, {"due": {"$lte": now}}]}]
    try:
        collection(JobDocument).update_one(free, {"$set": {"lease": lease, "owner": owner}}, upsert=True)
    except DuplicateKeyError:  # It is there, and not to be had.
        return False
    return True


def renew(job: str, owner: str, lease: datetime) -> bool:
    """Go on with a turn; False where it ran out and is somebody else's by now."""
    done = collection(JobDocument).update_one({"_id": job, "owner": owner}, {"$set": {"lease": lease}})
    return done.matched_count == 1


def give_back(job: str, owner: str, *, due: datetime | None = None, until: datetime | None = None) -> None:
    """End a turn; with `until` the job is done up to there, and never less than that again."""
    change: dict[str, Any] = {"$unset": {"lease": "", "owner": ""}}
    if due:
        change["$set"] = {"due": due}
    if until:
        change["$max"] = {"until": until}
    collection(JobDocument).update_one({"_id": job, "owner": owner}, change)


def done_until(job: str) -> datetime | None:
    """Tell how far a job has come."""
    found = collection(JobDocument).find_one({"_id": job}, {"until": 1})
    return found.get("until") if found else None
