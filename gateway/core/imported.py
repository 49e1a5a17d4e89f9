"""What an import reads out of a file: sessions and messages, checked before MongoDB sees any of them.

A row that is not as it must be is rejected with a reason that a person can act on; nothing is guessed.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.core.checking import (
    BadRow,
    Check,
    Document,
    checked,
    fields_of,
    flag,
    identifier,
    list_of,
    moment,
    name_of,
    number,
    one_of,
    plain,
    short,
    text,
)
from gateway.core.sessions import Kind


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session with its fields as stored: moments are read, ids are still text."""

    id: str
    document: Document


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A message with its fields as stored: moments are read, ids are still text."""

    id: str
    session_id: str
    document: Document


@dataclass(frozen=True, slots=True)
class CarriedRow:
    """What goes along with conversations: a channel, a contact, a merge or a suppression, as `kind` says."""

    kind: str
    id: str
    document: Document


@dataclass(frozen=True, slots=True)
class PieceRow:
    """A piece of a file that came with a message: the one of this `number` from 0, of so many `pieces`."""

    file_id: str
    message_id: str
    number: int
    pieces: int
    content: bytes
    filename: str
    content_type: str
    size: int
    piece_size: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that is not taken, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Remark:
    """A row that holds nothing to store. `problem` is what it says is wrong with the file; `ends` closes it."""

    problem: str = ""
    ends: bool = False


@dataclass(frozen=True, slots=True)
class Position:
    """How far a file was read: the place after the last row that was taken, and how many rows that were."""

    offset: int = 0
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Read:
    """One row of a file: as what it was read, the position after it, how it is written there, and where."""

    row: SessionRow | MessageRow | CarriedRow | PieceRow | Rejected | Remark
    position: Position
    written: bytes
    place: str = ""


@dataclass(slots=True)
class Tally:
    """What became of the rows of a file. `sessions_closed` of the created ones could not stay open."""

    sessions_created: int = 0
    sessions_existing: int = 0
    sessions_closed: int = 0
    messages_imported: int = 0
    messages_duplicate: int = 0
    channels_created: int = 0
    channels_existing: int = 0
    contacts_created: int = 0
    contacts_existing: int = 0
    files_imported: int = 0
    files_existing: int = 0
    rejected: int = 0
    problems: list[str] = field(default_factory=list)


def session(document: Mapping[str, Any]) -> SessionRow:
    """Check a session; BadRow says what is wrong with it."""
    read = checked(
        document, _SESSION, required=("_id", "channel_id", "communication_type", "status"), never_null=_NEVER_NULL
    )
    if not read.get("last_message_at") and not read.get("createdAt"):
        raise BadRow("It has neither last_message_at nor createdAt.")
    return SessionRow(read["_id"], read)


def message(document: Mapping[str, Any]) -> MessageRow:
    """Check a message; BadRow says what is wrong with it."""
    read = checked(document, _MESSAGE, required=("_id", "session_id", "createdAt"), never_null=_NEVER_NULL)
    return MessageRow(read["_id"], read["session_id"], read)


def digest(document: Mapping[str, Any]) -> str:
    """Tell in 16 signs who said what and when: what of a message nothing changes later, as a delivery its status."""
    moment, asked = document["createdAt"], document.get
    at = (moment if moment.tzinfo is UTC else moment.astimezone(UTC)).isoformat(timespec="milliseconds")
    said = f"{at}\0{asked('direction') or ''}\0{asked('sender') or ''}\0{asked('content') or ''}"
    return hashlib.blake2b(said.encode(errors="surrogatepass"), digest_size=8).hexdigest()


def _address(value: Any) -> Any:
    if not isinstance(value, dict) or not {"to", "sender"} <= value.keys() <= _ADDRESS.keys():
        raise BadRow(f"{short(value)} is no address: it has {', '.join(_ADDRESS)}.")
    return {name: one and _ADDRESS[name](one) for name, one in value.items()}


_KNOWN_AT = fields_of(("contact_id",), contact_id=text(100), last_sync_at=moment)


def _crm(value: Any) -> Any:
    """Check whom a session says its person is at each CRM."""
    if not isinstance(value, dict):
        raise BadRow(f"{short(value)} is no object.")
    return {name_of(40)(provider): _KNOWN_AT(known) for provider, known in value.items()}


# Clocks differ, but not by that.
LATEST = timedelta(days=1)


def future(now: datetime, document: Mapping[str, Any], *names: str) -> str:
    """Say which moment lies ahead, as nothing that happened does; empty where none does."""
    latest = now + LATEST
    for name in names:
        if (at := document.get(name)) and at > latest:
            return f"{name}: {at.isoformat()} lies in the future."
    return ""


# Lists and objects are there or not: what is added to them finds no null.
_NEVER_NULL = frozenset(
    {"metadata", "context", "keys", "opted_out", "tags", "needs_person", "decision", "media", "status_history"}
    | {"moved", "template", "tools_used", "assigned_to", "bot_off", "has_failed", "title"}
)
_ADDRESS: dict[str, Check] = {name: text(200) for name in ("to", "sender", "account_sid", "service_sid")}
_SESSION: dict[str, Check] = {
    "_id": identifier,
    "channel_id": name_of(200),
    "communication_type": one_of("sms", "whatsapp", "voice", "chat"),
    "title": text(1000),
    "status": one_of("active", "closed", "archived"),
    "closed_reason": text(100),
    "contact_id": identifier,
    "previous_session_id": identifier,
    "merged_into": identifier,
    "createdAt": moment,
    "updatedAt": moment,
    "first_message_at": moment,
    "last_message_at": moment,
    "last_inbound_at": moment,
    "closed_at": moment,
    "reopened_at": moment,
    "seen_at": moment,
    "merged_at": moment,
    "metadata": fields_of(firstMessageAt=moment, fromNumber=text(200), toNumber=text(200)),
    "needs_person": fields_of(("reason", "at"), reason=text(1000), at=moment),
    "context": fields_of(),
    "crm": _crm,
    "keys": list_of(name_of(500), 50),
    "opted_out": list_of(name_of(200), 1000),
    "tags": list_of(name_of(100), 1000),
    "assigned_to": text(200),
    "bot_off": flag,
    "has_failed": flag,
}
_MESSAGE: dict[str, Check] = {
    "_id": name_of(200),
    "session_id": identifier,
    "channel_id": name_of(200),
    "communication_type": one_of("sms", "whatsapp", "voice", "chat"),
    "contact_id": identifier,
    "direction": one_of("inbound", "outbound"),
    "sender": one_of("contact", "ai", "agent", "system"),
    "content": text(1_000_000),
    "provider_sid": name_of(200),
    "status": text(100),
    "status_history": list_of(fields_of(("status", "at"), at=moment, status=text(100)), 1000),
    "error_message": text(10_000),
    "decision": fields_of(
        ("kind",),
        kind=one_of(*Kind),
        rule=text(100),
        gap_seconds=number,
        threshold_seconds=number,
        next_gap_seconds=number,
        previous_session_id=identifier,
        bridges_session_id=identifier,
    ),
    "tools_used": list_of(plain, 1000),
    "processing_time_ms": number,
    "token_count": number,
    "has_error": flag,
    "media": list_of(fields_of(), 1000),
    "template": fields_of(),
    "moved": list_of(fields_of(at=moment, **{"from": identifier}), 1000),
    "metadata": fields_of(backfilledAt=moment, address=_address),
    "createdAt": moment,
    "storedAt": moment,
}
