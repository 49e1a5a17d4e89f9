"""The layout `node`: the collections `sessions`, `messages` and `channels` of the application this one replaces."""

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.conversation.layouts.reading import CHANNELS, MESSAGES, SESSIONS, Found, Reading, Roles, Shapes, having
from gateway.core.foreign import talk, utterance
from gateway.core.foreign_lines import kind_of
from gateway.core.plain import Fields

NEEDS = "a collection of sessions with channel_id and communication_type, and one of messages with session_id"


def roles(shapes: Shapes) -> Roles | None:
    """Tell sessions by their channel and type, messages by their session, channels by their number."""
    sessions = having(shapes, ("channelid", "communicationtype"), without=("sessionid",))
    if not sessions:
        return None
    found = dict.fromkeys(having(shapes, ("sessionid",)), MESSAGES) | dict.fromkeys(sessions, SESSIONS)
    lines = having(shapes, ("phonenumber",), without=("sessionid", "channelid"))
    return dict.fromkeys(lines, CHANNELS) | found


def read(role: str, record: Mapping[str, Any], reading: Reading) -> Iterator[Found]:
    """Read a document; a channel is only remembered, for the sessions that name it."""
    fields = Fields(record)
    match role:
        case "channels":
            number = fields.text("phone_number")
            reading.channels[fields.text("_id", "id")] = (number, kind_of(fields.text("communication_type", "type")))
        case "sessions":
            session = talk(fields, reading.spelling)
            number, kind = reading.channels.get(session.channel, ("", ""))
            session.ours, session.kind = session.ours or number, session.kind or kind
            yield session
        case _:
            fields.take("__v")
            yield utterance(fields, reading.spelling)
