"""What a person last said of being written to: STOP and START, in the order of event time."""

from collections.abc import Sequence
from datetime import datetime

from gateway.core.optout import Keyword
from gateway.core.participant import address
from gateway.store.connection import collection
from gateway.store.documents import MessageDocument, SessionDocument
from gateway.store.groups import Group, unescaped


def said_since(group: Group, owner: str, lines: Sequence[str], moment: datetime) -> bool:
    """Tell whether a contact's STOP or START to one of these lines is stored that was said after this moment.

    The `owner` is that contact; words of others that were merged with it are their own. Only asked when somebody says
    one of these words, which is seldom.
    """
    covered = set(lines)
    contact = next(one for one in group.members if str(one["_id"]) == owner)
    others = {value for one in group.members if one is not contact for value in one.get("phones") or ()}
    out = {unescaped(line): said for line, said in (contact.get("opted_out") or {}).items()}
    theirs = {"contact_id": {"$in": list(group.ids)}, "last_message_at": {"$gt": moment}}
    sessions = collection(SessionDocument).find(theirs, {"_id": 1})
    wanted = {
        "session_id": {"$in": [session["_id"] for session in sessions]},
        "createdAt": {"$gt": moment},
        "metadata.keyword": {"$in": [str(Keyword.STOP), str(Keyword.START)]},
    }
    told_in = {f"metadata.{name}": 1 for name in ("From", "To", "MessagingServiceSid")}
    for row in collection(MessageDocument).find(wanted, told_in):
        told = row["metadata"]
        if address(str(told.get("From") or "")).identity in others:
            continue
        if {address(str(told.get("To") or "")).identity, told.get("MessagingServiceSid")} & covered:
            return True
    return any(out[line]["at"] > moment for line in covered & out.keys())
