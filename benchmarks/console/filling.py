"""A million sessions as years of use leave them: few open, some failed, tagged, assigned, and words in messages."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId

from gateway.store.connection import collection
from gateway.store.documents import ChannelDocument, ContactDocument, MessageDocument, SessionDocument

NEWEST = datetime(2026, 3, 1, 10, tzinfo=UTC)
EVERY = timedelta(seconds=60)
BATCH = 5000

# How many of a hundred sessions are on each line; the last one is nearly silent.
LINES = [("sms", "+15017122661", 48), ("sms", "+15017122662", 22), ("whatsapp", "+15017122661", 22)]
LINES += [("voice", "+15017122663", 7.9), ("whatsapp", "+15017122669", 0.1)]
NAMES = ["Ada Lovelace", "Grace Hopper", "Alan Turing", "Édith Clarke", "Yusuf Demir", "Noor Haddad", "Mei Lin"]
TAGS = ["vip", "billing", "returns", "new"]
SUBJECTS = ["invoice", "appointment", "delivery", "refund", "password", "opening hours", "battery", "zebra crossing"]
SUBJECTS_WEIGHTS = [30, 25, 20, 12, 8, 4, 0.99, 0.01]


def fill(sessions: int, *, seed: int = 1) -> None:
    """Insert channels, contacts, sessions and one message for each session; the newest sessions come last."""
    for document in (SessionDocument, MessageDocument, ContactDocument):
        collection(document).drop_indexes()  # they are made at once afterwards, in a fraction of the time
    chance = random.Random(seed)
    collection(ChannelDocument).insert_many([_channel(kind, number) for kind, number, _ in LINES])
    people = [{"_id": ObjectId(), "name": f"{chance.choice(NAMES)} {number}"} for number in range(sessions // 4)]
    collection(ContactDocument).insert_many(people, ordered=False)
    for first in range(0, sessions, BATCH):
        numbers = range(first, min(first + BATCH, sessions))
        made = [_session(chance, NEWEST - (sessions - number) * EVERY, people) for number in numbers]
        collection(SessionDocument).insert_many(made, ordered=False)
        collection(MessageDocument).insert_many([_message(chance, session) for session in made], ordered=False)


def _channel(kind: str, number: str) -> dict[str, Any]:
    return {"_id": f"{kind}:{number}", "name": number, "phone_number": number, "communication_type": kind}


def _session(chance: random.Random, at: datetime, people: list[dict[str, Any]]) -> dict[str, Any]:
    kind, ours, _ = chance.choices(LINES, [line[2] for line in LINES])[0]
    theirs = f"+1{chance.choice((415, 212, 305, 555))}{chance.randrange(10**7):07}"
    archived = chance.random() < 0.002
    session: dict[str, Any] = {
        "_id": ObjectId(),
        "channel_id": f"{kind}:{ours}",
        "communication_type": kind,
        "title": f"{kind} from {theirs}",
        "status": "archived" if archived else "active" if NEWEST - at < timedelta(hours=4) else "closed",
        "closed_reason": "idle",
        "message_count": chance.randrange(1, 30),
        "last_message_at": at,
        "last_inbound_at": at,
        "first_message_at": at,
        "metadata": {"fromNumber": theirs, "toNumber": ours},
        "contact_id": chance.choice(people)["_id"],
        "keys": [f"{kind}|{ours}|{theirs}"],
        "createdAt": at,
        "updatedAt": at,
    }
    return session | dict(_marks(chance, at))


def _marks(chance: random.Random, at: datetime) -> Iterator[tuple[str, Any]]:
    if chance.random() < 0.03:
        yield "has_failed", True
    if chance.random() < 0.001:
        yield "needs_person", {"reason": "handed_over", "at": at}
    if chance.random() < 0.05:
        yield "tags", chance.sample(TAGS, 2)
    if chance.random() < 0.1:
        yield "assigned_to", chance.choice(["admin", "bea"])
    if chance.random() < 0.8:
        yield "seen_at", at


def _message(chance: random.Random, session: dict[str, Any]) -> dict[str, Any]:
    subject = chance.choices(SUBJECTS, SUBJECTS_WEIGHTS)[0]
    filler = " ".join(f"word{chance.randrange(30_000)}" for _ in range(8))
    return {
        "_id": f"SM{ObjectId()}",
        "session_id": session["_id"],
        "channel_id": session["channel_id"],
        "communication_type": session["communication_type"],
        "direction": "inbound",
        "sender": "contact",
        "content": f"Hello, a question about {subject}: {filler}",
        "status": "received",
        "createdAt": session["last_message_at"],
        "storedAt": session["last_message_at"],
    }
