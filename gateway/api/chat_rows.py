"""Stored sessions and messages as a chat's page gets them: nothing of ours that is not its users' business."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from gateway.api.schemas.chat import ChatMessage, ChatSession
from gateway.core.times import epoch_ms
from gateway.store.chats import Row
from gateway.store.sessions import FLOW

_DECISION = ("kind", "rule", "gap_seconds", "threshold_seconds")


def session(row: Row, messages: Sequence[ChatMessage] = ()) -> ChatSession:
    """Give a session; without messages in lists."""
    context = {name: plain(value) for name, value in (row.get("context") or {}).items() if name != FLOW}
    return ChatSession(
        id=str(row["_id"]),
        user_id=str((row.get("metadata") or {}).get("userId") or ""),
        session_name=row.get("title") or "",
        is_active=row.get("status") == "active",
        context=context,
        messages=list(messages),
        message_count=row.get("message_count") or 0,
        last_message_at=row["last_message_at"],
        created_at=row["createdAt"],
        updated_at=row.get("updatedAt") or row["createdAt"],
    )


def messages(rows: Sequence[Row], user_id: str) -> list[ChatMessage]:
    """Give messages, without those that say nothing (an answer that failed, without an apology)."""
    return [message(row, user_id) for row in rows if row.get("content") or row.get("media")]


def message(row: Row, user_id: str) -> ChatMessage:
    """Give one message; `user_id` is whose chat it is in."""
    metadata, theirs = row.get("metadata") or {}, row.get("direction") == "inbound"
    return ChatMessage(
        id=str(row["_id"]),
        content=row.get("content") or "",
        message_type="user" if theirs else "assistant",
        user_id=str(metadata.get("userId") or user_id),
        metadata=_metadata(row, metadata),
        created_at=row["createdAt"],
    )


def _metadata(row: Row, metadata: Mapping[str, Any]) -> dict[str, Any]:
    decision = row.get("decision") or {}
    given: dict[str, Any] = {
        "sender": row.get("sender") or "contact",
        "status": row.get("status") or "",
        "in_reply_to": metadata.get("inReplyTo"),
        "client_id": metadata.get("clientId"),
        "client": plain(metadata.get("client")),
        "decision": {name: decision.get(name) for name in _DECISION} if decision else None,
    }
    # Those of an inbound message are the provider's and lie here; ours are addresses anybody may fetch.
    if row.get("direction") == "outbound" and row.get("media"):
        given["media"] = [str(file.get("url")) for file in row["media"]]
    return {name: value for name, value in given.items() if value is not None}


def plain(value: Any) -> Any:
    """Give what JSON can say."""
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value if value is None or isinstance(value, str | int | float) else str(value)


def moment_cursor(moment: datetime | None) -> str | None:
    """Write a moment before which there is more."""
    return None if moment is None else str(epoch_ms(moment))
