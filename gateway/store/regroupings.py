"""Regroupings: who split or merged which sessions and when, how far that has come, and whether it was undone.

A regrouping is written down before anything is changed, and holds both its sessions (`busy`, unique) until it is
through: so there is one at a time for a session, and whatever a killed process left behind is found and finished.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from bson import ObjectId
from pymongo import DESCENDING, ReturnDocument
from pymongo.errors import DuplicateKeyError

from gateway.store.connection import collection
from gateway.store.documents import RegroupingDocument
from gateway.store.isolation import Channels

SPLIT: Final = "split"
MERGE: Final = "merge"
CLAIMED, DOING, DONE, UNDOING, UNDONE = "claimed", "doing", "done", "undoing", "undone"
UNFINISHED = (CLAIMED, DOING, UNDOING)

Kind = Literal["split", "merge"]


@dataclass(frozen=True, slots=True)
class Regrouping:
    """One split or merge of two sessions. What is `later` begins at the `boundary`, or began there before it merged.

    `before` is what the earlier session was, `order` counts the regroupings of these sessions.
    """

    id: str
    kind: Kind
    state: str
    earlier: str
    later: str
    by: str
    at: datetime
    boundary: datetime
    message_id: str = ""
    before: Mapping[str, Any] = field(default_factory=dict)
    order: int = 0
    owner: str = ""
    undone_by: str = ""
    undone_at: datetime | None = None

    @property
    def parts(self) -> bool:
        """Tell whether the later session comes off the earlier one now; else it goes into it."""
        return (self.kind == SPLIT) == (self.state not in (UNDOING, UNDONE))

    @property
    def is_undone(self) -> bool:
        """Tell whether it is taken back, or being so."""
        return self.state in (UNDOING, UNDONE)


def _read(found: Mapping[str, Any]) -> Regrouping:
    return Regrouping(
        id=found["_id"],
        kind=found["kind"],
        state=found["state"],
        earlier=str(found["earlier"]),
        later=str(found["later"]),
        by=found["by"],
        at=found["at"],
        boundary=found["boundary"],
        message_id=found.get("message_id", ""),
        before=found.get("before") or {},
        order=found.get("order", 0),
        owner=found.get("owner", ""),
        undone_by=found.get("undone_by", ""),
        undone_at=found.get("undone_at"),
    )


def claim(new: Regrouping, channels: Sequence[str], lease: datetime) -> bool:
    """Write a regrouping down and hold its sessions; False where one of them is held, or the id is taken."""
    pair = [ObjectId(new.earlier), ObjectId(new.later)]
    document = {
        "_id": new.id,
        "kind": new.kind,
        "state": CLAIMED,
        "earlier": pair[0],
        "later": pair[1],
        "by": new.by,
        "at": new.at,
        "boundary": new.boundary,
        "message_id": new.message_id,
        "channel_id": sorted(set(channels)),
        "busy": pair,
        "owner": new.owner,
        "lease": lease,
    }
    try:
        collection(RegroupingDocument).insert_one(document)
    except DuplicateKeyError:
        return False
    return True


def claim_again(regrouping: Regrouping, lease: datetime) -> bool:
    """Hold the sessions of one that is through, to undo or to look at it; False where that cannot be now."""
    pair = [ObjectId(regrouping.earlier), ObjectId(regrouping.later)]
    try:
        done = collection(RegroupingDocument).update_one(
            {"_id": regrouping.id, "state": regrouping.state, "busy": {"$exists": False}},
            {"$set": {"busy": pair, "owner": regrouping.owner, "lease": lease}},
        )
    except DuplicateKeyError:
        return False
    return done.modified_count == 1


def begin(regrouping: Regrouping) -> bool:
    """Let a claimed regrouping happen: from here on it is finished, by whomever. False where it is another's."""
    return _mine(regrouping, _set(regrouping, "state", "before", "order"))


def turn_back(regrouping: Regrouping) -> bool:
    """Let a regrouping that is held be undone: from here on that is finished, by whomever."""
    return _mine(regrouping, _set(regrouping, "state", "undone_by", "undone_at"))


def _set(regrouping: Regrouping, *names: str) -> dict[str, Any]:
    return {"$set": {name: getattr(regrouping, name) for name in names}}


def drop(regrouping: Regrouping) -> None:
    """Forget a regrouping that was only claimed."""
    mine = {"_id": regrouping.id, "owner": regrouping.owner, "state": CLAIMED}
    collection(RegroupingDocument).delete_one(mine)


