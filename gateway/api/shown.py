"""Sessions and messages as the API tells them: what a stored row becomes."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from flask import request

from gateway.api.auth import access, runtime
from gateway.api.schemas.flows import SessionFlow
from gateway.api.schemas.messages import File, Message, MessageDecision, MessagePage, StatusChange, Template, Waiting
from gateway.api.schemas.sessions import NeedsPerson, Session, WholeSession
from gateway.core import codes
from gateway.core.explain import explain
from gateway.core.jsonlike import plain
from gateway.core.times import epoch_ms, from_epoch_ms
from gateway.store import exporting, flow_states, media, transcripts
from gateway.store.sessions import FLOW
from gateway.store.transcripts import Walked

# What is told in fields of its own, or is nobody's business outside.
_OWN = ("address", "author", "private", "inReplyTo", "responder")
# A moment in milliseconds has so many digits at most, until the year 5138.
_DIGITS = 14


def sessions(rows: list[dict[str, Any]]) -> list[Session]:
    """Show sessions, each without links to what the key may not see."""
    return [Session(**_session(row)) for row in _linked(rows)]


def session(row: dict[str, Any], messages: MessagePage | None = None) -> WholeSession:
    """Show one session with what programs keep in it."""
    (linked,) = _linked([row])
    kept = linked.get("context") or {}
    context = plain({name: value for name, value in kept.items() if name != FLOW})
    return WholeSession(**_session(linked), context=context, flow=_flow(kept.get(FLOW)), messages=messages)


def _flow(stored: Any) -> SessionFlow | None:
    """Show where a session is in a flow; nothing where it is in none, or goes on with it in a later session."""
    state = flow_states.read(stored)
    if state is None:
        return None
    flow = runtime().flows.get(state.flow)
    return SessionFlow(
        name=state.flow,
        title=flow.title if flow else state.flow,
        version=state.version,
        run=state.run,
        step=state.step,
        asking=state.asking or None,
        outcome=state.outcome or None,
        values=plain(dict(state.values)),
        started_at=state.started_at,
        waiting_since=state.waiting_since,
        expires_at=state.waiting_since + flow.timeout if flow and state.is_active else None,
    )


def _linked(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out the sessions before these that are deleted, or that the key does not see."""
    before = {str(row["previous_session_id"]) for row in rows if row.get("previous_session_id")}
    seen = transcripts.visible(before, access().channels) if before else set[str]()
    return [
        {name: value for name, value in row.items() if name != "previous_session_id" or str(value) in seen}
        for row in rows
    ]


def _session(row: Mapping[str, Any]) -> dict[str, Any]:
    told, needs = row.get("metadata") or {}, row.get("needs_person")
    return {
        "id": row["id"],
        "channel_id": str(row.get("channel_id") or ""),
        "communication_type": row.get("communication_type") or "",
        "title": row.get("title") or "",
        "status": row.get("status") or "",
        "number": _text(told.get("fromNumber")),
        "line": _text(told.get("toNumber")),
        "contact_id": _text(row.get("contact_id")),
        "message_count": row.get("message_count") or 0,
        "previous_session_id": _text(row.get("previous_session_id")),
        "tags": list(row.get("tags") or ()),
        "assigned_to": row.get("assigned_to") or None,
        "needs_person": NeedsPerson(reason=str(needs.get("reason") or ""), at=needs["at"]) if needs else None,
        "bot_off": bool(row.get("bot_off")),
        "has_failed": bool(row.get("has_failed")),
        "metadata": plain(told),
        "created_at": row.get("createdAt"),
        "updated_at": row.get("updatedAt"),
        **{name: row.get(name) for name in ("first_message_at", "last_message_at", "last_inbound_at")},
        **{name: row.get(name) for name in ("closed_reason", "closed_at")},
    }


def page(walked: Walked) -> MessagePage:
    """Show a page of a session's messages."""
    after = None if walked.beyond is None else str(epoch_ms(walked.beyond))
    return MessagePage(items=messages(walked.messages), next_cursor=after)


def read_cursor(cursor: str) -> datetime | None:
    """Read where a page of messages begins; ValueError for what is no cursor of ours."""
    if not cursor:
        return None
    if not (cursor.isascii() and cursor.removeprefix("-").isdecimal()) or len(cursor) > _DIGITS:
        raise ValueError(f"{cursor[:40]!r} is no page of this list")
    try:
        return from_epoch_ms(int(cursor))
    except OverflowError:
        raise ValueError(f"{cursor[:40]!r} is no page of this list") from None


