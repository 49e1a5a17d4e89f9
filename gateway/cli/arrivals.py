"""What came through the tunnel, as lines: each request with what the gateway stored of it, and why it was refused."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from gateway.cli.entries import Entry, decided
from gateway.cli.gate import Passed
from gateway.cli.tail import message_of, whose
from gateway.conversation.inspector import GENUINE
from gateway.core.errors import StoreUnavailable
from gateway.store import tailing
from gateway.store.connection import deadline
from gateway.store.tailing import Seen, Told

# The inspector stores what it saw every two seconds; a line does not wait longer for why it was refused.
PATIENCE = timedelta(seconds=4)
_LOOK_BACK = timedelta(seconds=30)

# What a callback says of a call, a recording or a message, by the end of its path.
_SAYS = {
    "status": ("", "MessageStatus"),
    "voice/status": ("call", "CallStatus"),
    "voice/dial": ("dial", "DialCallStatus"),
    "voice/recording": ("recording", "RecordingStatus"),
    "voice/transcription": ("transcription", "TranscriptionStatus"),
    "voice/wait": ("waits", ""),
    "voice/turn": ("silence", ""),
}


def entries(arrived: Sequence[Passed], *, trusted: bool) -> list[tuple[Passed, Entry | None]]:
    """Say each arrival; None for one that was refused, as long as nobody knows why.

    `trusted`: what was taken was genuine, since this gateway refuses what is not.
    """
    told, seen = _looked_up(arrived)
    said = []
    for one in arrived:
        refusal = seen.get(one.request_id)
        waits = _was_refused(one) and refusal is None and datetime.now(UTC) - one.at < PATIENCE
        said.append((one, None if waits else of(one, told.get(stored_as(one)), refusal, trusted=trusted)))
    return said


def _was_refused(one: Passed) -> bool:
    return 400 <= one.status < 500 and not one.stopped and one.target.startswith("/webhooks/")


def _looked_up(arrived: Sequence[Passed]) -> tuple[dict[str, Told], dict[str, Seen]]:
    """Read what is stored of arrivals; nothing, while MongoDB is away."""
    ids = {stored_as(one) for one in arrived if one.status < 400} - {""}
    refused = [one for one in arrived if _was_refused(one)]
    try:
        with deadline():
            since = min((one.at for one in refused), default=None)
            seen = tailing.seen(since - _LOOK_BACK) if since else []
            return tailing.messages(ids), {one.request_id: one for one in seen}
    except StoreUnavailable:
        return {}, {}


def form_of(passed: Passed) -> dict[str, str]:
    """Read the form of a webhook as far as a line needs it."""
    return dict(parse_qsl(passed.body.decode("utf-8", "replace")))


def _name(passed: Passed) -> str:
    return passed.target.partition("?")[0].rstrip("/").removeprefix("/webhooks/")


def stored_as(passed: Passed) -> str:
    """Name the message that a webhook stored, if it was one that stores any."""
    return message_of(passed.target, _about(form_of(passed)))


def _about(form: Mapping[str, str]) -> str:
    return form.get("MessageSid") or form.get("CallSid", "")


def of(passed: Passed, told: Told | None, seen: Seen | None, *, trusted: bool) -> Entry:
    """Say what came through the tunnel, and what became of it."""
    path = _printable(passed.target.partition("?")[0])
    facts: dict[str, Any] = {
        "at": passed.at, "status": passed.status, "milliseconds": passed.milliseconds, "path": path,
    }  # fmt: skip
    if passed.stopped:
        return Entry(event="stopped", what=f"not let through: {passed.method} {path}", **facts)
    form = form_of(passed)
    facts |= whose(path, form) if form else {}
    if passed.unreachable:
        return Entry(event="webhook", what="the gateway is away", **facts)
    facts |= {"verdict": seen.verdict, "cause": seen.cause} if seen else {}
    if passed.status >= 400:
        return Entry(event="webhook", what="refused" if passed.status < 500 else "failed", **facts)
    if not form:
        return Entry(event="request", what=f"{passed.method} {path}", **facts)
    facts["verdict"] = GENUINE if trusted else ""
    return _taken(passed, form, told, facts)


def _taken(passed: Passed, form: Mapping[str, str], told: Told | None, facts: dict[str, Any]) -> Entry:
    answered = _answered(passed)
    facts["message_id"] = stored_as(passed) or _about(form)
    decision = (told.decision if told else None) or answered.get("decision") or {}
    if told:
        facts |= {
            "communication_type": told.communication_type, "channel_id": told.channel_id,
            "session_id": told.session_id, "responder": told.responder,
        }  # fmt: skip
    words = _callback(_name(passed), form) if not decision else decided(decision)
    if answered.get("duplicate"):
        words = "redelivery"
    elif answered.get("answer") == "spooled":
        words = "kept in the spool"
    return Entry(event="webhook", what=words, decision=decision, **facts)


def _answered(passed: Passed) -> dict[str, Any]:
    """Read what a gateway in development says it decided."""
    try:
        told = json.loads(passed.decision or "{}")
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _callback(name: str, form: Mapping[str, str]) -> str:
    what, field = _SAYS.get(name, (name, ""))
    code = form.get("ErrorCode", "") if name == "status" else ""
    return " ".join(filter(None, (what, form.get(field, "").lower(), code)))


def _printable(text: str) -> str:
    """Keep what a terminal may be told: whoever calls chooses the path."""
    return re.sub(r"[^\x20-\x7e]", "?", text)[:60]
