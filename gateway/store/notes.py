"""Private notes: messages of ours that are for our own eyes, so they are never sent and are no activity.

Stored as the operator's message that it looks like, marked `metadata.private`. What reads messages to send them, to
answer from them or to measure a session's times leaves that mark out; deleting and archiving take notes along.
"""

from datetime import datetime

from bson import ObjectId

from gateway.store import outbound, sessions
from gateway.store.connection import collection
from gateway.store.documents import NOT_DELETED, SessionDocument
from gateway.store.outbound import Outbound, Place

_PLACE = {"channel_id": 1, "communication_type": 1, "contact_id": 1}


def add(note_id: str, session_id: str, text: str, author: str, now: datetime) -> bool:
    """Add a note to a session; False where that is done already, or the session is gone."""
    which = {"_id": ObjectId(session_id), "retired": {"$exists": False}} | NOT_DELETED
    session = collection(SessionDocument).find_one(which, _PLACE)
    if session is None:
        return False
    place = Place.of(session | {"session_id": session["_id"]})
    note = Outbound(note_id, place, text, now, sender="agent", facts={"private": True, "author": author})
    added = outbound.insert([outbound.document_of(note, now)])
    if added:
        sessions.count_only(session_id, added, now)
    return added > 0
