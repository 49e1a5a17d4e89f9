"""What a program is told: an envelope around the session and the message as they are when it is told."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gateway.core.jsonlike import plain
from gateway.core.notifications import FLOW_COMPLETED, PING, VERSION
from gateway.store import deliveries, flow_runs, listing, transcripts
from gateway.store.subscriptions import Subscription

_OF_SESSION = ("session.", "person.", "flow.")


def body(event: Mapping[str, Any], to: Subscription) -> bytes | None:
    """Write an event down; None where what it is about is gone, or not for this program.

    Rows hold no words of people, so what was deleted since is told to nobody.
    """
    data: dict[str, Any] | None = {}
    if event["type"] != PING:
        data = _data(event, to)
    if data is None:
        return None
    envelope = {
        "version": VERSION,
        "id": event["id"],
        "type": event["type"],
        "created_at": _moment(event["at"]),
        "sequence": event["sequence"],
        "webhook_id": to.id,
        "data": data,
    }
    return json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode()


def _data(event: Mapping[str, Any], to: Subscription) -> dict[str, Any] | None:
    data = dict(event.get("facts") or {})
    if not event["type"].startswith(_OF_SESSION):
        message = deliveries.message(event["message_id"], to.channels)
        if message is None:
            return None
        # A message may have been moved to another session since.
        session = listing.one(message["session_id"], to.channels)
        data["message"] = _message(message)
    else:
        session = listing.one(event["session_id"], to.channels)
    if event["type"] == FLOW_COMPLETED:
        run = flow_runs.get(str(data.get("run")))
        data["values"] = plain(dict(run.values)) if run else {}
    return None if session is None else _without_hidden(data | {"session": _session(session)}, to)


def _without_hidden(data: dict[str, Any], to: Subscription) -> dict[str, Any]:
    """Leave out a session before this one that is on a channel the program hears nothing of."""
    before = data["session"]["previous_session_id"]
    named = {one for one in (before, data.get("previous_session_id")) if one}
    if to.channels is None or named <= transcripts.visible(named, to.channels):
        return data
    kept = {name: value for name, value in data.items() if name != "previous_session_id"}
    return kept | {"session": data["session"] | {"previous_session_id": None}}


def _session(session: Mapping[str, Any]) -> dict[str, Any]:
    metadata = session.get("metadata") or {}
    return {
        "id": session["id"],
        "channel_id": session.get("channel_id"),
        "communication_type": session.get("communication_type"),
        "title": session.get("title"),
        "status": session.get("status"),
        "closed_reason": session.get("closed_reason"),
        "closed_at": _moment(session.get("closed_at")),
        "contact_id": _id(session.get("contact_id")),
        "number": metadata.get("fromNumber"),
        "previous_session_id": _id(session.get("previous_session_id")),
        "first_message_at": _moment(session.get("first_message_at")),
        "last_message_at": _moment(session.get("last_message_at")),
        "message_count": session.get("message_count"),
        "tags": session.get("tags") or [],
    }


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": message["_id"],
        "session_id": message["session_id"],
        "channel_id": message.get("channel_id"),
        "communication_type": message.get("communication_type"),
        "contact_id": _id(message.get("contact_id")),
        "direction": message.get("direction"),
        "sender": message.get("sender"),
        "content": message.get("content") or "",
        "media": [{"content_type": file.get("content_type")} for file in message.get("media") or ()],
        "status": message.get("status"),
        "error_code": message.get("error_code"),
        "created_at": _moment(message["createdAt"]),
    }


def _id(value: Any) -> str | None:
    return None if value is None else str(value)


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
