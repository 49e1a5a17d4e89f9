"""The layout `embedded`: chat sessions, each with the list of its messages."""

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.conversation.layouts.reading import SESSIONS, Found, Reading, Roles, Shapes
from gateway.core.checking import BadRow
from gateway.core.foreign import talk, utterance
from gateway.core.plain import Fields, text

NEEDS = "sessions with user_id and a list of messages"


def roles(shapes: Shapes) -> Roles | None:
    """Tell sessions by their messages."""
    return {
        name: SESSIONS
        for name, shape in shapes.items()
        if "messages" in shape and shape & {"userid", "sessionname", "isactive"}
    } or None


def read(_role: str, record: Mapping[str, Any], reading: Reading) -> Iterator[Found]:
    """Read a session and its messages; of one without an id, who it is with and since when is its name."""
    fields = Fields(record)
    messages = fields.take("messages") or []
    named = next((text(record[name]) for name in ("_id", "id", "session_id") if record.get(name)), "")
    ref = "" if named else " ".join(text(record.get(name)) for name in ("user_id", "session_name", "created_at"))
    session = talk(fields, reading.spelling, ref=ref.strip())
    yield session
    if not isinstance(messages, list):
        yield BadRow("messages: it is no list.")
        return
    for number, message in enumerate(messages, 1):
        try:
            if not isinstance(message, dict):
                raise BadRow("it is no object.")
            yield utterance(Fields(message), reading.spelling, within=session, said_by=("message_type", "type"))
        except BadRow as error:
            yield BadRow(f"messages, no. {number}: {error}")
