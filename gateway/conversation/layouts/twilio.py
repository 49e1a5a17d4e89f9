"""The layout `twilio`: the message log as the Console exports it (CSV), or as Bulk Export does (JSON lines).

The Console's columns: From, To, Body, Status, SentDate, ApiVersion, NumSegments, ErrorCode, AccountSid, Sid,
Direction, Price, PriceUnit. Bulk Export names them as the API does (https://www.twilio.com/docs/usage/bulkexport/day).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.conversation.layouts.reading import MESSAGES, Found, Reading, Roles, Shapes, having
from gateway.core.checking import BadRow
from gateway.core.foreign import utterance
from gateway.core.messages import SMS, WHATSAPP
from gateway.core.participant import address
from gateway.core.plain import Fields

NEEDS = "Twilio's message log with From, To, Direction, Sid and SentDate"


def roles(shapes: Shapes) -> Roles | None:
    """Tell messages by Twilio's columns."""
    sent = [*having(shapes, ("sentdate",)), *having(shapes, ("datesent",))]
    found = having({name: shapes[name] for name in sent}, ("from", "to", "direction", "sid"))
    return dict.fromkeys(found, MESSAGES) or None


def read(_role: str, record: Mapping[str, Any], reading: Reading) -> Iterator[Found]:
    """Read a message; its type is that of the person's address, as with a webhook."""
    fields = Fields(record)
    said = utterance(fields, reading.spelling)
    if not said.person or not said.ours:
        raise BadRow("It has no From or no To.")
    said.kind = WHATSAPP if address(said.person).prefix == WHATSAPP else SMS
    yield said
