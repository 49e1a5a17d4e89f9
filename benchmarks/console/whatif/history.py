"""A history of conversations as the gateway stores them, drawn at random but always the same."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import mongoengine
from bson import ObjectId

from gateway.core.messages import InboundMessage
from gateway.core.participant import address, participant
from gateway.core.sessions import Neighbours, Policy, SessionView, decide, session_keys

END = datetime(2026, 11, 20, tzinfo=UTC)
DAYS = 120
LINES = [("sms", "+15017122661"), ("sms", "+15017122662"), ("whatsapp", "+15017122661"), ("whatsapp", "+15017122663")]
POLICY = Policy(300_000)
WORDS = "Hello, could you tell me whether my order has been sent and when it will be here? " * 3


def fill(messages: int, seed: int = 5) -> None:
    """Insert so many messages, half of them answers, with their sessions."""
    database = mongoengine.get_db()
    drawn = _filed(_timeline(messages // 2, random.Random(seed)))
    sessions: dict[ObjectId, dict[str, Any]] = {}
    while batch := list(islice(drawn, 2_000)):
        for session, _ in batch:
            sessions[session["_id"]] = session
        database.messages.insert_many([row for _, rows in batch for row in rows], ordered=False)
    every = iter(sessions.values())
    while some := list(islice(every, 5_000)):
        database.sessions.insert_many(some, ordered=False)


def _timeline(inbound: int, drawn: random.Random) -> list[tuple[datetime, int, str]]:
    """Give moments with line and sender: pauses of a minute inside a conversation, of a day between two."""
    events: list[tuple[datetime, int, str]] = []
    sender = 0
    while len(events) < inbound:
        sender += 1
        at = END - timedelta(days=drawn.uniform(0, DAYS))
        line, number = drawn.randrange(len(LINES)), f"+1555{sender:07d}"
        while at < END and len(events) < inbound:
            events.append((at, line, number))
            within = drawn.random() < 0.78
            pause = drawn.lognormvariate(4.0, 1.1) if within else drawn.lognormvariate(11.2, 1.3)
            at += timedelta(milliseconds=int(pause * 1000))
    return sorted(events)


def _filed(events: list[tuple[datetime, int, str]]) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    last: dict[tuple[int, str], dict[str, Any]] = {}
    for count, (at, line, number) in enumerate(events):
        kind, ours = LINES[line]
        message = InboundMessage(
            f"SM{count:032x}", kind, participant(number), address(ours), WORDS, at, f"SM{count:032x}"
        )
        before = last.get((line, number))
        decision = decide(Neighbours(before=before and _view(before)), at, POLICY)
        if decision.session_id is None or before is None:
            last[line, number] = before = _session(message, before)
        before["last_message_at"], before["message_count"] = at, before["message_count"] + 2
        yield before, _messages(message, before, decision.as_stored())


def _view(session: dict[str, Any]) -> SessionView:
    return SessionView(str(session["_id"]), session["first_message_at"], session["last_message_at"], END)


def _session(message: InboundMessage, before: dict[str, Any] | None) -> dict[str, Any]:
    at, number = message.received_at, message.sender.label
    return {
        "_id": ObjectId(),
        "channel_id": _channel(message),
        "communication_type": message.communication_type,
        "title": f"{message.communication_type.upper()} from {number}",
        "status": "closed",
        "closed_reason": "idle",
        "message_count": 0,
        "last_message_at": at,
        "first_message_at": at,
        "previous_session_id": before and before["_id"],
        "metadata": {"fromNumber": number},
        "keys": list(session_keys(message, POLICY.scope)),
        "createdAt": at,
    }


def _channel(message: InboundMessage) -> str:
    return f"{message.communication_type}:{message.recipient.identity}"


def _messages(message: InboundMessage, session: dict[str, Any], decision: dict[str, Any]) -> list[dict[str, Any]]:
    shared = {
        "session_id": session["_id"], "channel_id": session["channel_id"], "createdAt": message.received_at,
        "communication_type": message.communication_type, "storedAt": message.received_at, "contact_id": session["_id"],
    }  # fmt: skip
    said = {
        "_id": message.id, "direction": "inbound", "sender": "contact", "content": WORDS, "provider_sid": message.id,
        "media": [], "status": "received", "decision": decision, "answer": {"state": "done", "twiml": WORDS},
        "metadata": {"AccountSid": "AC" + "a" * 32, "NumMedia": "0", "FromCity": "SAN FRANCISCO", "FromState": "CA"},
    }  # fmt: skip
    answer = {"_id": f"re:{message.id}", "direction": "outbound", "sender": "ai", "content": WORDS, "status": "sent"}
    return [shared | said, shared | answer]


def channels() -> list[dict[str, Any]]:
    """Give the channels of this history as documents."""
    return [
        {"_id": f"{kind}:{line}", "name": line, "phone_number": line, "communication_type": kind, "settings": {}}
        for kind, line in LINES
    ]
