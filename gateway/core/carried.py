"""What an import reads beside sessions and messages: channels, contacts, merges, STOPs of the forgotten, files."""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from gateway.core.checking import (
    BadRow,
    Check,
    checked,
    fields_of,
    identifier,
    list_of,
    moment,
    name_of,
    number,
    one_of,
    plain,
    text,
)
from gateway.core.imported import CarriedRow, PieceRow

CHANNEL, CONTACT, MERGE, SUPPRESSION, FILE = "channel", "contact", "merge", "suppression", "file"
KINDS = (CHANNEL, CONTACT, MERGE, SUPPRESSION)

_HASH = re.compile(r"[0-9a-f]{64}")

# MongoDB's GridFS stores 255 kB a piece; nothing larger than this is read into memory.
LARGEST_PIECE = 1 << 20
MOST_PIECES = 1 << 20


def document(kind: str, held: Mapping[str, Any]) -> CarriedRow:
    """Check a document of one of KINDS; BadRow says what is wrong with it."""
    checks, required = _CHECKS[kind]
    read = checked(held, checks, required=required, never_null=_NEVER_NULL)
    return CarriedRow(kind, read["_id"], read)


def piece(held: Mapping[str, Any]) -> PieceRow:
    """Check a piece of a file; BadRow says what is wrong with it."""
    read = checked(held, _PIECE, required=tuple(_PIECE))
    if not 0 <= read["number"] < read["pieces"]:
        raise BadRow(f"It is piece {read['number']} of {read['pieces']}.")
    content = read.pop("data")
    return PieceRow(**{name: read[name] for name in _PIECE if name != "data"}, content=content)


def _count(most: int) -> Check:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise BadRow(f"{str(value)[:40]} is no number from 0 to {most:,}.")
        return value

    return check


def _bytes(value: Any) -> bytes:
    if not isinstance(value, str) or len(value) > LARGEST_PIECE * 4 // 3 + 4:
        raise BadRow(f"It is no text in Base64 of at most {LARGEST_PIECE:,} bytes.")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise BadRow("It is no text in Base64.") from None


def _hash(value: Any) -> str:
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise BadRow("It is no hash of 64 hexadecimal digits.")
    return value


def _threshold(value: Any) -> Any:
    return value if value == "never" else number(value)


def _opt_outs(value: Any) -> Any:
    if not isinstance(value, dict) or not all(0 < len(line) <= 200 for line in value):
        raise BadRow("It is no object of lines and when somebody said STOP to them.")
    said = fields_of(at=moment, message_id=text(200))
    return {line: said(word) for line, word in plain(value).items()}


_NEVER_NULL = frozenset(
    {"phones", "emails", "external_ids", "identifiers", "opted_out", "crm", "absorbed", "claims", "merged_into"}
    | {"settings", "idle_seconds", "closed", "lines"}
)
_LIST = list_of(name_of(500), 10_000)
_CHANNEL: dict[str, Check] = {
    "_id": name_of(200),
    "name": text(1000),
    "phone_number": name_of(200),
    "communication_type": one_of("sms", "whatsapp", "voice", "chat"),
    "account_sid": text(200),
    "idle_seconds": _threshold,
    "responder": text(200),
    "settings": fields_of(),
}
_CONTACT: dict[str, Check] = {
    "_id": identifier,
    "name": text(1000),
    "phones": _LIST,
    "emails": _LIST,
    "external_ids": _LIST,
    "identifiers": _LIST,
    "opted_out": _opt_outs,
    "crm": fields_of(),
    "merged_into": identifier,
    "absorbed": list_of(identifier, 100_000),
    "createdAt": moment,
}
_CLOSED = fields_of(("session_id", "into", "open_keys"), session_id=identifier, into=identifier, open_keys=_LIST)
_MERGE: dict[str, Check] = {
    "_id": name_of(200),
    "state": one_of("done", "undone"),
    "survivor": identifier,
    "absorbed": identifier,
    "by": text(200),
    "at": moment,
    "reason": text(200),
    "undone_by": text(200),
    "undone_at": moment,
    "closed": list_of(_CLOSED, 10_000),
}
_SUPPRESSION: dict[str, Check] = {
    "_id": _hash,
    "lines": _LIST,
    "at": moment,
    "salt": _bytes,
}
_CHECKS: dict[str, tuple[dict[str, Check], tuple[str, ...]]] = {
    CHANNEL: (_CHANNEL, ("_id", "phone_number", "communication_type")),
    CONTACT: (_CONTACT, ("_id",)),
    MERGE: (_MERGE, ("_id", "state", "survivor", "absorbed", "by", "at")),
    SUPPRESSION: (_SUPPRESSION, ("_id", "lines", "at", "salt")),
}
_PIECE: dict[str, Check] = {
    "file_id": name_of(500),
    "message_id": name_of(200),
    "number": _count(MOST_PIECES),
    "pieces": _count(MOST_PIECES),
    "filename": text(1000),
    "content_type": text(200),
    "size": _count(1 << 40),
    "piece_size": _count(LARGEST_PIECE),
    "data": _bytes,
}
