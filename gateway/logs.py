"""Log lines: JSON in production, a coloured console in development, and no personal data in either."""

import logging
import re
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterator, Mapping, MutableMapping
from functools import lru_cache
from typing import Any, BinaryIO, TextIO

import orjson
import structlog

Event = MutableMapping[str, Any]

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

_NUMBER = re.compile(r"\+(\d{7,15})\b")
# The users of a website may be known by their e-mail addresses.
_MAILBOX = re.compile(r"(?<![^\s@:|])([^\s@:|])[^\s@:|]*@")
# What people wrote never belongs in a line, whoever put it there.
_PRIVATE = frozenset({"body", "content", "text", "token", "auth_token", "password", "secret"})

# Nobody is named by a number of seconds.
_PLAIN = frozenset({type(None), bool, int, float})

_redacting = True


def show_number(text: str) -> str:
    """Write numbers and e-mail addresses in a text as log lines may: `+1555...0310`, `a...@x.com` while redacting."""
    if not _redacting:
        return text
    text = _MAILBOX.sub(r"\1...@", text)
    # A caller whom the carrier did not write as E.164 comes as bare digits.
    return show_number(f"+{text}")[1:] if re.fullmatch(r"\d{7,15}", text) else _NUMBER.sub(_shortened, text)


def _shortened(number: re.Match[str]) -> str:
    digits = number[1]
    return f"+{digits[: min(4, len(digits) - 6)]}...{digits[-4:]}"


def bind_request(environ: Mapping[str, Any], **more: str) -> str:
    """Let every line that is logged of a request name it, and none that was served before it; gives its id."""
    request_id: str = environ.get("HTTP_X_REQUEST_ID", "")[:64] or f"{time.time_ns():x}"
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=request_id, **more)
    return request_id


def where(error: BaseException) -> str:
    """Say what broke and at which line; never what it was about, as the error's own words may."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} at {frames[-1].filename}:{frames[-1].lineno}" if frames else type(error).__name__


def _traceback(exc_info: structlog.typing.ExcInfo) -> str:
    """Write a traceback as log lines may: while redacting without the words of any error in it, as in `where`."""
    newest = exc_info[1]
    if not _redacting:
        return "".join(traceback.format_exception(newest)).rstrip()
    told = ["".join(traceback.format_tb(error.__traceback__)) + type(error).__name__ for error in _causes(newest)]
    return "\nwhich led to\n".join(told)


def _causes(newest: BaseException) -> list[BaseException]:
    """Give an error and what it came from, oldest first."""
    found = [newest]
    while earlier := found[-1].__cause__ or (None if found[-1].__suppress_context__ else found[-1].__context__):
        if earlier in found:
            break
        found.append(earlier)
    return found[::-1]


def _redact(_logger: object, _method: str, event: Event) -> Event:
    if _redacting:
        for key, value in event.items():
            if key in _PRIVATE:
                event[key] = "[redacted]"
            elif value.__class__ is str:
                # Looking for what all of them have costs a tenth of two expressions, and most texts have neither.
                if "+" in value or "@" in value:
                    event[key] = _shortened_text(value)
            elif value.__class__ not in _PLAIN:
                event[key] = _redacted(value)
    return event


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return _shortened_text(value)
    if isinstance(value, dict):
        return {name: "[redacted]" if name in _PRIVATE else _redacted(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(one) for one in value]
    return value


@lru_cache(maxsize=256)
def _shortened_text(text: str) -> str:
    """Shorten what a text names people by; that of a channel stands in each line of a webhook."""
    return _NUMBER.sub(_shortened, _MAILBOX.sub(r"\1...@", text))


class _Lines:
    """Where lines go as bytes, for structlog: to a file that all threads write to.

    Whoever finds another thread writing leaves the line to that one: nobody waits, and many lines are one write.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._waiting: deque[bytes] = deque()
        self._writing = threading.Lock()

    def __call__(self, *_: Any) -> "_Lines":
        return self

    def msg(self, line: bytes) -> None:
        self._waiting.append(line)
        # Looked at again after the lock is free: who came in between left a line, and went.
        while self._waiting and self._writing.acquire(blocking=False):
            try:
                self._file.write(b"".join(self._taken()))
                self._file.flush()
            finally:
                self._writing.release()

    def _taken(self) -> Iterator[bytes]:
        while self._waiting:
            yield self._waiting.popleft()
            yield b"\n"

    debug = info = warning = error = critical = exception = msg


_render_traceback = structlog.processors.ExceptionRenderer(_traceback)


def configure(*, fmt: str, redact: bool, out: TextIO | None = None) -> None:
    """Set up structlog and the standard library's logging, both on one stream (stdout), one line an event."""
    global _redacting
    _redacting = redact
    stream = out or sys.stdout
    forget_configuration()
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # Before redaction: a line of code in a traceback may hold a number.
        _render_traceback,
        _redact,
    ]
    if fmt == "json":
        # Straight to the file as bytes: a quarter of the cost of the stdlib's handlers.
        structlog.configure(
            processors=[*shared, structlog.processors.JSONRenderer(serializer=_dumps)],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            logger_factory=_Lines(stream.buffer),
            # A command's streams are its caller's, and are not to be kept.
            cache_logger_on_first_use=out is None,
        )
        last: structlog.typing.Processor = structlog.processors.JSONRenderer()
    else:
        last = structlog.dev.ConsoleRenderer(
            colors=stream.isatty(),
            pad_event_to=22,
            exception_formatter=structlog.dev.plain_traceback,
        )
        structlog.configure(
            processors=[*shared, last],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            logger_factory=structlog.PrintLoggerFactory(out),
            cache_logger_on_first_use=False,
        )
    _configure_stdlib(shared, last, stream)


def forget_configuration() -> None:
    """Let our logger look again how it is configured; in production structlog has it keep that."""
    log.__dict__.pop("bind", None)


def configure_for_commands(*, redact: bool) -> None:
    """Keep standard output for what a command prints: only warnings and worse are told, on stderr."""
    configure(fmt="console", redact=redact, out=sys.stderr)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


def _dumps(event: Event, **_: Any) -> bytes:
    try:
        return orjson.dumps(event, default=str)
    except TypeError:
        # A number of more than 64 bits, or half a character: whoever logs it must not fail for that.
        return orjson.dumps({name: _writable(value) for name, value in event.items()}, default=str)


def _writable(value: Any) -> Any:
    """Give a value that a line can hold, or what Python says of it."""
    try:
        orjson.dumps(value, default=str)
    except TypeError:
        try:
            return ascii(value)
        except Exception:
            return object.__repr__(value)
    return value


def _configure_stdlib(shared: list[structlog.typing.Processor], last: structlog.typing.Processor, out: TextIO) -> None:
    """Send what libraries log through the same processors."""
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _render_traceback,
                _redact,
                last,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
