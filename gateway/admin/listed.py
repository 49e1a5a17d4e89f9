"""How a session is shown: its number, its status in words, and times as people say them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gateway.channels import CHANNELS
from gateway.core.times import floor_ms
from gateway.store.listing import COUNT_LIMIT

WITHHELD = "withheld number"

_REASONS = {
    "hourly_limit": "too many automatic answers",
    "handed_over": "handed over by the bot",
    "too_late": "too late for an automatic answer",
}


@dataclass(frozen=True, slots=True)
class Status:
    """A status in words; `tone` chooses its colour, `reason` says why it is so."""

    words: str
    tone: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One session as the listing shows it."""

    id: str
    title: str
    type: str
    channel: str
    number: str
    messages: int
    at: datetime
    ago: str
    status: Status
    flag: str


@dataclass(frozen=True, slots=True)
class Tab:
    """One channel to choose, with how many sessions it has."""

    type: str
    name: str
    count: str
    chosen: bool


def row(session: Mapping[str, Any], now: datetime) -> Row:
    """Show a session as stored."""
    kind = session["communication_type"]
    at = session["last_message_at"]
    return Row(
        id=session["id"],
        title=session.get("title") or "Session",
        type=kind,
        channel=CHANNELS[kind].name if kind in CHANNELS else kind,
        number=_number(session),
        messages=session.get("message_count") or 0,
        at=at,
        ago=ago(at, now),
        status=status(session, now),
        flag=flag(session),
    )


def _number(session: Mapping[str, Any]) -> str:
    """Give the number, else whatever the title names: a WhatsApp user id, a page, or that it is withheld."""
    number = (session.get("metadata") or {}).get("fromNumber")
    named = (session.get("title") or "").partition(" from ")[2]
    return str(number or ("withheld" if named == WITHHELD else named) or "unknown")


def status(session: Mapping[str, Any], now: datetime) -> Status:
    """Put a session's status into words."""
    match session.get("status"):
        case "archived":
            return Status("Archived", "quiet")
        case "closed":
            return Status("Closed", "quiet", (session.get("closed_reason") or "").replace("_", " "))
    until = session.get("live_until")
    if session.get("live") and (until is None or now <= until):
        return Status("On a call", "live")
    return Status("Open", "good")


def flag(session: Mapping[str, Any]) -> str:
    """Say that a session needs a person, and why; empty where it does not."""
    reason = (session.get("needs_person") or {}).get("reason")
    return f"Needs a person: {_REASONS.get(reason, reason)}" if reason else ""


def tabs(counts: Mapping[str, int], chosen: str) -> list[Tab]:
    """Give the tabs of the listing: all channels, then each."""
    named = [("", "All", sum(counts.values()))]
    named += [(kind, CHANNELS[kind].name, count) for kind, count in counts.items()]
    return [Tab(kind, name, at_most(count), kind == chosen) for kind, name, count in named]


def at_most(count: int) -> str:
    """Write a count that stops at COUNT_LIMIT: `12`, `1,000+`."""
    return f"{COUNT_LIMIT:,}+" if count >= COUNT_LIMIT else str(count)


def ago(moment: datetime, now: datetime) -> str:
    """Say how long ago a moment was; after a week the date says more."""
    past = now - moment
    if past < timedelta(minutes=1):
        return "just now"
    if past < timedelta(hours=1):
        return f"{past // timedelta(minutes=1)} min ago"
    if past < timedelta(days=1):
        return f"{past // timedelta(hours=1)} h ago"
    if past < timedelta(days=7):
        return f"{past // timedelta(days=1)} d ago"
    return f"{moment.day} {moment:%b %Y}"


def utc(moment: datetime) -> str:
    """Write a moment in full: `2026-03-01 10:00:00 UTC`."""
    return f"{floor_ms(moment):%Y-%m-%d %H:%M:%S} UTC"