def renew(regrouping: Regrouping, lease: datetime) -> bool:
    """Go on with a regrouping; False where the lease ran out and somebody else goes on."""
    return _mine(regrouping, {"$set": {"lease": lease}})


def let_go(regrouping: Regrouping, state: str, *, unsettled: datetime | None = None) -> bool:
    """Let go of the sessions. What was in flight meanwhile is looked for afterwards, if it is `unsettled` since then.

    False where somebody else goes on with it.
    """
    change: dict[str, Any] = {"$set": {"state": state}, "$unset": {"busy": "", "owner": "", "lease": ""}}
    if unsettled:
        change["$set"]["unsettled"] = unsettled
    return _mine(regrouping, change)


def _mine(regrouping: Regrouping, change: Mapping[str, Any]) -> bool:
    mine = {"_id": regrouping.id, "owner": regrouping.owner}
    return collection(RegroupingDocument).update_one(mine, change).matched_count == 1


def take_over(owner: str, now: datetime, lease: datetime, *, session_ids: Sequence[str] = ()) -> Regrouping | None:
    """Take a regrouping whose process died, of these sessions or of any; None where there is none."""
    held: Any = {"$in": [ObjectId(one) for one in session_ids]} if session_ids else {"$exists": True}
    found = collection(RegroupingDocument).find_one_and_update(
        {"busy": held, "lease": {"$lte": now}},
        {"$set": {"owner": owner, "lease": lease}},
        return_document=ReturnDocument.AFTER,
    )
    return _read(found) if found else None


def get(regrouping_id: str, channels: Channels = None) -> Regrouping | None:
    """Look a regrouping up, if all of it is on these channels."""
    found = collection(RegroupingDocument).find_one({"_id": regrouping_id} | _wholly(channels))
    return _read(found) if found else None


def of_session(session_id: str, channels: Channels = None, *, limit: int = 20) -> list[Regrouping]:
    """Give what was split off, merged into or taken out of a session, newest first."""
    if not ObjectId.is_valid(session_id):
        return []
    found = collection(RegroupingDocument).find(_about([session_id]) | _wholly(channels))
    return [_read(one) for one in found.sort([("at", DESCENDING), ("order", DESCENDING)]).limit(limit)]


def _about(session_ids: Sequence[str]) -> dict[str, Any]:
    among = {"$in": [ObjectId(one) for one in session_ids]}
    return {"$or": [{"earlier": among}, {"later": among}]}


def _wholly(channels: Channels) -> dict[str, Any]:
    return {} if channels is None else {"channel_id": {"$not": {"$elemMatch": {"$nin": sorted(channels)}}}}


def last_order(regrouping: Regrouping) -> int:
    """Give the highest order among what was done to its sessions, whatever became of that."""
    about = _about([regrouping.earlier, regrouping.later])
    found = collection(RegroupingDocument).find_one(about, {"order": 1}, sort=[("order", DESCENDING)])
    return (found or {}).get("order") or 0


def since(regrouping: Regrouping) -> Regrouping | None:
    """Find what was done to its sessions after it and still holds: the newest of that."""
    about = _about([regrouping.earlier, regrouping.later])
    later = about | {"_id": {"$ne": regrouping.id}, "state": {"$in": [DOING, DONE]}, "order": {"$gt": regrouping.order}}
    found = collection(RegroupingDocument).find_one(later, sort=[("order", DESCENDING)])
    return _read(found) if found else None


def unsettled(session_ids: Sequence[str] = ()) -> list[Regrouping]:
    """List those, of these sessions or of any, whose counts and stragglers are still to be looked at."""
    wanted = {"unsettled": {"$exists": True}, "busy": {"$exists": False}}
    found = collection(RegroupingDocument).find(wanted | (_about(session_ids) if session_ids else {}))
    return [_read(one) for one in found]


def settled(regrouping: Regrouping, *, before: datetime) -> None:
    """Look at a regrouping no more, if it is unsettled since before a moment."""
    which = {"_id": regrouping.id, "unsettled": {"$lte": before}}
    collection(RegroupingDocument).update_one(which, {"$unset": {"unsettled": ""}})


def forget(session_ids: Sequence[ObjectId]) -> None:
    """Delete what is known of the regroupings of sessions that go."""
    for side in ("earlier", "later"):
        collection(RegroupingDocument).delete_many({side: {"$in": list(session_ids)}})
