"""Tell people outside the console that somebody asked for a person: by webhook, by e-mail, once each.

An alert is a row of the outbox, so it survives crashes and is tried again. It never carries what people wrote.
"""

import json
import time
from collections.abc import Mapping
from datetime import datetime
from email.message import EmailMessage
from typing import Any

from gateway.clients import alerting
from gateway.clients.alerting import AlertFailed
from gateway.conversation.release import pause
from gateway.conversation.runtime import Runtime
from gateway.core.signing import signed_headers
from gateway.core.times import ms_between
from gateway.logs import log
from gateway.store import listing, outbox, outbox_claims, triage
from gateway.store.connection import deadline
from gateway.store.outbox import Row

WEBHOOK, EMAIL = "webhook", "email"

# What may be told of a reason: our own words, never a bot's, which may quote somebody.
REASONS = {
    "hourly_limit": "too many automatic answers",
    "too_late": "too late for an automatic answer",
}
HANDED_OVER = "handed over by the bot"

_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def queue(runtime: Runtime, session_id: str, at: datetime) -> int:
    """Queue the alerts about a session that needs a person since then; once. Gives how many are new."""
    fresh = 0
    for row in _rows(runtime, session_id, at):
        if outbox.put(row):
            runtime.notify(row.id, row.due)
            fresh += 1
    return fresh


def silence(runtime: Runtime, session_id: str, at: datetime) -> None:
    """Let nobody be told of a session that needs a person since then: they were told where it comes from."""
    for row in _rows(runtime, session_id, at):
        outbox.call_off(row)


def _rows(runtime: Runtime, session_id: str, at: datetime) -> list[Row]:
    now, moment = runtime.clock.now(), ms_between(_EPOCH, at)
    return [
        Row(f"alert:{way}:{session_id}:{moment}", outbox.ALERT, session_id, now, now, session_id=session_id)
        for way in _ways(runtime)
    ]


def lost(runtime: Runtime, since: datetime, until: datetime) -> int:
    """Queue the alerts whose writer died between flagging a session and queueing them; gives how many."""
    if not _ways(runtime):
        return 0
    return sum(queue(runtime, session_id, at) for session_id, at in triage.asked_for_person(since, until))


def _ways(runtime: Runtime) -> list[str]:
    alerts = runtime.settings.alerts
    return [way for way, wanted in ((WEBHOOK, alerts.webhook_url), (EMAIL, alerts.email_to)) if wanted]


def send(runtime: Runtime, row: Row) -> None:
    """Send an alert, unless a person came meanwhile; what fails is tried again later."""
    way = row.id.split(":")[1]
    with deadline():
        session = listing.one(row.about, None)
    if session is None or not _is_asked(session, row) or way not in _ways(runtime):
        _finish(runtime, row, outbox.CANCELED)
        return
    try:
        (_post if way == WEBHOOK else _mail)(runtime, row, _told(runtime, session))
    except AlertFailed as failure:
        log.warning("alert_failed", way=way, session_id=row.about, message=str(failure)[:300])
        due = runtime.clock.now() + pause(row.tries)
        with deadline():
            outbox_claims.postpone(row, due, failed=str(failure)[:500])
        runtime.notify(row.id, due)
        return
    log.info("alert_sent", way=way, session_id=row.about)
    _finish(runtime, row, outbox.DONE)


def give_up(runtime: Runtime, row: Row, error: str) -> None:
    """Leave an alert unsent; the session goes on asking for a person in the console."""
    log.error("alert_given_up", session_id=row.about, message=error)
    _finish(runtime, row, outbox.FAILED, error)


def _finish(runtime: Runtime, row: Row, state: str, error: str = "") -> None:
    with deadline():
        outbox_claims.finish(row, state, runtime.clock.now(), error=error)


def _is_asked(session: Mapping[str, Any], row: Row) -> bool:
    """Tell whether this is still about the same call for a person, and not about one that was heard."""
    asked = session.get("needs_person") or {}
    return bool(asked.get("at")) and row.id.endswith(f":{ms_between(_EPOCH, asked['at'])}")


def _told(runtime: Runtime, session: Mapping[str, Any]) -> dict[str, Any]:
    asked, public = session["needs_person"], runtime.settings.public_url.rstrip("/")
    return {
        "event": "person_needed",
        "session_id": session["id"],
        "reason": REASONS.get(asked["reason"], HANDED_OVER),
        "asked_at": asked["at"].isoformat(),
        "communication_type": session.get("communication_type"),
        "channel_id": session.get("channel_id"),
        "number": _shortened(str((session.get("metadata") or {}).get("fromNumber") or "")),
        "url": f"{public}/admin/sessions/{session['id']}" if public else None,
    }


def _shortened(number: str) -> str:
    """Leave of a number what tells a colleague who it is, and nobody else."""
    return f"{number[:4]}...{number[-4:]}" if len(number) > 9 else "withheld" if not number else "..."


def _post(runtime: Runtime, row: Row, told: Mapping[str, Any]) -> None:
    """Post what is told, signed as bots are asked (docs/responders/http_bot.md), for the moment of this try."""
    alerts, body = runtime.settings.alerts, json.dumps(told).encode()
    secret = alerts.webhook_secret.get_secret_value().encode()
    headers = signed_headers([secret] if secret else [], str(int(time.time())), body)
    alerting.post(alerts.webhook_url, body, headers | {"X-Gateway-Alert-Id": row.id})


def _mail(runtime: Runtime, row: Row, told: Mapping[str, Any]) -> None:
    alerts, message = runtime.settings.alerts, EmailMessage()
    message["Subject"] = f"A conversation needs a person: {told['reason']}"
    message["From"], message["To"] = alerts.email_from, ", ".join(alerts.email_to)
    # The same at every try, so that mailboxes show it once.
    message["Message-ID"] = f"<{row.id.replace(':', '.')}@{alerts.email_from.partition('@')[2]}>"
    lines = [f"{told['number']} on {told['channel_id']} needs a person since {told['asked_at']}.", told["reason"] + "."]
    message.set_content("\n".join([*lines, told["url"] or f"Session {told['session_id']}", ""]))
    alerting.mail(alerts, message)
