"""How a session is shown: its number, its status in words, and times as people say them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gateway.admin import wording
from gateway.channels import CHANNELS
from gateway.core.times import floor_ms
from gateway.store import capped, listing

TYPES = {kind: CHANNELS[kind].name if kind in CHANNELS else kind.capitalize() for kind in listing.TYPES}
STATUSES = {"active": "Open", "closed": "Closed", "archived": "Archived"}

WITHHELD = "withheld number"

# Who wrote the last message; the person's own words need no name before them.
_BY = {"ai": "Bot", "agent": "Agent", "system": "Gateway"}

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
    """One session as the listing shows it; `name` is the person's, `said` the last message and `by` who wrote it."""

    id: str
    title: str
    name: str
    said: str
    by: str
    type: str
    channel: str
    number: str
    messages: int
    at: datetime
    ago: str
    status: Status
    flag: str
    unread: bool
    assigned_to: str
    failed: bool
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tab:
    """One channel to choose, with how many sessions it has."""

    value: str
    name: str
    count: str
    chosen: bool


def type_name(kind: str) -> str:
    """Name a type of channel, the same way on every page."""
    return TYPES.get(kind, kind)


def row(session: Mapping[str, Any], now: datetime, *, name: str = "", last: Mapping[str, Any] | None = None) -> Row:
    """Show a session as stored, with the person's name and the last message where they are known."""
    kind = session["communication_type"]
    at = session["last_message_at"]
    return Row(
        id=session["id"],
        title=session.get("title") or "Session",
        name=name,
        said=_said(last or {}),
        by=_BY.get((last or {}).get("sender", ""), ""),
        type=kind,
        channel=type_name(kind),
        number=_number(session),
        messages=session.get("message_count") or 0,
        at=at,
        ago=ago(at, now),
        status=status(session, now),
        flag=flag(session),
        unread=is_unread(session),
        assigned_to=session.get("assigned_to") or "",
        failed=bool(session.get("has_failed")),
        tags=tuple(session.get("tags") or ()),
    )


def _said(message: Mapping[str, Any]) -> str:
    """Give a message in one line; a file where there are no words, nothing for the beginning of a call."""
    words = " ".join(str(message.get("content") or "").split())
    kinds = [wording.medium(str(file.get("content_type") or "")) for file in message.get("media") or ()]
    return words or ", ".join(kinds)


def _number(session: Mapping[str, Any]) -> str:
    """Give the number, a website's id of its user, or what the title names: a page, or that it is withheld."""
    metadata = session.get("metadata") or {}
    number = metadata.get("fromNumber") or metadata.get("userId")
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


def is_unread(session: Mapping[str, Any]) -> bool:
    """Tell whether the person wrote something since anybody last read the session."""
    wrote, seen = session.get("last_inbound_at"), session.get("seen_at")
    return wrote is not None and (seen is None or wrote > seen)


def type_tabs(counts: Mapping[str, int], chosen: str) -> list[Tab]:
    """Give the tabs by channel: all, then each; without counts where none are given."""
    every = {"": sum(counts[kind] for kind in TYPES)} | dict(counts) if counts else {}
    return [Tab(kind, name, _count(every, kind), kind == chosen) for kind, name in ({"": "All"} | TYPES).items()]


def status_tabs(counts: Mapping[str, int], chosen: str) -> list[Tab]:
    """Give the tabs by status; none of them is chosen while all are shown."""
    return [Tab(status, name, _count(counts, status), status == chosen) for status, name in STATUSES.items()]


def _count(counts: Mapping[str, int], name: str) -> str:
    return at_most(counts[name]) if counts else ""


def at_most(count: int) -> str:
    """Write a count that stops at a limit: `12`, `100+`."""
    return f"{capped.LIMIT:,}+" if count >= capped.LIMIT else str(count)


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
