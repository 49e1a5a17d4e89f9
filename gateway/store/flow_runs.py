"""Runs of flows in MongoDB: one document each, written again and again as often as a crash asks for, and counted.

All of it follows from the state in the session, so whoever writes it a second time changes nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo import DESCENDING

from gateway.store.connection import collection
from gateway.store.documents import FlowRunDocument
from gateway.store.isolation import Channels, only
from gateway.store.outbound import Place

COMPLETED = "completed"
# What names a person or repeats what they said; the rest only counts.
_PERSONAL = ("session_id", "contact_id", "opening", "values", "completions")


@dataclass(frozen=True, slots=True)
class Run:
    """A flow that somebody is in, or was: `steps` are those they came to with the moment, in that order.

    `opening` is what it said where it was begun by no message; `values` and `completions` are there once it ended in
    something to do.
    """

    id: str
    flow: str
    version: int
    place: Place
    started_at: datetime
    opening: str = ""
    steps: tuple[tuple[str, datetime], ...] = ()
    outcome: str = ""
    last_step: str = ""
    ended_at: datetime | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    completions: tuple[Mapping[str, Any], ...] = ()


def begin(run: Run) -> bool:
    """Note that a flow began; False where it is noted already."""
    document = (
        run.place.stored()
        | {
            "flow": run.flow,
            "version": run.version,
            "started_at": run.started_at,
        }
        | ({"opening": run.opening} if run.opening else {})
    )
    done = collection(FlowRunDocument).update_one({"_id": run.id}, {"$setOnInsert": document}, upsert=True)
    return done.upserted_id is not None


def reach(run: Run, steps: Sequence[str], at: datetime) -> bool:
    """Note that somebody came to these steps, unless they had been there; False where that is nothing new.

    A run moves along with the session that it goes on in; what it is counted under stays.
    """
    known = {"$ifNull": ["$steps", []]}
    fresh = {
        "$filter": {
            "input": [_step(step, at) for step in steps],
            "as": "one",
            "cond": {"$not": {"$in": ["$$one.step", {"$map": {"input": known, "as": "s", "in": "$$s.step"}}]}},
        }
    }
    done = collection(FlowRunDocument).update_one(
        {"_id": run.id, "outcome": None},
        [{"$set": {"steps": {"$concatArrays": [known, fresh]}, "session_id": ObjectId(run.place.session_id)}}],
    )
    return done.modified_count == 1


def _step(name: str, at: datetime) -> dict[str, Any]:
    return {"step": name, "at": at}


def end(run: Run) -> bool:
    """Note how a flow ended, and what its completion needs; False where that is noted already."""
    changes: dict[str, Any] = {"outcome": run.outcome, "last_step": run.last_step, "ended_at": run.ended_at}
    changes["session_id"] = ObjectId(run.place.session_id)
    if run.completions or run.outcome == COMPLETED:
        changes |= {"values": dict(run.values), "completions": [dict(one) for one in run.completions]}
    done = collection(FlowRunDocument).update_one({"_id": run.id, "outcome": None}, {"$set": changes})
    return done.modified_count == 1


def get(run_id: str) -> Run | None:
    """Look a run up; None where it is not there, or its person was forgotten."""
    found = collection(FlowRunDocument).find_one({"_id": run_id, "session_id": {"$exists": True}})
    return _run(found) if found else None


def of_session(session_id: str, *, limit: int) -> list[Run]:
    """Give the flows of a session, the newest first."""
    found = collection(FlowRunDocument).find({"session_id": ObjectId(session_id)})
    return [_run(row) for row in found.sort("started_at", DESCENDING).limit(limit)]


def _run(row: Mapping[str, Any]) -> Run:
    return Run(
        id=row["_id"],
        flow=row["flow"],
        version=row["version"],
        place=Place.of(row),
        started_at=row["started_at"],
        opening=row.get("opening") or "",
        steps=tuple((one["step"], one["at"]) for one in row.get("steps") or ()),
        outcome=row.get("outcome") or "",
        last_step=row.get("last_step") or "",
        ended_at=row.get("ended_at"),
        values=row.get("values") or {},
        completions=tuple(row.get("completions") or ()),
    )


@dataclass(frozen=True, slots=True)
class Path:
    """How many runs of a flow came to these steps, and no other, and ended there; no `outcome` while they go on."""

    flow: str
    steps: Sequence[str]
    last_step: str
    outcome: str
    runs: int


def count_paths(
    since: datetime, until: datetime, channels: Channels, *, communication_type: str = "", channel_id: str = ""
) -> Iterator[Path]:
    """Count by their paths the runs that began in a time on these channels, in no order; each run is read once."""
    path = {"flow": "$flow", "steps": "$steps.step", "last_step": "$last_step", "outcome": "$outcome"}
    among = _among(since, until, channels, communication_type, channel_id)
    for row in collection(FlowRunDocument).aggregate([among, {"$group": {"_id": path, "runs": {"$sum": 1}}}]):
        counted = row["_id"]
        yield Path(
            counted["flow"],
            counted.get("steps") or (),
            counted.get("last_step") or "",
            counted.get("outcome") or "",
            row["runs"],
        )


def _among(
    since: datetime, until: datetime, channels: Channels, communication_type: str, channel_id: str
) -> dict[str, Any]:
    chosen = [only(channels), *([{"channel_id": channel_id}] if channel_id else [])]
    of_type = {"communication_type": communication_type} if communication_type else {}
    return {"$match": {"started_at": {"$gte": since, "$lt": until}, **of_type, "$and": chosen}}


def forget(session_ids: Sequence[ObjectId]) -> int:
    """Leave nothing of people in the runs of these sessions but numbers; gives how many those were."""
    done = collection(FlowRunDocument).update_many(
        {"session_id": {"$in": list(session_ids)}}, {"$unset": dict.fromkeys(_PERSONAL, "")}
    )
    return done.modified_count
