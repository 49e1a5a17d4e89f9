"""Decisions in words, for the person who must find out why a message went where it went, and was not answered."""

from collections.abc import Mapping
from typing import Any

from gateway.core.sessions import Rule
from gateway.core.times import legible, short_seconds, spoken

_AFTER = "the last message"

# Why no responder was asked about a message.
_UNANSWERED = {
    "too_late": "filed too late to be answered",
    "outage": "came while MongoDB was away",
    "handed_over": "not answered: the bot is off",
    "hourly_limit": "not answered: too many automatic answers",
    "out_of_hours": "outside business hours",
    "resent": "not answered: replayed from what another gateway had stored",
    "blocked": "not answered: on the blocklist",
    "opted_out": "not answered: opted out",
    "keyword": "not answered: a keyword",
    "backfilled": "not answered: brought in from Twilio's log",
    "restored": "not answered: waited when the backup was made",
    "call_limit": "the call had lasted too long",
    "before_question": "not answered: written before the flow asked its question",
}


def explain(decision: Mapping[str, Any]) -> str:
    """Say a stored decision in one line, e.g. `reused: 2 min 0 s after the last message, threshold 5 min`."""
    kind = str(decision.get("kind", "")).replace("_", " ")
    because = reason(decision)
    if because and decision.get("bridges_session_id"):
        because += "; in reach of the next session too"
    return f"{kind}: {because}" if because else kind


def unanswered(answer: Mapping[str, Any]) -> str:
    """Say why a message was not answered, e.g. `not answered: the bot is off`; empty where no reason is stored."""
    return _UNANSWERED.get(answer.get("reason") or "", "")


def reason(decision: Mapping[str, Any]) -> str:
    """Say why a stored decision was made; nothing for a rule of a later version."""
    since = _AFTER if decision.get("anchor") != "inbound" else "the sender's last message"
    seconds = decision.get("threshold_seconds")
    gap, ahead = (_span(decision.get(name), seconds) for name in ("gap_seconds", "next_gap_seconds"))
    limit = threshold(seconds)
    match decision.get("rule"):
        case Rule.FIRST_MESSAGE:
            return "the first message of this sender"
        case Rule.WITHIN_THRESHOLD | Rule.PAST_THRESHOLD:
            return f"{gap} after {since}, {limit}"
        case Rule.NO_THRESHOLD:
            return f"{gap} after {since}, sessions never roll over here"
        case Rule.EVERY_MESSAGE:
            return "threshold 0, every message has its own session"
        case Rule.INSIDE_SESSION:
            return "arrived late, sent before this session's last message"
        case Rule.JOINS_NEXT:
            return f"arrived late, sent {ahead} before this session's first message, {limit}"
        case Rule.BEFORE_FIRST:
            return f"arrived late, sent {ahead} before the sender's first session, {limit}"
        case Rule.LIVE_CALL:
            return f"{gap} after {since}, but a call was still on"
        case Rule.SAME_CALL:
            return "said in the same call"
        case Rule.ASKED_FOR:
            return "the sender asked for a new session"
        case Rule.CLOSED_FOR_GOOD:
            return "the session before was closed by a person"
        case _:
            return ""


def threshold(value: float | None) -> str:
    """Write a threshold as people set it: `threshold 5 min`, `threshold 90 s`, `no threshold`."""
    if value is None:
        return "no threshold"
    if value and value % 3600 == 0:
        return f"threshold {value / 3600:g} h"
    if value and value % 60 == 0:
        return f"threshold {value / 60:g} min"
    return f"threshold {short_seconds(round(value * 1000))[:-1]} s"


def _span(value: float | None, limit: float | None) -> str:
    if value is None:
        return ""
    return spoken(legible(round(value * 1000), None if limit is None else round(limit * 1000)))
