"""Rows of the outbox in somebody's hands: taken for a while, put off, ended.

A row is claimed with a lease: claiming moves `due` to the end of the lease, so a row whose worker died becomes
due again by itself. Everything a claimant does to its row is bound to the claim.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pymongo import ASCENDING, ReturnDocument

from gateway.store.connection import collection
from gateway.store.documents import OutboxDocument
from gateway.store.outbox import HANDS, WAITING, Row, document_of, row_of

NOT_AT_ALL = timedelta()


def claim(
    owner: str,
    now: datetime,
    lease: timedelta,
    *,
    steps: Sequence[str] = HANDS,
    row_id: str | None = None,
    overdue: timedelta = NOT_AT_ALL,
) -> Row | None:
    """Take the row that is due longest (or that one, if it is due) until the lease ends; None where there is none.

    With `overdue` only what has been due for so long.
    """
    wanted: dict[str, Any] = {"state": WAITING, "step": {"$in": list(steps)}, "due": {"$lte": now - overdue}}
    if row_id:
        wanted["_id"] = row_id
    return _claim(wanted, owner, now + lease)


def due(
    now: datetime, *, steps: Sequence[str] = HANDS, overdue: timedelta = NOT_AT_ALL, limit: int
) -> list[tuple[str, str]]:
    """List rows that may be claimed, with their steps: so many of those that have been due longest."""
    wanted = {"state": WAITING, "step": {"$in": list(steps)}, "due": {"$lte": now - overdue}}
    found = collection(OutboxDocument).find(wanted, {"step": 1}).sort("due", ASCENDING).limit(limit)
    return [(row["_id"], row["step"]) for row in found]


def claim_all(owner: str, now: datetime, lease: timedelta, ids: Sequence[str]) -> list[Row]:
    """Take those of the rows that are still due, until the lease ends."""
    rows, wanted = collection(OutboxDocument), {"_id": {"$in": list(ids)}, "state": WAITING}
    rows.update_many(wanted | {"due": {"$lte": now}}, _taken(owner, now + lease))
    taken = {found["_id"]: row_of(found) for found in rows.find(wanted | {"owner": owner})}
    return [taken[one] for one in ids if one in taken]


def claim_event(owner: str, now: datetime, lease: timedelta, subscriptions: Sequence[str]) -> Row | None:
    """Take the event that is due longest among those for some subscriptions; None where there is none."""
    wanted = {"state": WAITING, "subscription": {"$in": list(subscriptions)}, "due": {"$lte": now}}
    return _claim(wanted, owner, now + lease, hint="next_event")


def _claim(wanted: Mapping[str, Any], owner: str, until: datetime, **how: Any) -> Row | None:
    found = collection(OutboxDocument).find_one_and_update(
        wanted,
        _taken(owner, until),
        sort=[("due", ASCENDING)],
        return_document=ReturnDocument.AFTER,
        **how,
    )
    return row_of(found) if found else None


def _taken(owner: str, until: datetime) -> dict[str, Any]:
    return {"$set": {"owner": owner, "due": until}, "$inc": {"tries": 1}, "$unset": {"hinted_at": ""}}


def renew(owner: str, ids: Sequence[str], until: datetime) -> None:
    """Go on holding rows that are still being worked on."""
    collection(OutboxDocument).update_many(
        {"_id": {"$in": list(ids)}, "owner": owner, "state": WAITING}, {"$set": {"due": until}}
    )


def give_back(row: Row) -> None:
    """Take back that a try was counted, where it was none of the row's doing; the lease goes on."""
    collection(OutboxDocument).update_one(mine(row), {"$inc": {"tries": -1}})


def mine(row: Row) -> dict[str, Any]:
    """Match a row while it is claimed under its claimant's name."""
    return {"_id": row.id, "owner": row.owner, "state": WAITING}


def put_off(row: Row, due: datetime, *, error: str, response: Mapping[str, Any]) -> bool:
    """Let go of an event until later, after a try that failed."""
    changes = {"due": due, "owner": "", "error": error, "response": response}
    return collection(OutboxDocument).update_one(mine(row), {"$set": changes}).modified_count == 1


def postpone(
    row: Row, due: datetime, *, failed: str = "", slot: datetime | None = None, sent: bool = False, behind: bool = False
) -> bool:
    """Let go of a row until later. With `failed` the try counts; with `sent` the provider may have the message.

    With `behind` it waits for nothing but an earlier message to the same person.
    """
    changes: dict[str, Any] = {"$set": {"due": due, "owner": ""}, "$unset": {}}
    if failed:
        changes["$set"]["error"] = failed
    else:
        changes["$inc"] = {"tries": -1}
    if slot:
        changes["$set"]["slot"] = slot
    else:
        changes["$unset"]["slot"] = ""
    if behind:
        changes["$set"]["behind"] = True
    else:
        changes["$unset"]["behind"] = ""
    if not sent:
        changes["$unset"] |= {"attempted_at": "", "last_attempt_at": ""}
    return collection(OutboxDocument).update_one(mine(row), _without_empty(changes)).modified_count == 1


def _without_empty(changes: dict[str, Any]) -> dict[str, Any]:
    return {operator: fields for operator, fields in changes.items() if fields}


def finish(row: Row, state: str, now: datetime, *, error: str = "", response: Mapping[str, Any] | None = None) -> bool:
    """End a row; it is kept for a week, so that nothing is queued twice. `response` is what a try was answered."""
    changes: dict[str, Any] = {"state": state, "finished_at": now}
    if error:
        changes["error"] = error
    if response is not None:
        changes["response"] = response
    return collection(OutboxDocument).update_one(mine(row), {"$set": changes}).modified_count == 1


def go_on_sending(row: Row, first: Row) -> bool:
    """Turn a row whose message is stored now into the row that sends it; False where it was canceled meanwhile."""
    sending = {name: value for name, value in document_of(first).items() if name not in ("_id", "state", "tries")}
    done = collection(OutboxDocument).update_one(mine(row), {"$set": sending | {"tries": 0, "owner": ""}})
    return done.modified_count == 1