def messages(rows: list[dict[str, Any]]) -> list[Message]:
    """Show messages, each without links to what the key may not see."""
    return [message(row) for row in exporting.as_shown(rows, access().channels)]


def message(row: Mapping[str, Any], outbox: Mapping[str, Any] | None = None) -> Message:
    """Show one message as stored; `outbox` is its row there, where it has one."""
    told, template = row.get("metadata") or {}, row.get("template")
    return Message(
        id=str(row["_id"]),
        session_id=row["session_id"],
        channel_id=str(row.get("channel_id") or ""),
        communication_type=row.get("communication_type") or "",
        contact_id=_text(row.get("contact_id")),
        direction=row.get("direction") or "",
        sender=row.get("sender") or "",
        author=_text(told.get("author")),
        private=bool(told.get("private")),
        content=row.get("content") or "",
        media=list(_files(row)),
        template=_template(template) if template else None,
        status=row.get("status"),
        status_history=[_status(one) for one in row.get("status_history") or () if one.get("at")],
        error_code=_text(row.get("error_code")),
        error=_error(row),
        decision=_decision(row["decision"]) if row.get("decision") else None,
        outbox=waiting(outbox),
        provider_sid=row.get("provider_sid"),
        in_reply_to=_text(told.get("inReplyTo")),
        responder=_text(told.get("responder")),
        tools_used=[plain(one) for one in row.get("tools_used") or ()],
        processing_time_ms=row.get("processing_time_ms"),
        token_count=row.get("token_count"),
        metadata=plain({name: value for name, value in told.items() if name not in _OWN}),
        created_at=row["createdAt"],
        stored_at=row.get("storedAt"),
    )


def _decision(stored: Mapping[str, Any]) -> MessageDecision:
    told = {name: stored.get(name) for name in ("rule", "gap_seconds", "threshold_seconds", "scope", "anchor")}
    before = _text(stored.get("previous_session_id"))
    return MessageDecision(
        kind=str(stored.get("kind") or ""), explanation=explain(stored), previous_session_id=before, **told
    )


def _template(stored: Mapping[str, Any]) -> Template:
    """Show a template; what was stored is not checked again."""
    variables = {str(name): str(value) for name, value in (stored.get("variables") or {}).items()}
    return Template.model_construct(content_sid=str(stored.get("content_sid") or ""), variables=variables)


def _status(entry: Mapping[str, Any]) -> StatusChange:
    return StatusChange(
        status=str(entry.get("status") or ""), at=entry["at"], error_code=_text(entry.get("error_code"))
    )


def _error(row: Mapping[str, Any]) -> str | None:
    if row.get("error_message"):
        return str(row["error_message"])
    return codes.explain(str(row["error_code"])) if row.get("error_code") else None


def waiting(row: Mapping[str, Any] | None) -> Waiting | None:
    """Show how far a message is on its way out."""
    if row is None:
        return None
    due = row.get("due") if row["state"] == "waiting" else None
    return Waiting(state=row["state"], due_at=due, tries=row.get("tries") or 0, error=str(row.get("error") or ""))


def _files(row: Mapping[str, Any]) -> Iterator[File]:
    at_provider = runtime().settings.media.keep == "twilio"
    for number, entry in enumerate(row.get("media") or ()):
        if row.get("direction") == "outbound":
            yield File(number=number, state="sent", url=str(entry.get("url") or ""))
        else:
            yield _received(media.read(str(row["_id"]), number, entry), at_provider=at_provider)


def _received(file: media.File, *, at_provider: bool) -> File:
    facts = {"number": file.number, "content_type": file.content_type, "size": file.size, "filename": file.filename}
    if file.refused:
        return File(**facts, state="refused", reason=f"{file.refused}: {file.reason}" if file.reason else file.refused)
    if file.file_id or (at_provider and file.is_open):
        url = f"{request.script_root}/api/v1/messages/{file.message_id}/media/{file.number}"
        return File(**facts, state="stored" if file.file_id else "at_provider", url=url)
    return File(**facts, state="pending")


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
