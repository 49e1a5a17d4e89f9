"""Sessions with all their messages as a file: read, written and sent piece by piece, and audited.

JSONL is the layout `gateway`: a line that names it, then each session followed by its messages, and at the end a line
that counts them; where everything is taken along, channels and contacts come before. CSV has a line for each message.
See docs/console/export.md.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from gateway.conversation.runtime import Runtime
from gateway.core import carried, spreadsheet
from gateway.core.checking import tagged
from gateway.core.errors import StoreUnavailable
from gateway.logs import log
from gateway.seats import Seats
from gateway.settings import WEB_THREADS
from gateway.store import audit, carrying, exporting
from gateway.store.connection import deadline
from gateway.store.exporting import Selected

LAYOUT, VERSION = "gateway", 2
STARTED, FINISHED = "export_started", "export_finished"

# An export holds a thread for as long as its reader takes, so most of them stay free for webhooks and pages. The
# console and the API share these.
MOST = WEB_THREADS // 4
SEATS = Seats(MOST, "Too many exports are being made at once. Try again in a moment.")

# What is sent at once: a message alone would be a packet of its own.
PIECE_BYTES = 1 << 15

Document = Mapping[str, Any]


@dataclass(slots=True)
class Written:
    """How much is in a file, and whether that is all. `others` counts what goes along, by kind."""

    sessions: int = 0
    messages: int = 0
    others: Counter[str] = field(default_factory=Counter)
    complete: bool = False

    @property
    def amount(self) -> dict[str, int]:
        """Give the numbers by name; of what goes along only what there is."""
        others = {f"{kind}s": number for kind, number in self.others.items()}
        return {"sessions": self.sessions, "messages": self.messages} | others


@dataclass(frozen=True)
class Order:
    """What is exported, how, and for whom. `written` counts along.

    `everything` is also channels, contacts and what belongs to them, `media` also the files that came with messages:
    for whoever may see all of it, and as JSONL.
    """

    selected: Selected
    file_format: str
    by: str
    everything: bool = False
    media: bool = False
    written: Written = field(default_factory=Written)


def export(runtime: Runtime, order: Order) -> Iterator[bytes]:
    """Give a file piece by piece; who asked is noted before the first, how much it was after the last.

    StoreUnavailable only before the first. After that the file says itself that it is not complete.
    """
    now = runtime.clock.now()
    started(runtime, order)
    return _pieces(_lines(runtime, order, FORMATS[order.file_format](), now))


def started(runtime: Runtime, order: Order) -> None:
    """Note who is about to take what along; StoreUnavailable where that cannot be noted."""
    _note(order, runtime.clock.now(), STARTED)


def _note(order: Order, now: datetime, action: str, **more: Any) -> None:
    asked = order.selected.facts()
    session_id = asked.pop("session_id", None)
    more |= {name: True for name in ("everything", "media") if getattr(order, name)}
    with deadline():
        audit.note(now, order.by, action, session_id=session_id, format=order.file_format, **asked, **more)


def _pieces(lines: Generator[bytes, None, None]) -> Iterator[bytes]:
    with contextlib.closing(lines):
        piece = bytearray()
        for line in lines:
            piece += line
            if len(piece) >= PIECE_BYTES:
                yield bytes(piece)
                piece.clear()
        if piece:
            yield bytes(piece)


def _lines(runtime: Runtime, order: Order, file: "Jsonl | Csv", now: datetime) -> Generator[bytes, None, None]:
    written = order.written
    try:
        yield file.head(now, order.selected.facts())
        for kind, document in carrying.documents() if order.everything else ():
            yield file.other(kind, document)
            written.others[kind] += 1
        for session, messages in exporting.conversations(order.selected):
            yield file.session(session)
            written.sessions += 1
            for message in messages:
                yield file.message(session, message)
                written.messages += 1
                for piece in carrying.pieces(message) if order.media else ():
                    yield file.other(carried.FILE, piece)
                    written.others[carried.FILE] += piece["number"] == 0
        written.complete = True
        yield file.end(written)
    except StoreUnavailable as error:
        log.error("export_incomplete", message=str(error)[:300], **written.amount)
        yield file.incomplete(written)
    finally:
        finished(runtime, order)


def finished(runtime: Runtime, order: Order) -> None:
    """Note how much it was."""
    written = order.written
    amount: dict[str, Any] = written.amount | {"complete": written.complete}
    log.info("exported", by=order.by, format=order.file_format, **amount)
    try:
        _note(order, runtime.clock.now(), FINISHED, **amount)
    except StoreUnavailable as error:
        log.error("store_unavailable", message=str(error)[:300])


class Jsonl:
    """The layout `gateway`: names as stored, moments in ISO 8601 with Z, ids as strings."""

    def head(self, now: datetime, asked: Document) -> bytes:
        """Name the layout."""
        return _json({"layout": LAYOUT, "version": VERSION, "exported_at": now, "filter": asked})

    def session(self, session: Document) -> bytes:
        """Write a session, which its messages follow."""
        return _sorted({"session": _marked(session)})

    def message(self, _session: Document, message: Document) -> bytes:
        """Write a message."""
        return _sorted({"message": _marked(message)})

    def other(self, kind: str, document: Document) -> bytes:
        """Write what goes along with sessions and messages."""
        return _sorted({kind: document})

    def end(self, written: Written) -> bytes:
        """Say that this is all: a file without this line is cut off."""
        return _json({"end": written.amount})

    def incomplete(self, written: Written) -> bytes:
        """Say that this is not all."""
        return _json({"incomplete": {**written.amount, "reason": "MongoDB did not answer"}})


# Whose moments are read as such where they stand; elsewhere they are marked.
_MOMENTS = {"metadata": ("firstMessageAt", "backfilledAt")}


def _marked(document: Document) -> Document:
    """Mark the moments in what responders, flows and Twilio's parameters keep, so that they are read as such again."""
    marked = dict(document)
    for name in ("context", "metadata", "template", "tools_used", "media"):
        if value := document.get(name):
            plain = {one: value[one] for one in _MOMENTS.get(name, ()) if one in value}
            marked[name] = {**tagged(value), **plain} if plain else tagged(value)
    return marked


