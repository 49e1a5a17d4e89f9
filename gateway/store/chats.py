"""Chats as their users see them: their own sessions on one site, and what was said there to be seen.

What somebody may see is a part of every query: a session is theirs by the keys it is found by, or by the contact
they proved to be on the same site.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

from gateway.core.messages import CHAT
from gateway.core.participant import Participant
from gateway.core.sessions import SessionView
from gateway.core.times import MILLISECOND, epoch_ms, from_epoch_ms
from gateway.store import contacts
from gateway.store.answers import QUEUED
from gateway.store.connection import collection
from gateway.store.documents import NOT_DELETED, NOT_PRIVATE, MessageDocument, SessionDocument
from gateway.store.finding import VIEWED, view
from gateway.store.isolation import Channels, only

# What is stored so much later than it happened is on a page that is loaded again, and not told of by itself.
LATE = timedelta(seconds=30)

# Whoever had more sessions than these reads in the newest.
MOST_SESSIONS = 1000

_LISTED = {
    "title": 1,
    "status": 1,
    "context": 1,
    "metadata.userId": 1,
    "message_count": 1,
    "last_message_at": 1,
    "createdAt": 1,
    "updatedAt": 1,
}
_NEWEST_FIRST = [("last_message_at", -1), ("_id", -1)]

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose sessions are meant, and on which channels those may be."""

    keys: tuple[str, ...]
    channel_id: str
    contacts: tuple[str, ...]
    channels: Channels = None

    def matching(self) -> dict[str, Any]:
        """Match their sessions; what is in the archive is gone for them."""
        there = {"status": {"$in": ["active", "closed"]}, "merged_into": None, "retired": None}
        return {"$or": self._owned()} | there | only(self.channels)

    def gone(self) -> dict[str, Any]:
        """Match what was theirs, whatever became of it: put away, deleted, or merged into another session."""
        return {"$or": [one for aside in ("", "absorbed.session.", "retired.") for one in self._owned(aside)]} | only(
            self.channels
        )

    def _owned(self, aside: str = "") -> list[dict[str, Any]]:
        mine: list[dict[str, Any]] = [{f"{aside}keys": {"$in": list(self.keys)}}]
        if self.contacts:
            among = {"$in": [ObjectId(one) for one in self.contacts]}
            theirs = {f"{aside}contact_id": among, "channel_id": self.channel_id}
            mine.append(theirs | {f"{aside}communication_type": CHAT})
        return mine


def whose(person: Participant, site: str, channel_id: str, channels: Channels) -> Whose:
    """Find out which sessions are somebody's: under either scope, and over all their devices."""
    keys = (f"{CHAT}|{site}|{identity}" for identity in person.identities)
    contact = contacts.find(person)
    return Whose((*keys, *person.identities), channel_id, contact.members if contact else (), channels)


def find(session_id: str, mine: Whose) -> SessionView | None:
    """Look up a session of somebody's; None where it is not theirs."""
    found = _one(session_id, mine, VIEWED)
    return view(found) if found else None


def exists(session_id: str) -> bool:
    """Tell whether there is a session of that id, whosever it is."""
    known = ObjectId.is_valid(session_id)
    return known and collection(SessionDocument).find_one({"_id": ObjectId(session_id)}, {"_id": 1}) is not None


def was_theirs(session_id: str, mine: Whose) -> bool:
    """Tell whether a session is somebody's, or was until it was put away, deleted or merged into another."""
    which = {"_id": ObjectId(session_id)} | mine.gone()
    return collection(SessionDocument).find_one(which, {"_id": 1}) is not None


def get(session_id: str, mine: Whose) -> Row | None:
    """Give a session of somebody's for reading; None where it is not theirs."""
    return _one(session_id, mine, _LISTED)


def _one(session_id: str, mine: Whose, fields: Mapping[str, int]) -> Row | None:
    if not ObjectId.is_valid(session_id):
        return None
    return collection(SessionDocument).find_one({"_id": ObjectId(session_id)} | mine.matching(), fields)


def user_of(session_id: str, channels: Channels) -> Row | None:
    """Tell whose chat a session is: its `userId` and `channel_id`; None where there is none on these channels."""
    if not ObjectId.is_valid(session_id):
        return None
    which = {"_id": ObjectId(session_id), "communication_type": CHAT, "metadata.userId": {"$exists": True}}
    return collection(SessionDocument).find_one(
        which | NOT_DELETED | only(channels), {"metadata.userId": 1, "channel_id": 1}
    )


def began_before(mine: Whose, moment: datetime) -> bool:
    """Tell whether a session of somebody's began before a moment."""
    query = mine.matching() | {"first_message_at": {"$lt": moment}}
    return collection(SessionDocument).find_one(query, {"_id": 1}) is not None


def newest(mine: Whose) -> str | None:
    """Give the id of somebody's newest session."""
    found = collection(SessionDocument).find_one(mine.matching(), {"_id": 1}, sort=[("first_message_at", -1)])
    return str(found["_id"]) if found else None


def page(mine: Whose, *, limit: int, cursor: tuple[datetime, str] | None = None) -> list[Row]:
    """List somebody's sessions by last message, the newest first, after the place of a cursor."""
    query: dict[str, Any] = mine.matching()
    if cursor:
        at, session_id = cursor
        after = [{"last_message_at": {"$lt": at}}, {"last_message_at": at, "_id": {"$lt": ObjectId(session_id)}}]
        query = {"$and": [query, {"$or": after}]}
    return list(collection(SessionDocument).find(query, _LISTED).sort(_NEWEST_FIRST).limit(limit))


