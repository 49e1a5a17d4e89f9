"""Millions of sessions as years of use leave them: few open, some failed, tagged, assigned, and words in messages.

Making and encoding each document would take longer than storing it, so some thousands are made as examples and
encoded once; all others are copies of their bytes with another id, moment and number.
"""

import random
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import bson
from bson import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo import IndexModel, WriteConcern

from gateway.core.daily import DAY, Tally, day_of
from gateway.store import analytics
from gateway.store.connection import collection
from gateway.store.documents import ChannelDocument, ContactDocument, MessageDocument, SessionDocument

NEWEST = datetime(2026, 3, 1, 10, tzinfo=UTC)
YEARS = timedelta(days=730)
BATCH, EXAMPLES, PEOPLE = 5000, 20_000, 250_000

# Of a hundred sessions one is open, the newest; one is that of a regular, who has so many of them at most.
OPEN = 100
REGULAR, REGULAR_SESSIONS = 100, 5000

# How many of a hundred sessions are on each line; the last one is nearly silent.
LINES = [("sms", "+15017122661", 48), ("sms", "+15017122662", 22), ("whatsapp", "+15017122661", 22)]
LINES += [("voice", "+15017122663", 7.9), ("whatsapp", "+15017122669", 0.1)]
NAMES = ["Ada Lovelace", "Grace Hopper", "Alan Turing", "Édith Clarke", "Yusuf Demir", "Noor Haddad", "Mei Lin"]
TAGS = ["vip", "billing", "returns", "new"]
SUBJECTS = ["invoice", "appointment", "delivery", "refund", "password", "opening hours", "battery", "zebra crossing"]
SUBJECTS_WEIGHTS = [30, 25, 20, 12, 8, 4, 0.99, 0.01]

# What stands in an example where a copy has something of its own.
_ID, _CONTACT = ObjectId(b"\xa1" * 12), ObjectId(b"\xa2" * 12)
_NUMBER, _AT = "+19990000000", datetime(1999, 9, 9, 9, 9, 9, tzinfo=UTC)


