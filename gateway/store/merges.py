"""Merges of contacts: who was merged with whom and when, how far that has come, and whether it was undone.

A merge is written down before anything is changed, and holds both contacts (`busy`, unique) until it is through: so
there is one at a time for a contact, none goes in a circle, and what a killed process left behind is found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo import DESCENDING, ReturnDocument
from pymongo.errors import DuplicateKeyError

from gateway.store.connection import collection
from gateway.store.documents import MergeDocument

CLAIMED, DOING, DONE, UNDOING, UNDONE = "claimed", "doing", "done", "undoing", "undone"
UNFINISHED = (CLAIMED, DOING, UNDOING)


@dataclass(frozen=True, slots=True)
class Closed:
    """A session that a merge closed, since the person had a newer one: what it was, and where it goes on."""

    session_id: str
    open_keys: tuple[str, ...]
    into: str


@dataclass(frozen=True, slots=True)
class Merge:
    """One contact merged into another, and the sessions that were closed by it."""

    id: str
    state: str
    survivor: str
    absorbed: str
    by: str
    at: datetime
    reason: str = ""
    owner: str = ""
    undone_by: str = ""
    undone_at: datetime | None = None
    closed: tuple[Closed, ...] = ()

    @property
    def is_undone(self) -> bool:
        """Tell whether it is taken back, or being so."""
        return self.state in (UNDOING, UNDONE)


def _read(found: Mapping[str, Any]) -> Merge:
    return Merge(
        id=found["_id"],
        state=found["state"],
        survivor=str(found["survivor"]),
        absorbed=str(found["absorbed"]),
        by=found["by"],
        at=found["at"],
        reason=found.get("reason", ""),
        owner=found.get("owner", ""),
        undone_by=found.get("undone_by", ""),
        undone_at=found.get("undone_at"),
        closed=tuple(
            Closed(str(one["session_id"]), tuple(one["open_keys"]), str(one["into"])) for one in found.get("closed", ())
        ),
    )


def claim(new: Merge, lease: datetime) -> bool:
    """Write a merge down and hold its contacts; False where one of them is held."""
    pair = [ObjectId(new.survivor), ObjectId(new.absorbed)]
    document = {
        "_id": new.id,
        "state": CLAIMED,
        "survivor": pair[0],
        "absorbed": pair[1],
        "by": new.by,
        "at": new.at,
        "busy": pair,
        "owner": new.owner,
        "lease": lease,
        **({"reason": new.reason} if new.reason else {}),
    }
    try:
        collection(MergeDocument).insert_one(document)
    except DuplicateKeyError:
        return False
    return True


def claim_again(merge: Merge, head: str, lease: datetime) -> bool:
    """Hold the contacts of one that is through, and the one they are now; False where that cannot be now."""
    held = list({ObjectId(one) for one in (merge.survivor, merge.absorbed, head)})
    try:
        done = collection(MergeDocument).update_one(
            {"_id": merge.id, "state": merge.state, "busy": {"$exists": False}},
            {"$set": {"busy": held, "owner": merge.owner, "lease": lease}},
        )
    except DuplicateKeyError:
        return False
    return done.modified_count == 1


def begin(merge: Merge) -> bool:
    """Let a claimed merge happen: from here on it is finished, by whomever. False where it is another's."""
    return _mine(merge, {"$set": {"state": DOING}})


def turn_back(merge: Merge) -> bool:
    """Let a merge that is held be undone: from here on that is finished, by whomever."""
    return _mine(merge, {"$set": {"state": UNDOING, "undone_by": merge.undone_by, "undone_at": merge.undone_at}})


def note_closed(merge: Merge, closed: Closed) -> None:
    """Note a session that is about to be closed, once, by whoever holds the contacts."""
    entry = {"session_id": ObjectId(closed.session_id), "open_keys": list(closed.open_keys)}
    wanted = {"_id": merge.id, "closed.session_id": {"$ne": entry["session_id"]}}
    collection(MergeDocument).update_one(wanted, {"$push": {"closed": entry | {"into": ObjectId(closed.into)}}})


def drop(merge: Merge) -> None:
    """Forget a merge that was only claimed."""
    collection(MergeDocument).delete_one({"_id": merge.id, "owner": merge.owner, "state": CLAIMED})


