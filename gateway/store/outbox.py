"""The outbox: what is still to be answered, sent, fetched or told. It is the truth; a broker only hurries it along."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from gateway.store.connection import collection, insert_new
from gateway.store.documents import OutboxDocument

ANSWER, SEND, FETCH, DELETE, ALERT, FLOW, EVENT = "answer", "send", "fetch", "delete", "alert", "flow", "event"
CRM = "crm"
WAITING, DONE, FAILED, CANCELED = "waiting", "done", "failed", "canceled"
# What a worker's hands do. Events have hands of their own: whoever is told of them may be away for days.
STEPS = (ANSWER, SEND, FETCH, DELETE, ALERT, FLOW)
# What waits for a CRM is done by the same hands, but nobody is late for it: it may wait for that one's tomorrow.
AT_LEISURE = (CRM,)
HANDS = (*STEPS, *AT_LEISURE)

EVER = datetime.fromtimestamp(0, UTC)
# What waits for the worker's hands. Step and moment are in there for the index.
AT_HAND: Mapping[str, Any] = {"state": WAITING, "step": {"$in": list(STEPS)}, "queued_at": {"$gt": EVER}}


@dataclass(frozen=True, slots=True)
class Address:
    """Whom a message goes to and from which of our addresses, as the provider writes both."""

    to: str
    sender: str
    account_sid: str | None = None
    service_sid: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One thing to be done. `id` is the id of the message it makes or sends, `about` what it is made from.

    `attempted_at` is set just before the provider is called, so it says that a message may be out since then;
    `last_attempt_at` is when it was called last. `slot` is when the sending number's pace allows it. The last three
    are those of an event: who is told of it, what is told, and until when that is tried.
    """

    id: str
    step: str
    about: str
    due: datetime
    queued_at: datetime
    session_id: str | None = None
    contact_id: str | None = None
    address: Address | None = None
    lane: str = ""
    segments: int = 1
    owner: str = ""
    tries: int = 0
    attempted_at: datetime | None = None
    last_attempt_at: datetime | None = None
    slot: datetime | None = None
    subscription: str = ""
    event: Mapping[str, Any] = field(default_factory=dict)
    give_up_at: datetime | None = None


def put(row: Row) -> bool:
    """Add a row; False where one of that id is there, whatever became of it."""
    try:
        collection(OutboxDocument).insert_one(document_of(row))
    except DuplicateKeyError:
        return False
    return True


def call_off(row: Row) -> None:
    """Note that something is never to be done: whoever would add that row finds it there."""
    insert_new(OutboxDocument, [document_of(row) | {"state": CANCELED, "finished_at": row.queued_at}])


def put_all(rows: Sequence[Row]) -> list[Row]:
    """Add rows; gives those of which none of that id was there."""
    taken = set(insert_new(OutboxDocument, [document_of(row) for row in rows])) if rows else set()
    return [row for position, row in enumerate(rows) if position not in taken]


def put_answers(rows: Sequence[Row]) -> None:
    """Add rows that ask for answers; one that ended without an answer is opened again, for its message still waits."""
    if insert_new(OutboxDocument, [document_of(row) for row in rows]):
        collection(OutboxDocument).update_many(
            {"_id": {"$in": [row.id for row in rows]}, "step": ANSWER, "state": DONE},
            {"$set": {"state": WAITING, "due": rows[0].due, "owner": "", "tries": 0}, "$unset": {"finished_at": ""}},
        )


def document_of(row: Row) -> dict[str, Any]:
    """Give a row as it is stored."""
    document: dict[str, Any] = {
        "_id": row.id,
        "step": row.step,
        "about": row.about,
        "state": WAITING,
        "due": row.due,
        "queued_at": row.queued_at,
        "session_id": row.session_id and ObjectId(row.session_id),
        "contact_id": row.contact_id and ObjectId(row.contact_id),
        "tries": 0,
        "segments": row.segments,
    }
    if row.address:
        document["address"] = {name: getattr(row.address, name) for name in Address.__slots__}
    if row.lane:
        document["lane"] = row.lane
    if row.subscription:
        document |= {"subscription": row.subscription, "event": dict(row.event), "give_up_at": row.give_up_at}
    return document


def row_of(document: Mapping[str, Any]) -> Row:
    """Read a row that was stored."""
    return Row(
        id=document["_id"],
        step=document["step"],
        about=document["about"],
        due=document["due"],
        queued_at=document["queued_at"],
        session_id=document.get("session_id") and str(document["session_id"]),
        contact_id=document.get("contact_id") and str(document["contact_id"]),
        address=Address(**document["address"]) if document.get("address") else None,
        lane=document.get("lane", ""),
        segments=document.get("segments", 1),
        owner=document.get("owner", ""),
        tries=document.get("tries", 0),
        attempted_at=document.get("attempted_at"),
        last_attempt_at=document.get("last_attempt_at", document.get("attempted_at")),
        slot=document.get("slot"),
        subscription=document.get("subscription", ""),
        event=document.get("event") or {},
        give_up_at=document.get("give_up_at"),
    )


def resend(row: Row, message_id: str, *, due: datetime, queued_at: datetime) -> Row:
    """Give the row that sends a copy of a message. Nothing waits for it, for it goes out much later."""
    fresh = replace(row, tries=0, attempted_at=None, last_attempt_at=None, slot=None)
    return replace(fresh, id=message_id, about=message_id, lane="", due=due, queued_at=queued_at)


def cancel(contact_ids: Sequence[str], senders: Sequence[str], now: datetime) -> list[str]:
    """Cancel what waits for contacts from these addresses of ours; gives the ids of messages not to be sent.

    What may be out already is left to its own look-up.
    """
    rows = collection(OutboxDocument)
    waiting = {
        "contact_id": {"$in": [ObjectId(one) for one in contact_ids]},
        "state": WAITING,
        "step": {"$in": [ANSWER, SEND]},
        "attempted_at": {"$exists": False},
        "$or": [{"address.sender": {"$in": list(senders)}}, {"address.service_sid": {"$in": list(senders)}}],
    }
    canceled = []
    for found in list(rows.find(waiting, {"_id": 1})):
        done = rows.update_one(waiting | {"_id": found["_id"]}, {"$set": {"state": CANCELED, "finished_at": now}})
        if done.modified_count:
            canceled.append(found["_id"])
    return canceled


def states(ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Give what became of rows, by id, for reading; those that ended more than a week ago are not there."""
    wanted = {"state": 1, "due": 1, "tries": 1, "error": 1}
    found = collection(OutboxDocument).find({"_id": {"$in": list(ids)}}, wanted)
    return {row["_id"]: row for row in found}


def find(row_id: str) -> Row | None:
    """Look a row up, whatever became of it."""
    found = collection(OutboxDocument).find_one({"_id": row_id})
    return row_of(found) if found else None