def fill(sessions: int, *, seed: int = 1) -> None:
    """Insert channels, contacts, sessions and one message for each session; the newest sessions come last."""
    for document in (SessionDocument, MessageDocument, ContactDocument):
        collection(document).drop_indexes()  # they are made at once afterwards, in a fraction of the time
    chance = random.Random(seed)
    collection(ChannelDocument).insert_many([_channel(kind, number) for kind, number, _ in LINES])
    named = range(min(sessions // 4, PEOPLE))
    people = [{"_id": ObjectId(), "name": f"{chance.choice(NAMES)} {number}"} for number in named]
    collection(ContactDocument).insert_many(people, ordered=False)
    contacts = [one["_id"].binary for one in people] or [_CONTACT.binary]
    stored = [
        collection(document).with_options(write_concern=WriteConcern(w=1, j=False))
        for document in (SessionDocument, MessageDocument)
    ]
    with ThreadPoolExecutor(2) as both:
        for batch in _batches(chance, sessions, contacts):
            list(both.map(lambda where, rows: where.insert_many(rows, ordered=False), stored, batch))
    _count_days(sessions)


def index() -> None:
    """Make the indexes of the big collections, each collection read once for all of its own."""
    for document in (SessionDocument, MessageDocument, ContactDocument):
        specs = [dict(spec) for spec in document._meta["index_specs"]]
        collection(document).create_indexes([IndexModel(spec.pop("fields"), **spec) for spec in specs])


def _batches(chance: random.Random, sessions: int, contacts: list[bytes]) -> Iterator[tuple[list[Any], list[Any]]]:
    closed = [_example(chance, is_open=False) for _ in range(EXAMPLES)]
    opened = [_example(chance, is_open=True) for _ in range(EXAMPLES // 10)]
    regulars = [_number(chance) for _ in range(max(1, sessions // REGULAR // REGULAR_SESSIONS))]
    every = YEARS / sessions
    for first in range(0, sessions, BATCH):
        rows: tuple[list[Any], list[Any]] = [], []
        for number in range(first, min(first + BATCH, sessions)):
            at = NEWEST - (sessions - number) * every
            is_open = number >= sessions - sessions // OPEN
            is_regular = number % REGULAR == 0 and not is_open
            theirs = regulars[number // REGULAR % len(regulars)] if is_regular else _number(chance)
            theirs = f"+1777{number % 10**7:07}" if is_open else theirs  # no two of them are one sender's
            examples = chance.choice(opened if is_open else closed)
            mine = _object_id(at, number), _moment(at), theirs.encode(), chance.choice(contacts)
            for some, example in zip(rows, examples, strict=True):
                some.append(RawBSONDocument(_copy(example, *mine)))
        yield rows


def _copy(example: bytes, own_id: bytes, at: bytes, number: bytes, contact: bytes) -> bytes:
    copied = example.replace(_ID.binary, own_id).replace(str(_ID).encode(), own_id.hex().encode())
    return copied.replace(_moment(_AT), at).replace(_NUMBER.encode(), number).replace(_CONTACT.binary, contact)


def _object_id(at: datetime, number: int) -> bytes:
    return struct.pack(">I", int(at.timestamp())) + b"bench" + number.to_bytes(3, "big")


def _moment(at: datetime) -> bytes:
    return struct.pack("<q", round(at.timestamp() * 1000))


def _number(chance: random.Random) -> str:
    return f"+1{chance.choice((415, 212, 305, 555))}{chance.randrange(10**7):07}"


def _example(chance: random.Random, *, is_open: bool) -> tuple[bytes, bytes]:
    session = _session(chance, is_open=is_open)
    return bson.encode(session), bson.encode(_message(chance, session))


def _channel(kind: str, number: str) -> dict[str, Any]:
    return {"_id": f"{kind}:{number}", "name": number, "phone_number": number, "communication_type": kind}


def _session(chance: random.Random, *, is_open: bool) -> dict[str, Any]:
    kind, ours, _ = chance.choices(LINES, [line[2] for line in LINES])[0]
    archived = not is_open and chance.random() < 0.002
    key = f"{kind}|{ours}|{_NUMBER}"
    session: dict[str, Any] = {
        "_id": _ID,
        "channel_id": f"{kind}:{ours}",
        "communication_type": kind,
        "title": f"{kind} from {_NUMBER}",
        "status": "active" if is_open else "archived" if archived else "closed",
        "message_count": chance.randrange(1, 30),
        "last_message_at": _AT,
        "last_inbound_at": _AT,
        "first_message_at": _AT,
        "metadata": {"fromNumber": _NUMBER, "toNumber": ours, "firstMessageAt": _AT},
        "contact_id": _CONTACT,
        "keys": [key],
        "slot": f"{key}|{_ID}|{_ID}",
        "opening": {"message_id": f"SM{_ID}", "at": _AT},
        "createdAt": _AT,
        "updatedAt": _AT,
    }
    session |= {"open_keys": [key]} if is_open else {"closed_reason": "idle", "closed_at": _AT}
    return session | dict(_marks(chance))


def _marks(chance: random.Random) -> Iterator[tuple[str, Any]]:
    if chance.random() < 0.03:
        yield "has_failed", True
    if chance.random() < 0.001:
        yield "needs_person", {"reason": "handed_over", "at": _AT}
    if chance.random() < 0.05:
        yield "tags", chance.sample(TAGS, 2)
    if chance.random() < 0.1:
        yield "assigned_to", chance.choice(["admin", "bea"])
    if chance.random() < 0.8:
        yield "seen_at", _AT


def _message(chance: random.Random, session: dict[str, Any]) -> dict[str, Any]:
    subject = chance.choices(SUBJECTS, SUBJECTS_WEIGHTS)[0]
    filler = " ".join(f"word{chance.randrange(30_000)}" for _ in range(8))
    return {
        "_id": f"SM{_ID}",
        "session_id": _ID,
        "channel_id": session["channel_id"],
        "communication_type": session["communication_type"],
        "contact_id": _CONTACT,
        "direction": "inbound",
        "sender": "contact",
        "content": f"Hello, a question about {subject}: {filler}",
        "status": "received",
        "createdAt": _AT,
        "storedAt": _AT,
    }


def _count_days(sessions: int) -> None:
    """Keep counts of each day, as the worker would have counted them."""
    days, shares = YEARS.days, [((f"{kind}:{number}", kind), share / 100) for kind, number, share in LINES]
    for number in range(days):
        day = day_of(NEWEST) - number * DAY
        each = {line: round(share * sessions / days) for line, share in shares}
        tallies = {line: Tally(inbound=count, sessions=count) for line, count in each.items()}
        analytics.replace_day(day, tallies, NEWEST)