def _sorted(value: Document) -> bytes:
    """Write a document the same way wherever it is stored: fields stand in the order in which they were set."""
    return _json(value, orjson.OPT_SORT_KEYS)


def _json(value: Document, option: int = 0) -> bytes:
    option |= orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(value, default=str, option=option)


_OF_SESSION: dict[str, Callable[[Document], Any]] = {
    "session_id": lambda session: session["_id"],
    "title": lambda session: session.get("title"),
    "communication_type": lambda session: session.get("communication_type"),
    "channel_id": lambda session: session.get("channel_id"),
    "fromNumber": lambda session: (session.get("metadata") or {}).get("fromNumber"),
    "toNumber": lambda session: (session.get("metadata") or {}).get("toNumber"),
    "session_status": lambda session: session.get("status"),
}
_OF_MESSAGE: dict[str, Callable[[Document], Any]] = {
    "message_id": lambda message: message["_id"],
    "createdAt": lambda message: message.get("createdAt"),
    "direction": lambda message: message.get("direction"),
    "sender": lambda message: message.get("sender"),
    "content": lambda message: message.get("content"),
    "files": lambda message: len(message.get("media") or ()),
    "status": lambda message: message.get("status"),
    "error_code": lambda message: message.get("error_code"),
    "error_message": lambda message: message.get("error_message"),
    "decision": lambda message: (message.get("decision") or {}).get("kind"),
    "private": lambda message: "yes" if (message.get("metadata") or {}).get("private") else "",
}


class Csv:
    """A line for each message, for a spreadsheet; a session without messages has no line."""

    def head(self, _now: datetime, _asked: Document) -> bytes:
        """Name the columns."""
        return (spreadsheet.BYTE_ORDER_MARK + spreadsheet.line([*_OF_SESSION, *_OF_MESSAGE])).encode()

    def session(self, _session: Document) -> bytes:
        """Write nothing: each message names its session."""
        return b""

    def message(self, session: Document, message: Document) -> bytes:
        """Write a message beside its session."""
        return _cells([*(of(session) for of in _OF_SESSION.values()), *(of(message) for of in _OF_MESSAGE.values())])

    def other(self, _kind: str, _document: Document) -> bytes:
        """Write nothing: a line is a message."""
        return b""

    def end(self, _written: Written) -> bytes:
        """Write nothing: a spreadsheet would take it for a message."""
        return b""

    def incomplete(self, written: Written) -> bytes:
        """Say that this is not all, where nobody can overlook it."""
        return _cells([f"INCOMPLETE: MongoDB did not answer after {written.messages} messages. Export again."])


def _cells(values: Sequence[Any]) -> bytes:
    return spreadsheet.line(values).encode()


FORMATS: dict[str, type[Jsonl] | type[Csv]] = {"jsonl": Jsonl, "csv": Csv}
TYPES = {"jsonl": "application/jsonl", "csv": "text/csv"}
