"""What log lines and metrics say of a decision; the names are a contract."""

from collections.abc import Collection, Mapping
from typing import Any

from gateway import metrics
from gateway.channels import CHANNELS
from gateway.conversation.filing import Filed
from gateway.conversation.runtime import Runtime
from gateway.core.explain import reason
from gateway.core.messages import InboundMessage
from gateway.core.sessions import Kind, Rule
from gateway.core.times import legible, short_seconds
from gateway.logs import log, show_number


def tell_decision(runtime: Runtime, message: InboundMessage, filed: Filed, channel_id: str) -> None:
    """Log and count where a message went, and why."""
    decision, session = filed.decision, filed.session
    restored = session.created_at < runtime.started_at
    facts = {
        "session_id": session.id,
        "previous_session_id": decision["previous_session_id"] or session.previous_session_id,
        "channel_id": channel_id,
        "communication_type": message.communication_type,
        "gap_seconds": decision["gap_seconds"],
        "threshold_seconds": decision["threshold_seconds"],
        "restored": restored,
        "message_sid": message.provider_sid,
        "rule": decision["rule"],
    }
    kind = decision["kind"]
    if kind == Kind.REUSED:
        words = f"Reusing existing session {session.id} ({_why_joined(decision)})"
        log.info("session_reused", message=words, **facts)
    else:
        if kind == Kind.ROLLED_OVER:
            log.info("session_rolled_over", message=_why_left(decision), **facts)
        name, number = CHANNELS[message.communication_type].name, show_number(message.sender.label)
        words = f"Created new {name} session: {session.id} for {number}"
        log.info("session_created", message=words, **facts)
    if bridged := decision.get("bridges_session_id"):
        words = f"Late message lies in reach of session {bridged} too; both stay as they are."
        log.warning("session_bridged", message=words, **facts)
    metrics.of(metrics.SESSIONS, kind, message.communication_type, str(restored).lower()).inc()


def _why_joined(decision: Mapping[str, Any]) -> str:
    """Say why a message joined a session; the gap tells nothing of one that arrived late."""
    if decision["rule"] in (Rule.INSIDE_SESSION, Rule.JOINS_NEXT):
        return reason(decision)
    return f"last message {_gap(decision)} ago"


def _why_left(decision: Mapping[str, Any]) -> str:
    if decision["rule"] == Rule.PAST_THRESHOLD:
        return f"Time gap of {_gap(decision)} detected. Creating new session."
    return f"Creating new session: {reason(decision)}."


def _gap(decision: Mapping[str, Any]) -> str:
    limit = decision["threshold_seconds"]
    gap = legible(round((decision["gap_seconds"] or 0) * 1000), None if limit is None else round(limit * 1000))
    return short_seconds(gap)


def tell_stored(message: InboundMessage, stored: Collection[str], session_id: str, channel_id: str) -> None:
    """Log and count what was stored of a message: itself, and its answer."""
    log.info(
        "message_received",
        message_sid=message.provider_sid,
        communication_type=message.communication_type,
        media=len(message.media),
        answered=len(stored) > 1,
        session_id=session_id,
        channel_id=channel_id,
    )
    metrics.of(metrics.MESSAGES, "inbound", message.communication_type).inc()
    if len(stored) > 1:
        metrics.of(metrics.MESSAGES, "outbound", message.communication_type).inc()


def tell_answer(message_id: str, session_id: str) -> None:
    """Log that an answer goes out as what its webhook is answered; later ones are logged by whoever sends them."""
    log.info("reply_sent", message_id=message_id, session_id=session_id)
