"""What a person last said of being written to: STOP and START, in the order of event time."""

from collections.abc import Sequence
from datetime import datetime

from bson import ObjectId

from gateway.core.optout import Keyword
from gateway.core.participant import address
from gateway.store.connection import collection
from gateway.store.contacts import unescaped
from gateway.store.documents import ContactDocument, MessageDocument, SessionDocument


def said_since(contact_id: str, lines: Sequence[str], moment: datetime) -> bool:
    """Tell whether a STOP or START to one of these lines is stored that was said after this moment.

    Only asked when somebody says one of these words, which is seldom.
    """
    person, covered = ObjectId(contact_id), set(lines)
    contact = collection(ContactDocument).find_one({"_id": person}, {"opted_out": 1}) or {}
    out = {unescaped(line): said for line, said in (contact.get("opted_out") or {}).items()}
    sessions = collection(SessionDocument).find({"contact_id": person, "last_message_at": {"$gt": moment}}, {"_id": 1})
    wanted = {
        "session_id": {"$in": [session["_id"] for session in sessions]},
        "createdAt": {"$gt": moment},
        "metadata.keyword": {"$in": [str(Keyword.STOP), str(Keyword.START)]},
    }
    for row in collection(MessageDocument).find(wanted, {"metadata.To": 1, "metadata.MessagingServiceSid": 1}):
        told = row["metadata"]
        if {address(str(told.get("To") or "")).identity, told.get("MessagingServiceSid")} & covered:
            return True
    return any(out[line]["at"] > moment for line in covered & out.keys())
