"""What is noted on a message whose webhook was replayed."""

from datetime import datetime

from gateway.store.connection import collection
from gateway.store.documents import MessageDocument

# So many of the last replays are kept on a message; the audit has them all.
KEPT = 20


def note(message_id: str, at: datetime, by: str, to: str, *, answer: bool) -> None:
    """Note on a message when its webhook was replayed, by whom, to which gateway, and whether for an answer."""
    entry = {"at": at.isoformat(), "by": by, "to": to, "answer": answer}
    collection(MessageDocument).update_one(
        {"_id": message_id}, {"$push": {"metadata.resent": {"$each": [entry], "$slice": -KEPT}}}
    )
