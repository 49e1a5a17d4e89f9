"""The layout `flat`: one document a message, each with its session and its user."""

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.conversation.layouts.reading import MESSAGES, Found, Reading, Roles, Shapes
from gateway.core import crm_ids
from gateway.core.foreign import Talk, utterance
from gateway.core.plain import Fields

NEEDS = "messages with session_id, user_id and content"

_WORDS = frozenset({"content", "text", "message", "body"})


def roles(shapes: Shapes) -> Roles | None:
    """Tell messages by their session, their user and their words."""
    return {
        name: MESSAGES for name, shape in shapes.items() if shape >= {"sessionid", "userid"} and shape & _WORDS
    } or None


def read(_role: str, record: Mapping[str, Any], reading: Reading) -> Iterator[Found]:
    """Read a message, and the session it is of as far as it tells."""
    fields = Fields(record)
    crm = crm_ids.take(fields, reading.spelling)
    said = utterance(fields, reading.spelling)
    if said.ref:
        yield Talk(said.ref, said.person, said.ours, said.kind, document={"crm": crm} if crm else {})
    yield said