@dataclass(frozen=True, slots=True)
class Said:
    """Some messages, oldest first. `earlier` is the moment before which there are more; None where there are none."""

    messages: list[Row]
    earlier: datetime | None


def said(sessions: Sequence[str], channels: Channels, *, limit: int, before: datetime | None = None) -> Said:
    """Give the newest messages of sessions before a moment; those of one moment are never torn apart."""
    wanted = _messages(sessions, channels) | ({"createdAt": {"$lt": before}} if before else {})
    newest_first = list(collection(MessageDocument).find(wanted).sort("createdAt", -1).limit(limit + 1))
    if len(newest_first) <= limit:
        return Said(_in_order(newest_first), None)
    edge = newest_first[limit - 1]["createdAt"]
    kept = [row for row in newest_first if row["createdAt"] > edge]
    kept += collection(MessageDocument).find(_messages(sessions, channels) | {"createdAt": edge})
    more = collection(MessageDocument).find_one(
        _messages(sessions, channels) | {"createdAt": {"$lt": edge}}, {"_id": 1}
    )
    return Said(_in_order(kept), edge if more else None)


def ids_of(mine: Whose) -> list[str]:
    """Give the ids of all sessions of somebody."""
    found = collection(SessionDocument).find(mine.matching(), {"_id": 1}).sort("last_message_at", -1)
    return [str(row["_id"]) for row in found.limit(MOST_SESSIONS)]


def _messages(sessions: Sequence[str], channels: Channels) -> dict[str, Any]:
    """Match what a page may show: nothing private, and nothing that was said on the phone or in a text."""
    ids = [ObjectId(one) for one in sessions]
    among = {"session_id": ids[0] if len(ids) == 1 else {"$in": ids}}
    return among | {"communication_type": CHAT, "metadata.resendOf": {"$exists": False}} | NOT_PRIVATE | only(channels)


def _in_order(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=place)


def place(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Give a message's place in its session: an answer has the moment of what it answers, and comes after it."""
    ours = row.get("direction") == "outbound"
    return row["createdAt"], row.get("storedAt") or row["createdAt"], ours, str(row["_id"])


@dataclass(frozen=True, slots=True)
class Seen:
    """Up to where a page has seen a session: the moment of the newest message, and how many there were lately."""

    until: datetime
    lately: int

    def written(self) -> str:
        """Write it as a cursor."""
        return f"{epoch_ms(self.until)}.{self.lately}"


def read_cursor(cursor: str) -> Seen | None:
    """Read a cursor back; None where it is none."""
    until, dot, lately = cursor.partition(".")
    # More digits would be no date any more.
    if not dot or not _is_number(until, 14) or not _is_number(lately, 9):
        return None
    return Seen(from_epoch_ms(int(until)), int(lately))


def _is_number(text: str, digits: int) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= digits


def find_message(message_id: str, sessions: Sequence[str], channels: Channels) -> Row | None:
    """Look up a message that a page may show, in these sessions."""
    return collection(MessageDocument).find_one(_messages(sessions, channels) | {"_id": message_id})


def get_message(message_id: str) -> Row | None:
    """Look up a message."""
    return collection(MessageDocument).find_one({"_id": message_id})


def seen_before(session_id: str, moment: datetime, channels: Channels) -> Seen:
    """Give what a page has seen that knows all before a moment."""
    until = moment - MILLISECOND
    lately = _messages([session_id], channels) | {"createdAt": {"$gt": until - LATE, "$lte": until}}
    return Seen(until, collection(MessageDocument).count_documents(lately))


def seen_all(rows: Sequence[Row], now: datetime) -> Seen:
    """Give what a page has seen that was given these messages, a session's newest."""
    until = rows[-1]["createdAt"] if rows else now
    return Seen(until, sum(row["createdAt"] > until - LATE for row in rows))


def since(session_id: str, seen: Seen, channels: Channels, *, limit: int) -> tuple[list[Row], Seen]:
    """Give what was said since a page looked, oldest first, and up to where it has seen then.

    What was stored late lies before the newest message it knows. Then everything of the last moments comes once more.
    """
    lately = _messages([session_id], channels) | {"createdAt": {"$gt": seen.until - LATE}}
    rows = list(collection(MessageDocument).find(lately).sort("createdAt", 1).limit(limit + seen.lately))
    known = [row for row in rows if row["createdAt"] <= seen.until]
    fresh = rows if len(known) != seen.lately else [row for row in rows if row["createdAt"] > seen.until]
    if not fresh:
        return [], seen
    until = max(seen.until, rows[-1]["createdAt"])
    return _in_order(fresh), Seen(until, sum(row["createdAt"] > until - LATE for row in rows))


def is_pending(session_id: str) -> bool:
    """Tell whether an answer to something in a session is being made."""
    waits = {"session_id": ObjectId(session_id), "answer.state": QUEUED}
    return collection(MessageDocument).find_one(waits, {"_id": 1}) is not None


def answer_to(message_id: str) -> tuple[str, Row | None]:
    """Tell the state of the answer to a message, and give it where it is there."""
    asked = collection(MessageDocument).find_one({"_id": message_id}, {"answer.state": 1, "answer.by": 1})
    answer = (asked or {}).get("answer") or {}
    state = str(answer.get("state") or "none")
    if state == QUEUED:
        return state, None
    found = collection(MessageDocument).find_one({"_id": answer.get("by") or f"re:{message_id}"})
    return state, found
