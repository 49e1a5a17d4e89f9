"""A database brought back from a backup: what waits in it may have been done after the backup was made."""

from datetime import datetime

from gateway.store.answers import NONE, PENDING, QUEUED
from gateway.store.connection import collection
from gateway.store.documents import MessageDocument, OutboxDocument
from gateway.store.outbox import ANSWER, CANCELED, EVER, FAILED, FLOW, SEND, WAITING

REASON = "restored"


def doubt_sends(now: datetime) -> int:
    """Note on everything that waits to be sent that it may be out already; gives how much that is.

    So it is looked up at the provider before it is sent, as what a killed worker was sending is (I9).
    """
    waiting = {"state": WAITING, "queued_at": {"$gt": EVER}, "step": SEND}
    since = {"$ifNull": ["$attempted_at", "$queued_at"]}
    done = collection(OutboxDocument).update_many(
        waiting, [{"$set": {"attempted_at": since, "last_attempt_at": now, "due": now, "owner": ""}}]
    )
    return done.matched_count


def leave_flows(now: datetime) -> int:
    """Leave what flows still have to do to an operator, among what failed; gives how much that is."""
    done = collection(OutboxDocument).update_many(
        {"state": WAITING, "queued_at": {"$gt": EVER}, "step": FLOW},
        {"$set": {"state": FAILED, "finished_at": now, "error": f"{REASON}: it may have been done after the backup"}},
    )
    return done.modified_count


def drop_answers(now: datetime) -> list[str]:
    """Let nothing be answered that waited for it; gives the sessions it waited in."""
    rows, messages = collection(OutboxDocument), collection(MessageDocument)
    rows.update_many(
        {"state": WAITING, "queued_at": {"$gt": EVER}, "step": ANSWER},
        {"$set": {"state": CANCELED, "finished_at": now, "error": REASON}},
    )
    waiting = {"answer.state": {"$in": [QUEUED, PENDING]}}
    sessions = messages.distinct("session_id", waiting)
    messages.update_many(
        waiting, {"$set": {"answer.state": NONE, "answer.reason": REASON}, "$unset": {"answer.due": ""}}
    )
    return sorted(map(str, sessions))
