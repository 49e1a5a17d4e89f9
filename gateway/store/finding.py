"""Sessions found in MongoDB: what the finder decides on, each in one indexed lookup."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo import ASCENDING, DESCENDING

from gateway.core.sessions import Anchor, Neighbours, SessionView, newest_first
from gateway.store import held
from gateway.store.connection import collection
from gateway.store.documents import SessionDocument

VIEWED = {
    "communication_type": 1,
    "status": 1,
    "closed_reason": 1,
    "closed_at": 1,
    "first_message_at": 1,
    "last_message_at": 1,
    "last_inbound_at": 1,
    "live": 1,
    "live_until": 1,
    "previous_session_id": 1,
    "contact_id": 1,
    "opening": 1,
    "keys": 1,
    "opted_out": 1,
    "automatic": 1,
    "notices": 1,
    "bot_off": 1,
    "assigned_to": 1,
    "context.flow": 1,
    "createdAt": 1,
}


def view(document: Mapping[str, Any]) -> SessionView:
    opening = document.get("opening") or {}
    first = document.get("first_message_at") or document["createdAt"]
    return SessionView(
        id=str(document["_id"]),
        first_message_at=first,
        last_message_at=document.get("last_message_at") or first,
        created_at=document["createdAt"],
        communication_type=document.get("communication_type", ""),
        is_open=document.get("status") == "active",
        closed_reason=document.get("closed_reason"),
        closed_at=document.get("closed_at"),
        last_inbound_at=document.get("last_inbound_at"),
        live=tuple(document.get("live", ())),
        live_until=document.get("live_until"),
        previous_session_id=_text(document.get("previous_session_id")),
        contact_id=_text(document.get("contact_id")),
        opened_by=opening.get("message_id"),
        opening=opening,
        keys=tuple(document.get("keys", ())),
        opted_out=tuple(document.get("opted_out", ())),
        automatic=document.get("automatic") or {},
        notices=tuple(document.get("notices", ())),
        bot_off=bool(document.get("bot_off")),
        assigned_to=document.get("assigned_to") or "",
        flow=flow_in(document.get("context")),
    )


def flow_in(context: Any) -> Mapping[str, Any] | None:
    """Give what a context keeps of a flow; one that was adopted may hold anything."""
    flow = context.get("flow") if isinstance(context, Mapping) else None
    return flow if isinstance(flow, Mapping) else None


def _text(value: ObjectId | None) -> str | None:
    return None if value is None else str(value)


def find_neighbours(keys: Sequence[str], moment: datetime) -> Neighbours:
    """Find the sender's newest session starting at or before the moment, and the one after it.

    One indexed lookup unless the message is late; a session that was only closed for idleness counts.
    """
    sessions, among = collection(SessionDocument), {"keys": {"$in": list(keys)}}
    newest = held.find_first(SessionDocument, among, VIEWED, {"first_message_at": DESCENDING})
    if newest is None:
        return Neighbours()
    if newest["first_message_at"] <= moment:
        return Neighbours(before=_last_begun_with(newest, among))
    before = sessions.find_one(
        {**among, "first_message_at": {"$lte": moment}}, VIEWED, sort=[("first_message_at", DESCENDING)]
    )
    after = sessions.find_one(
        {**among, "first_message_at": {"$gt": moment}}, VIEWED, sort=[("first_message_at", ASCENDING)]
    )
    return Neighbours(_last_begun_with(before, among) if before else None, view(after) if after else None)


def _last_begun_with(document: Mapping[str, Any], among: Mapping[str, Any]) -> SessionView:
    """Give a session, or the last that followed it in the same millisecond, of which the index knows no order.

    Whoever follows a session has closed it, so only who is about to open a new one looks.
    """
    if document.get("status") == "active":
        return view(document)
    tied = held.find_all(SessionDocument, {**among, "first_message_at": document["first_message_at"]}, VIEWED)
    return newest_first([view(one) for one in tied] or [view(document)])[0]


def find_newest(keys: Sequence[str], since: datetime) -> list[SessionView]:
    """Find the sessions of any number of senders that began since a moment, the newest first, in one indexed lookup.

    A sender's newest among them is the newest of all; who has none here may have an older one.
    """
    began = {"keys": {"$in": list(keys)}, "first_message_at": {"$gte": since}}
    return newest_first([view(one) for one in held.find_all(SessionDocument, began, VIEWED)])


# So many sessions of all who come back after long are read at once: some 30 us each, while others wait.
_READ_AT_MOST = 250


def find_newest_ever(keys: Sequence[str]) -> tuple[list[SessionView], bool]:
    """Find the sessions of any number of senders, however old, the newest first, in one indexed lookup.

    Then whether these are all: if not, only the newest of whoever is among them is sure to be here.
    """
    among, newest = {"keys": {"$in": list(keys)}}, {"first_message_at": DESCENDING}
    found = [view(one) for one in held.find_all(SessionDocument, among, VIEWED, sort=newest, most=_READ_AT_MOST)]
    if len(found) < _READ_AT_MOST:
        return newest_first(found), True
    # What began in the same millisecond as the last of them may not be here.
    return newest_first([one for one in found if one.first_message_at > found[-1].first_message_at]), False


def newest_ids(keys: Sequence[str], *, limit: int) -> list[str]:
    """Give the ids of a sender's newest sessions, the oldest of them first."""
    found = collection(SessionDocument).find({"keys": {"$in": list(keys)}}, {"_id": 1})
    return [str(row["_id"]) for row in found.sort("first_message_at", DESCENDING).limit(limit)][::-1]


