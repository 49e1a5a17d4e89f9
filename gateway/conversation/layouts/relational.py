"""The layout `relational`: the tables `conversation_sessions` and `conversation_messages`."""

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.conversation.layouts.reading import MESSAGES, SESSIONS, Found, Reading, Roles, Shapes, having
from gateway.core.foreign import talk, utterance
from gateway.core.plain import Fields

NEEDS = "two tables, conversation_sessions and conversation_messages (with session_id and role)"


def roles(shapes: Shapes) -> Roles | None:
    """Tell messages by their session and role; sessions by their id, where no other table could be meant."""
    messages = having(shapes, ("sessionid", "role"))
    sessions = [name for name in having(shapes, ("id",), without=("messages", "role")) if name not in messages]
    named = [name for name in shapes if "session" in name.lower() and name in sessions]
    sessions = named or (sessions if len(sessions) == 1 else [])
    if not messages or not sessions:
        return None
    return dict.fromkeys(sessions, SESSIONS) | dict.fromkeys(messages, MESSAGES)


def read(role: str, record: Mapping[str, Any], reading: Reading) -> Iterator[Found]:
    """Read a row of either table."""
    fields = Fields(record)
    yield talk(fields, reading.spelling) if role == SESSIONS else utterance(fields, reading.spelling)
