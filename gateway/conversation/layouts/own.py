"""The layout `gateway`: what `gateway.conversation.export` writes as JSONL, read back line by line."""

from collections.abc import Iterator
from typing import Any, BinaryIO

import orjson

from gateway.core import carried, imported
from gateway.core.checking import BadRow
from gateway.core.imported import CarriedRow, MessageRow, PieceRow, Position, Read, Rejected, Remark, SessionRow

# 2 has channels, contacts, merges, suppressions and files too; what it shares with 1 is the same.
VERSIONS = (1, 2)

# A session or a message takes some kilobytes; nothing longer than this is read into memory.
LONGEST_LINE = 4 * 1024 * 1024
# So much is kept of a line that is too long to be kept.
_KEPT = 10_000

Row = SessionRow | MessageRow | CarriedRow | PieceRow | Rejected | Remark

_TOO_LONG = Rejected(f"The line is longer than {LONGEST_LINE:,} bytes.")


def recognises(beginning: bytes) -> bool:
    """Tell whether a file begins with the line that names this layout."""
    try:
        head = orjson.loads(_bare(beginning.partition(b"\n")[0]))
    except orjson.JSONDecodeError:
        return False
    return isinstance(head, dict) and head.get("layout") == "gateway" and head.get("version") in VERSIONS


def read(stream: BinaryIO, position: Position) -> Iterator[Read]:
    """Read a file row by row from where it is on; lines that hold nothing are passed over."""
    offset, rows = position.offset, position.rows
    while line := stream.readline(LONGEST_LINE + 1):
        offset += len(line)
        is_long = len(line) > LONGEST_LINE
        if is_long:
            offset += _pass_over(stream, line)
        if not _bare(line):
            continue
        rows += 1
        if is_long:
            line = line[:_KEPT]
        yield Read(_TOO_LONG if is_long else _row(line), Position(offset, rows), line)


def _pass_over(stream: BinaryIO, line: bytes) -> int:
    """Go to the end of a line that is too long; gives how much further that was."""
    passed = 0
    while not line.endswith(b"\n") and (line := stream.readline(LONGEST_LINE)):
        passed += len(line)
    return passed


def _bare(line: bytes) -> bytes:
    return line.removeprefix(b"\xef\xbb\xbf").strip()


def _row(line: bytes) -> Row:
    try:
        value = orjson.loads(_bare(line))
    except orjson.JSONDecodeError:
        return Rejected("It is no JSON in UTF-8; where it is the last line, the file was cut off.")
    try:
        return _read(value)
    except BadRow as error:
        return Rejected(str(error))


def _read(value: Any) -> Row:
    if isinstance(value, dict) and "layout" in value:
        return Remark()
    kind, held = next(iter(value.items())) if isinstance(value, dict) and len(value) == 1 else ("", None)
    if not isinstance(held, dict):
        raise BadRow("It is neither a session nor a message.")
    match kind:
        case "session":
            return imported.session(held)
        case "message":
            return imported.message(held)
        case carried.FILE:
            return carried.piece(held)
        case carried.CHANNEL | carried.CONTACT | carried.MERGE | carried.SUPPRESSION:
            return carried.document(kind, held)
        case "end":
            return Remark(ends=True)
        case "incomplete":
            return Remark("The export that wrote this file was not complete: export again.")
    raise BadRow("It is neither a session nor a message.")
