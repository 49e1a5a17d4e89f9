"""One line of what came and went, for people in columns and for programs as JSON."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import click

from gateway.core.sessions import Kind
from gateway.logs import show_number

# Why a signature fits nothing, as far as the inspector found out; the console's page of the webhook says what to do.
_CAUSES = {
    "public_url": "another address was signed than PUBLIC_URL",
    "proxy_untrusted": "the proxy is not in TRUSTED_PROXIES",
    "proxy_silent": "the proxy does not say what was called",
    "path": "the path was changed on the way",
    "account": "signed with another account's token",
    "body": "the form was changed on the way",
    "unknown": "mostly another token: compare TWILIO_AUTH_TOKEN",
}
_HEAD = ("time", "channel", "number", "decision, gap", "answered", "", "", "verdict")
_WIDTHS = (8, 8, 12, 19, 8, 3, 7)
MOST_SIGNS = 80


@dataclass(frozen=True, slots=True)
class Entry:
    """One line. `what` is what was decided, or happened; `status` is HTTP's, where it was a webhook."""

    at: datetime
    event: str
    what: str
    communication_type: str = ""
    number: str = ""
    line: str = ""
    channel_id: str = ""
    session_id: str = ""
    message_id: str = ""
    decision: Mapping[str, Any] = field(default_factory=dict)
    responder: str = ""
    status: int | None = None
    milliseconds: float | None = None
    verdict: str = ""
    cause: str = ""
    path: str = ""

    @property
    def is_bad(self) -> bool:
        """Tell whether somebody should look at it."""
        return (self.status or 0) >= 400 or self.what.startswith(("failed", "undelivered"))

    def as_json(self) -> dict[str, Any]:
        """Give a line for programs."""
        decided = self.decision
        return {
            "at": self.at.isoformat(),
            "event": self.event,
            "what": self.what,
            "communication_type": self.communication_type or None,
            "number": show_number(self.number) or None,
            "our_number": show_number(self.line) or None,
            "channel_id": show_number(self.channel_id) or None,
            "session_id": self.session_id or None,
            "message_id": self.message_id or None,
            "decision": decided.get("kind"),
            "rule": decided.get("rule"),
            "gap_seconds": decided.get("gap_seconds"),
            "threshold_seconds": decided.get("threshold_seconds"),
            "responder": self.responder or None,
            "status": self.status,
            "milliseconds": None if self.milliseconds is None else round(self.milliseconds, 1),
            "verdict": self.verdict or None,
            "cause": self.cause or None,
            "path": self.path or None,
        }

    def cells(self) -> tuple[str, ...]:
        """Give a line for people, in columns: of what was refused the verdict where a decision stands else."""
        # Why it was refused is the longer word, and nothing was decided.
        what, verdict = (
            (self.verdict, self.what) if self.verdict and self.what == "refused" else (self.what, self.verdict)
        )
        return (
            f"{self.at.astimezone():%H:%M:%S}",
            self.communication_type or "-",
            show_number(self.number)[:24] or "-",
            what,
            self.responder or "-",
            str(self.status or "-"),
            "-" if self.milliseconds is None else f"{self.milliseconds:.0f} ms",
            verdict or "-",
        )


class OutputGone(Exception):
    """Nobody reads what is printed any more: the terminal was closed, or the next program in the pipe ended."""


class Printer:
    """Writes lines where people or programs read them; JSON in ASCII, since a terminal may be shown that, too."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json, self._headed = as_json, False

    def entry(self, entry: Entry) -> None:
        """Write one line."""
        if self._as_json:
            self._write(json.dumps(entry.as_json()))
            return
        if not self._headed:
            self._headed = True
            self._write(click.style(_row(_HEAD), dim=True))
        row = _stopped(entry) if entry.event == "stopped" else _row(entry.cells())
        cause = f"\n{'':8} {_CAUSES[entry.cause]}" if entry.cause in _CAUSES else ""
        self._write(click.style(row + cause, fg="red" if entry.is_bad else None))

    def notice(self, event: str, words: str, **facts: Any) -> None:
        """Write what happened to the tail itself: for people on a line of their own, beside the columns."""
        if self._as_json:
            self._write(json.dumps({"event": event, "message": words, **facts}))
        else:
            self._write(click.style(f"  {printable(words)}", fg="cyan"))

    def failure(self, words: str) -> None:
        """Write why it cannot begin, or go on: for people where errors are written."""
        if self._as_json:
            self._write(json.dumps({"event": "failed", "message": words}))
        else:
            click.echo(f"Error: {printable(words)}", err=True)

    def _write(self, line: str) -> None:
        try:
            click.echo(line)
            sys.stdout.flush()
        except OSError:
            # Whatever is left in the buffer would be complained about once more at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            raise OutputGone from None


def printable(text: str) -> str:
    """Keep what a terminal may be told: whoever sends a request chooses what is in it."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def printable_lines(text: str) -> str:
    """Keep the line breaks of a text besides, whatever it breaks its lines with."""
    return "\n".join(map(printable, text.splitlines()))


def _row(cells: tuple[str, ...]) -> str:
    *padded, last = (printable(cell)[:MOST_SIGNS] for cell in cells)
    shown = [one.rjust(width) if number == 6 else one.ljust(width) for number, (one, width) in
             enumerate(zip(padded, _WIDTHS, strict=True))]  # fmt: skip
    return f"{' '.join(shown)} {last}".rstrip()


def _stopped(entry: Entry) -> str:
    return f"{entry.at.astimezone():%H:%M:%S} {printable(entry.what)}"[:MOST_SIGNS]


def decided(decision: Mapping[str, Any]) -> str:
    """Say a decision with its gap in a few signs: `created`, `reused 2m0s`, `rolled over 6m40s`."""
    kind, gap = str(decision.get("kind", "")), decision.get("gap_seconds")
    words = kind.replace("_", " ")
    return words if gap is None or kind == Kind.CREATED else f"{words} {_short(gap)}"


def _short(seconds: float) -> str:
    """Write a span in a few signs: `0.25s`, `6m40s`, `2h5m`, `3d4h`; the parts of a second only below a minute."""
    if seconds < 60:
        return f"{seconds:.2f}".rstrip("0").rstrip(".") + "s"
    whole = int(seconds)
    if whole < 3600:
        return f"{whole // 60}m{whole % 60}s"
    return (
        f"{whole // 3600}h{whole % 3600 // 60}m" if whole < 86_400 else f"{whole // 86_400}d{whole % 86_400 // 3600}h"
    )