def get_all(session_ids: Collection[str]) -> dict[str, SessionView]:
    """Look sessions up by their ids."""
    ids = [ObjectId(one) for one in session_ids if ObjectId.is_valid(one)]
    return {one.id: one for one in map(view, collection(SessionDocument).find({"_id": {"$in": ids}}, VIEWED))}


def get(session_id: str) -> SessionView | None:
    """Look a session up by its id."""
    if not ObjectId.is_valid(session_id):
        return None
    found = collection(SessionDocument).find_one({"_id": ObjectId(session_id)}, VIEWED)
    return view(found) if found else None


@dataclass(frozen=True, slots=True)
class Numbered:
    """A session and the numbers it was opened with, its person's and ours; empty where it names none."""

    session: SessionView
    person: str
    line: str


def get_numbered(session_id: str) -> Numbered | None:
    """Look a session up by its id, with its numbers."""
    if not ObjectId.is_valid(session_id):
        return None
    found = collection(SessionDocument).find_one({"_id": ObjectId(session_id)}, VIEWED | {"metadata": 1})
    return numbered(found) if found else None


def numbered(row: Mapping[str, Any]) -> Numbered:
    """Give the same of one that was read, as it is stored or as `listing` gives it."""
    return Numbered(view({"_id": row.get("id"), **row}), *_numbers(row))


def numbers_of(session_id: str) -> tuple[str, str]:
    """Give the numbers a session was opened with, its person's and ours; empty where it names none."""
    found = collection(SessionDocument).find_one({"_id": ObjectId(session_id)}, {"metadata": 1})
    return _numbers(found or {})


def _numbers(row: Mapping[str, Any]) -> tuple[str, str]:
    metadata = row.get("metadata") or {}
    return str(metadata.get("fromNumber") or ""), str(metadata.get("toNumber") or "")


def find_holder(open_keys: Sequence[str]) -> SessionView | None:
    """Find the open session that holds one of these keys."""
    found = collection(SessionDocument).find_one({"open_keys": {"$in": list(open_keys)}}, VIEWED)
    return view(found) if found else None


def open_and_older(anchor: Anchor, than: datetime, *, reopened: datetime) -> Iterator[tuple[SessionView, str]]:
    """Give the open sessions whose anchor is older, each with its channel's id.

    Those are left out that a person opened again after the moment `reopened`.
    """
    by = "last_inbound_at" if anchor is Anchor.INBOUND else "last_message_at"
    found = (
        collection(SessionDocument)
        .find(
            {"open_keys": {"$exists": True}, by: {"$lt": than}, "reopened_at": {"$not": {"$gt": reopened}}},
            {**VIEWED, "channel_id": 1},
        )
        .hint("one_open_session")
        # MongoDB would send 16 MB of them at once, which is ten times as much here.
        .batch_size(500)
    )
    for document in found:
        yield view(document), document["channel_id"]
