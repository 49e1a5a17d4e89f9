"""Why messages went where they went: the decisions of the session finder."""

from collections.abc import Mapping
from typing import Any

from flask import Response

from gateway.api.auth import access
from gateway.api.blueprint import bp, tag
from gateway.api.schemas import reply
from gateway.api.schemas.decisions import Decision, Decisions, DecisionsQuery
from gateway.core.explain import explain
from gateway.core.participant import address
from gateway.store import decisions
from gateway.store.connection import deadline
from gateway.store.decisions import Wanted

TAGS = tag("Decisions", "Why each message went into its session, and what another threshold would have made of all.")

# A page looks at 1,000 messages at most, which MongoDB may have to read from its disk.
READ_SECONDS = 5


@bp.get("/decisions", tags=TAGS, responses={200: Decisions})
def list_decisions(query: DecisionsQuery) -> Response:
    """List decisions, newest first, each in words and with what it was made from."""
    with deadline(READ_SECONDS):
        page = decisions.page(_wanted(query), cursor=query.cursor, limit=query.limit, channels=access().channels)
    return reply(Decisions(items=[_decision(row) for row in page.rows], next_cursor=page.next_cursor))


def _wanted(query: DecisionsQuery) -> Wanted:
    return Wanted(
        kind=query.kind or "",
        rule=query.rule or "",
        communication_type=query.type or "",
        channel_id=query.channel or "",
        since=query.since,
        until=query.until,
        gap_at_least=query.min_gap,
        gap_at_most=query.max_gap,
        sessions=_sessions(query),
    )


def _sessions(query: DecisionsQuery) -> dict[str, Any] | None:
    chosen: dict[str, Any] = {}
    chosen |= decisions.of_session(query.session) if query.session else {}
    chosen |= decisions.of_contact(query.contact) if query.contact else {}
    chosen |= decisions.of_number(address(query.number).identity) if query.number else {}
    return chosen or None


def _decision(row: Mapping[str, Any]) -> Decision:
    made = row["decision"]
    inputs = ("gap_seconds", "threshold_seconds", "next_gap_seconds", "scope", "anchor")
    return Decision(
        message_id=row["_id"],
        session_id=row["session_id"],
        channel_id=row.get("channel_id"),
        communication_type=row.get("communication_type"),
        contact_id=row.get("contact_id"),
        at=row["createdAt"],
        stored_at=row.get("storedAt"),
        kind=made["kind"],
        rule=made.get("rule"),
        explanation=explain(made),
        previous_session_id=made.get("previous_session_id"),
        bridges_session_id=made.get("bridges_session_id"),
        **{name: made.get(name) for name in inputs},
    )
