"""What an import reads out of a file: sessions and messages, checked before MongoDB sees any of them.

A row that is not as it must be is rejected with a reason that a person can act on; nothing is guessed.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.core.sessions import Kind
from gateway.core.times import parse_moment

Document = dict[str, Any]
Check = Callable[[Any], Any]

# BSON nests a hundred deep, and whoever reads it again has other levels around it.
DEEPEST = 50
_BIGGEST = 2**63
_ID = re.compile(r"[0-9a-f]{24}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class BadRow(ValueError):
    """A row that is not taken; the text says why, and quotes no more than the value that is wrong."""


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
    """One row of a file: as what it was read, the position after it, and how it is written there."""

    row: SessionRow | MessageRow | Rejected | Remark
    position: Position
    written: bytes


@dataclass(slots=True)
class Tally:
    """What became of the rows of a file. `sessions_closed` of the created ones could not stay open."""

    sessions_created: int = 0
    sessions_existing: int = 0
    sessions_closed: int = 0
    messages_imported: int = 0
    messages_duplicate: int = 0
    rejected: int = 0
    problems: list[str] = field(default_factory=list)


def session(document: Mapping[str, Any]) -> SessionRow:
    """Check a session; BadRow says what is wrong with it."""
    checked = _checked(document, _SESSION, required=("_id", "channel_id", "communication_type", "status"))
    if not checked.get("last_message_at") and not checked.get("createdAt"):
        raise BadRow("It has neither last_message_at nor createdAt.")
    return SessionRow(checked["_id"], checked)


def message(document: Mapping[str, Any]) -> MessageRow:
    """Check a message; BadRow says what is wrong with it."""
    checked = _checked(document, _MESSAGE, required=("_id", "session_id", "createdAt"))
    return MessageRow(checked["_id"], checked["session_id"], checked)


def _checked(document: Mapping[str, Any], checks: Mapping[str, Check], *, required: tuple[str, ...]) -> Document:
    if missing := next((name for name in required if document.get(name) is None), ""):
        raise BadRow(f"It has no {missing}.")
    checked: Document = {}
    for name, value in document.items():
        if not _NAME.fullmatch(name):
            raise BadRow(f"{name[:40]!r} is no name of a field.")
        if value is None and name in _NEVER_NULL:
            continue
        try:
            checked[name] = None if value is None else checks.get(name, _plain)(value)
        except ValueError as error:
            raise BadRow(f"{name}: {error}") from None
    return checked


def _id(value: Any) -> str:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise BadRow(f"{_short(value)} is no id of 24 hexadecimal digits.")
    return value


def _short(value: Any) -> str:
    written = repr(value)
    return written if len(written) <= 60 else f"{written[:57]}..."


def _moment(value: Any) -> datetime:
    if not isinstance(value, str):
        raise BadRow(f"{_short(value)} is no ISO 8601 time such as 2026-03-01T10:00:00Z.")
    try:
        return parse_moment(value)
    except (ValueError, OverflowError):
        raise BadRow(f"{_short(value)} is no ISO 8601 time such as 2026-03-01T10:00:00Z.") from None


def _text(longest: int) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or len(value) > longest:
            raise BadRow(f"{_short(value)} is no text of at most {longest:,} characters.")
        return value

    return check


def _name(longest: int) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or not 0 < len(value) <= longest or "\0" in value:
            raise BadRow(f"{_short(value)} is no name of 1 to {longest:,} characters.")
        return value

    return check


def _one_of(*allowed: str) -> Check:
    def check(value: Any) -> str:
        if value not in allowed:
            raise BadRow(f"{_short(value)} is none of {', '.join(allowed)}.")
        return str(value)

    return check


def _list_of(check: Check, most: int) -> Check:
    def check_all(value: Any) -> list[Any]:
        if not isinstance(value, list) or len(value) > most:
            raise BadRow(f"{_short(value)} is no list of at most {most:,} values.")
        return [check(one) for one in value]

    return check_all


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRow(f"{_short(value)} is no number.")
    return _plain(value)


def _flag(value: Any) -> Any:
    if not isinstance(value, bool):
        raise BadRow(f"{_short(value)} is neither true nor false.")
    return value


def _address(value: Any) -> Any:
    if not isinstance(value, dict) or not {"to", "sender"} <= value.keys() <= _ADDRESS.keys():
        raise BadRow(f"{_short(value)} is no address: it has {', '.join(_ADDRESS)}.")
    return {name: one and _ADDRESS[name](one) for name, one in value.items()}


def _fields(required: tuple[str, ...] = (), /, **checks: Check) -> Check:
    """Check an object; what is not named in it may be anything that can be stored."""

    def check(value: Any) -> Document:
        if not isinstance(value, dict):
            raise BadRow(f"{_short(value)} is no object.")
        if missing := next((name for name in required if value.get(name) is None), ""):
            raise BadRow(f"It has no {missing}.")
        _plain(value)
        return value | {name: check(value[name]) for name, check in checks.items() if value.get(name) is not None}

    return check


def _plain(value: Any, depth: int = 0) -> Any:
    """Check that MongoDB can hold a value, and that it is read again as what it is."""
    if depth > DEEPEST:
        raise BadRow("It is nested too deeply.")
    match value:
        case dict():
            for name, one in value.items():
                if "\0" in name or name.startswith("$"):
                    raise BadRow(f"{name[:40]!r} is no name of a field.")
                _plain(one, depth + 1)
        case list():
            for one in value:
                _plain(one, depth + 1)
        case int() if not -_BIGGEST <= value < _BIGGEST:
            raise BadRow(f"{_short(value)} is too large a number.")
    return value


# Lists and objects are there or not: what is added to them finds no null.
_NEVER_NULL = frozenset(
    {"metadata", "context", "keys", "opted_out", "tags", "needs_person", "decision", "media", "status_history"}
    | {"moved", "template", "tools_used", "assigned_to", "bot_off", "has_failed", "title"}
)
_ADDRESS: dict[str, Check] = {name: _text(200) for name in ("to", "sender", "account_sid", "service_sid")}
_SESSION: dict[str, Check] = {
    "_id": _id,
    "channel_id": _name(200),
    "communication_type": _one_of("sms", "whatsapp", "voice", "chat"),
    "title": _text(1000),
    "status": _one_of("active", "closed", "archived"),
    "closed_reason": _text(100),
    "contact_id": _id,
    "previous_session_id": _id,
    "merged_into": _id,
    "createdAt": _moment,
    "updatedAt": _moment,
    "first_message_at": _moment,
    "last_message_at": _moment,
    "last_inbound_at": _moment,
    "closed_at": _moment,
    "reopened_at": _moment,
    "seen_at": _moment,
    "merged_at": _moment,
    "metadata": _fields(firstMessageAt=_moment, fromNumber=_text(200), toNumber=_text(200)),
    "needs_person": _fields(("reason", "at"), reason=_text(1000), at=_moment),
    "context": _fields(),
    "keys": _list_of(_name(500), 50),
    "opted_out": _list_of(_name(200), 1000),
    "tags": _list_of(_name(100), 1000),
    "assigned_to": _text(200),
    "bot_off": _flag,
    "has_failed": _flag,
}
_MESSAGE: dict[str, Check] = {
    "_id": _name(200),
    "session_id": _id,
    "channel_id": _name(200),
    "communication_type": _one_of("sms", "whatsapp", "voice", "chat"),
    "contact_id": _id,
    "direction": _one_of("inbound", "outbound"),
    "sender": _one_of("contact", "ai", "agent", "system"),
    "content": _text(1_000_000),
    "provider_sid": _name(200),
    "status": _text(100),
    "status_history": _list_of(_fields(("status", "at"), at=_moment, status=_text(100)), 1000),
    "error_message": _text(10_000),
    "decision": _fields(
        ("kind",),
        kind=_one_of(*Kind),
        rule=_text(100),
        gap_seconds=_number,
        threshold_seconds=_number,
        next_gap_seconds=_number,
        previous_session_id=_id,
        bridges_session_id=_id,
    ),
    "tools_used": _list_of(_plain, 1000),
    "processing_time_ms": _number,
    "token_count": _number,
    "has_error": _flag,
    "media": _list_of(_fields(), 1000),
    "template": _fields(),
    "moved": _list_of(_fields(at=_moment, **{"from": _id}), 1000),
    "metadata": _fields(backfilledAt=_moment, address=_address),
    "createdAt": _moment,
    "storedAt": _moment,
}
