"""What came and went lately, for whoever watches: without a word of what people wrote."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bson import ObjectId

from gateway.store.connection import collection
from gateway.store.documents import NOT_PRIVATE, InspectionDocument, MessageDocument, SessionDocument

# A flood of refused webhooks is not read as a whole.
MOST_SEEN = 500

_MESSAGE = dict.fromkeys(
    ("session_id", "channel_id", "communication_type", "direction", "sender", "status", "error_code", "decision",
     "answer.responder", "answer.state", "storedAt", "createdAt"),
    1,
)  # fmt: skip
_NUMBERS = ("channel_id", "communication_type", "metadata.fromNumber", "metadata.toNumber")
_SEEN = dict.fromkeys(
    ("at", "path", "url", "status", "verdict", "milliseconds", "about", "request_id", "form", "signature.cause"), 1
)


@dataclass(frozen=True, slots=True)
class Told:
    """A message, or a session where `id` is empty: whose it is, where, and what was decided and done about it."""

    id: str
    at: datetime | None
    session_id: str
    channel_id: str
    communication_type: str
    number: str
    line: str
    outbound: bool = False
    sender: str = ""
    status: str = ""
    error_code: str = ""
    responder: str = ""
    answer: str = ""
    decision: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seen:
    """A webhook that the inspector kept: every refused one, and a sample of the others."""

    id: str
    at: datetime
    path: str
    url: str
    status: int
    verdict: str
    milliseconds: float | None
    about: str
    request_id: str
    cause: str
    form: Mapping[str, str]


def newest(limit: int) -> list[Told]:
    """Give the messages that were stored last, the oldest of them first; private notes are left out."""
    found = collection(MessageDocument).find(dict(NOT_PRIVATE), _MESSAGE).sort("storedAt", -1)
    return _told(list(found.hint("stored").limit(limit))[::-1])


def messages(ids: Collection[str]) -> dict[str, Told]:
    """Give messages by id; those that are not there, and private notes, are left out."""
    if not ids:
        return {}
    found = collection(MessageDocument).find({"_id": {"$in": list(ids)}, **NOT_PRIVATE}, _MESSAGE)
    return {one.id: one for one in _told(list(found))}


def sessions(ids: Collection[str]) -> dict[str, Told]:
    """Give whose sessions these are, by id."""
    rows = _sessions({ObjectId(one) for one in ids})
    return {str(key): _of_session(row) for key, row in rows.items()}


def seen(since: datetime | None) -> list[Seen]:
    """Give the newest webhooks that were kept, from a moment on where one is given; the newest first."""
    wanted = {"at": {"$gte": since}} if since else {}
    rows = collection(InspectionDocument).find(wanted, _SEEN).sort([("at", -1), ("_id", -1)])
    return [_seen(row) for row in rows.hint("newest").limit(MOST_SEEN)]


def _sessions(ids: Collection[Any]) -> dict[Any, Mapping[str, Any]]:
    found = collection(SessionDocument).find({"_id": {"$in": list(ids)}}, dict.fromkeys(_NUMBERS, 1))
    return {row["_id"]: row for row in found}


def _told(rows: Sequence[Mapping[str, Any]]) -> list[Told]:
    whose = _sessions({row["session_id"] for row in rows})
    return [_of_message(row, whose.get(row["session_id"], {})) for row in rows]


def _of_message(row: Mapping[str, Any], session: Mapping[str, Any]) -> Told:
    numbers, answer = session.get("metadata") or {}, row.get("answer") or {}
    return Told(
        id=str(row["_id"]),
        at=row.get("storedAt") or row.get("createdAt"),
        session_id=str(row["session_id"]),
        channel_id=str(row.get("channel_id") or ""),
        communication_type=row.get("communication_type") or "",
        number=numbers.get("fromNumber") or "",
        line=numbers.get("toNumber") or "",
        outbound=row.get("direction") == "outbound",
        sender=row.get("sender") or "",
        status=row.get("status") or "",
        error_code=str(row.get("error_code") or ""),
        responder=answer.get("responder") or "",
        answer=answer.get("state") or "",
        decision=_plain(row.get("decision") or {}),
    )


def _plain(decision: Mapping[str, Any]) -> dict[str, Any]:
    return {name: str(one) if isinstance(one, ObjectId) else one for name, one in decision.items()}


def _of_session(row: Mapping[str, Any]) -> Told:
    return _of_message({"_id": "", "session_id": row["_id"], **{name: row.get(name) for name in _NUMBERS[:2]}}, row)


def _seen(row: Mapping[str, Any]) -> Seen:
    return Seen(
        id=str(row["_id"]),
        at=row["at"],
        path=row.get("path") or "",
        url=row.get("url") or "",
        status=row.get("status") or 0,
        verdict=row.get("verdict") or "",
        milliseconds=row.get("milliseconds"),
        about=row.get("about") or "",
        request_id=row.get("request_id") or "",
        cause=(row.get("signature") or {}).get("cause") or "",
        form=dict(row.get("form") or []),
    )
