"""What became of a message on its way: its statuses with their times, and why it failed, in plain words."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.admin import wording
from gateway.core import codes
from gateway.core.statuses import CALL_RANK, MESSAGE_RANK
from gateway.core.times import ms_between, spoken


@dataclass(frozen=True, slots=True)
class Step:
    """A status as it was reported: `after` says how long after the first."""

    words: str
    tone: str
    at: datetime
    after: str
    code: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a message did not arrive. `link` is Twilio's page on the code; `detail` is what was said beside it."""

    code: str
    words: str
    link: str
    detail: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """The status a message has, and how it came to it."""

    words: str
    tone: str
    steps: list[Step]


def of(message: Mapping[str, Any], *, call: bool) -> Timeline | None:
    """Show the statuses of a message of ours, or of a call; None where there is none to show."""
    status = message.get("status")
    if not status or not (call or message.get("direction") == "outbound"):
        return None
    ranks = CALL_RANK if call else MESSAGE_RANK
    history = [entry for entry in message.get("status_history") or () if entry.get("at")]
    history.sort(key=lambda entry: (entry["at"], ranks.get(entry.get("status", ""), -1)))
    steps = [_step(entry, history[0]["at"]) for entry in history]
    return Timeline(wording.status(status), wording.status_tone(status), steps)


def _step(entry: Mapping[str, Any], began: datetime) -> Step:
    status, after = str(entry.get("status", "")), ms_between(began, entry["at"])
    return Step(
        words=wording.status(status),
        tone=wording.status_tone(status),
        at=entry["at"],
        after=f"{spoken(after)} later" if after > 0 else "",
        code=str(entry.get("error_code") or ""),
    )


def failure(message: Mapping[str, Any]) -> Failure | None:
    """Say why a message did not arrive; None where nothing is known to be wrong."""
    code = message.get("error_code")
    # What a responder failed with is told apart from what became of its apology.
    detail = "" if message.get("has_error") else str(message.get("error_message") or "")
    if not code:
        return Failure("", detail, "", "") if detail else None
    words = codes.explain(code)
    return Failure(str(code), words, codes.link(code), "" if detail == words else detail)
