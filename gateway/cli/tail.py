"""What came and went, one line each: for `gateway listen` and `gateway events`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

from gateway.cli.entries import Entry, decided
from gateway.conversation.inspector import GENUINE, OBSERVED
from gateway.core.messages import SMS, VOICE, WHATSAPP
from gateway.core.notifications import (
    CALL_ENDED,
    FLOW_ABANDONED,
    FLOW_COMPLETED,
    FLOW_STARTED,
    MESSAGE_STATUS,
    PERSON_REQUESTED,
    SESSION_CLOSED,
    SESSION_CREATED,
    SESSION_REOPENED,
    SESSION_ROLLED_OVER,
    Event,
)
from gateway.core.participant import address
from gateway.store.tailing import Seen, Told

TAKEN = (GENUINE, OBSERVED)


def of_message(told: Told, event: str = "", *, seen: Seen | None = None, facts: Mapping[str, Any] | None = None,
               at: datetime | None = None) -> Entry:  # fmt: skip
    """Say what is stored of a message; with what the inspector saw of its webhook, and what an event adds."""
    return Entry(
        at=at or told.at or datetime.min,
        event=event or ("message.sent" if told.outbound else "message.received"),
        what=_said(told, event, facts or {}),
        communication_type=told.communication_type,
        number=told.number,
        line=told.line,
        channel_id=told.channel_id,
        session_id=told.session_id,
        message_id=told.id,
        decision=told.decision,
        responder=told.responder or (told.sender if told.outbound else ""),
        status=seen.status if seen else None,
        milliseconds=seen.milliseconds if seen else None,
        verdict=seen.verdict if seen else "",
        path=seen.path if seen else "",
    )


def _said(told: Told, event: str, facts: Mapping[str, Any]) -> str:
    code = str(facts.get("error_code") or "")
    match event:
        case "message.status":
            return f"{facts.get('status', '')} {code}".strip()
        case "call.ended":
            return f"call {facts.get('status', '')}".strip()
    if told.outbound:
        return f"{told.status or 'sent'} {told.error_code}".strip()
    return decided(told.decision) or told.status


_SESSION_WORDS = {
    SESSION_CREATED: "session opened",
    SESSION_CLOSED: "session closed",
    SESSION_REOPENED: "session reopened",
    PERSON_REQUESTED: "needs a person",
    FLOW_STARTED: "flow started",
    FLOW_COMPLETED: "flow completed",
    FLOW_ABANDONED: "flow abandoned",
}


def of_event(event: Event, message: Told | None, session: Told | None, seen: Seen | None) -> Entry | None:
    """Say what happened; None where another line says it, or what it is about is gone."""
    if event.message_id and message:
        # A session that was opened for a message is in the line of the message.
        if event.type in (SESSION_CREATED, SESSION_ROLLED_OVER):
            return None
        webhook = seen if event.type not in (MESSAGE_STATUS, CALL_ENDED) else None
        return of_message(message, event.type, seen=webhook, facts=event.facts, at=event.at)
    if event.type not in _SESSION_WORDS or session is None:
        return None
    why = event.facts.get("flow") or event.facts.get("closed_reason") or event.facts.get("reason") or ""
    return Entry(
        at=event.at,
        event=event.type,
        what=f"{_SESSION_WORDS[event.type]} {why}".strip(),
        communication_type=session.communication_type,
        number=session.number,
        line=session.line,
        channel_id=session.channel_id,
        session_id=session.session_id,
    )


def of_refused(seen: Seen) -> Entry:
    """Say which webhook was refused, and why."""
    return Entry(
        at=seen.at,
        event="webhook",
        what="refused" if seen.status < 500 else "failed",
        status=seen.status,
        milliseconds=seen.milliseconds,
        verdict=seen.verdict,
        cause=seen.cause,
        path=seen.path,
        **whose(seen.path, seen.form),
    )


def message_of(target: str, sid: str) -> str:
    """Name the message that a webhook stored, by what it was about; empty for one that stores none."""
    path, _, query = target.partition("?")
    name = path.rstrip("/").removeprefix("/webhooks/")
    if name in (SMS, WHATSAPP) or not sid:
        return sid if name in (SMS, WHATSAPP) else ""
    turn = parse_qs(query).get("turn", [""])[0] if name == "voice/turn" else "0" if name == VOICE else ""
    return f"{sid}:{turn}" if turn else ""


def whose(path: str, form: Mapping[str, str]) -> dict[str, Any]:
    """Tell from a webhook itself which channel it is of, and who it is about: that is there where nothing is stored."""
    name = path.rstrip("/").removeprefix("/webhooks/")
    theirs, ours = form.get("From", ""), form.get("To", "")
    if name == "status":
        # It is of a message from us to somebody.
        theirs, ours = ours, theirs
    if theirs.startswith("("):
        # The inspector keeps only the length of what looks like no number.
        theirs = ""
    kind = VOICE if name.startswith(VOICE) else WHATSAPP if theirs.startswith(f"{WHATSAPP}:") else SMS
    known = {"number": address(theirs).identity, "line": address(ours).identity} if theirs else {}
    return {"communication_type": kind} | known