def renew(merge: Merge, lease: datetime) -> bool:
    """Go on with a merge; False where the lease ran out and somebody else goes on."""
    return _mine(merge, {"$set": {"lease": lease}})


def let_go(merge: Merge, state: str, *, unsettled: datetime | None = None) -> bool:
    """Let go of the contacts. What was in flight meanwhile is looked for afterwards, if it is `unsettled` since then.

    False where somebody else goes on with it.
    """
    change: dict[str, Any] = {"$set": {"state": state}, "$unset": {"busy": "", "owner": "", "lease": ""}}
    if unsettled:
        change["$set"]["unsettled"] = unsettled
    return _mine(merge, change)


def _mine(merge: Merge, change: Mapping[str, Any]) -> bool:
    which = {"_id": merge.id, "owner": merge.owner}
    return collection(MergeDocument).update_one(which, change).matched_count == 1


def take_over(owner: str, now: datetime, lease: datetime, *, contact_ids: Sequence[str] = ()) -> Merge | None:
    """Take a merge whose process died, of these contacts or of any; None where there is none."""
    held: Any = {"$in": [ObjectId(one) for one in contact_ids]} if contact_ids else {"$exists": True}
    found = collection(MergeDocument).find_one_and_update(
        {"busy": held, "lease": {"$lte": now}},
        {"$set": {"owner": owner, "lease": lease}},
        return_document=ReturnDocument.AFTER,
    )
    return _read(found) if found else None


def get(merge_id: str) -> Merge | None:
    """Look a merge up."""
    found = collection(MergeDocument).find_one({"_id": merge_id})
    return _read(found) if found else None


def of_contact(contact_id: str) -> Merge | None:
    """Find the merge that makes a contact another one; where there is none, the newest that did and was undone."""
    if not ObjectId.is_valid(contact_id):
        return None
    mine = {"absorbed": ObjectId(contact_id)}
    for wanted in (mine | {"state": {"$ne": UNDONE}}, mine):
        found = collection(MergeDocument).find(wanted).sort("at", DESCENDING).limit(1)
        if merge := next((_read(one) for one in found), None):
            return merge
    return None


def into(contact_ids: Sequence[ObjectId | str], *, limit: int = 50) -> list[Merge]:
    """Give the merges into any of these contacts that hold, newest first."""
    wanted = {"survivor": {"$in": [ObjectId(one) for one in contact_ids]}, "state": DONE}
    found = collection(MergeDocument).find(wanted).sort([("at", DESCENDING), ("_id", DESCENDING)])
    return [_read(one) for one in found.limit(limit)]


def were_parted(contact_ids: Sequence[ObjectId], other_ids: Sequence[ObjectId]) -> bool:
    """Tell whether somebody undid a merge of any of these with any of the others, and nobody merged them since."""
    mine, others = {"$in": list(contact_ids)}, {"$in": list(other_ids)}
    either = [{"absorbed": mine, "survivor": others}, {"absorbed": others, "survivor": mine}]
    wanted = {"$or": either, "state": {"$in": [UNDOING, UNDONE]}}
    return collection(MergeDocument).find_one(wanted, {"_id": 1}) is not None


def unsettled(contact_ids: Sequence[str] = ()) -> list[Merge]:
    """List those, of these contacts or of any, for which something may still be in flight."""
    wanted: dict[str, Any] = {"unsettled": {"$exists": True}, "busy": {"$exists": False}}
    if contact_ids:
        among = {"$in": [ObjectId(one) for one in contact_ids]}
        wanted["$or"] = [{"survivor": among}, {"absorbed": among}]
    return [_read(one) for one in collection(MergeDocument).find(wanted)]


def settled(merge: Merge, *, before: datetime) -> None:
    """Look at a merge no more, if it is unsettled since before a moment."""
    which = {"_id": merge.id, "unsettled": {"$lte": before}}
    collection(MergeDocument).update_one(which, {"$unset": {"unsettled": ""}})


def forget(contact_ids: Sequence[ObjectId]) -> None:
    """Delete what is known of the merges of contacts that go."""
    for side in ("survivor", "absorbed"):
        collection(MergeDocument).delete_many({side: {"$in": list(contact_ids)}})
