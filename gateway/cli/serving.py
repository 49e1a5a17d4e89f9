"""A use case run from the command line: with the settings' runtime, and its log lines beside the output, not in it."""

import sys

from gateway import logs
from gateway.cli import running
from gateway.conversation import runtime
from gateway.conversation.runtime import Runtime
from gateway.settings import Settings


def connect() -> Settings:
    """Load the settings and connect; what is logged goes to standard error, at a terminal only warnings."""
    configured = running.connect()
    if sys.stderr.isatty():
        logs.configure_for_commands(redact=configured.log.redact)
    else:
        logs.configure(fmt=configured.log.format, redact=configured.log.redact, out=sys.stderr)
    return configured


def build() -> Runtime:
    """Connect and put the runtime together."""
    return _built(connect())


def build_quietly() -> Runtime:
    """Connect and put the runtime together for a command that says itself what it does: only warnings are logged."""
    configured = running.connect()
    logs.configure_for_commands(redact=configured.log.redact)
    return _built(configured)


def _built(configured: Settings) -> Runtime:
    serving = runtime.build(configured)
    serving.clock.correct()
    return serving


def amount(sessions: int, messages: int, files: int, size: int) -> str:
    """Say how much something is."""
    parts = [f"{count:,} {noun if count == 1 else noun + 's'}" for count, noun in _nouns(sessions, messages, files)]
    return f"{parts[0]} with {parts[1]} and {parts[2]} ({_size(size)})"


def _nouns(sessions: int, messages: int, files: int) -> list[tuple[int, str]]:
    return [(sessions, "session"), (messages, "message"), (files, "file")]


def _size(size: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
