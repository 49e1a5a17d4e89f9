"""Finding a message of ours in Twilio's list of messages, where nobody knows whether it was taken."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.core.logged import letters
from gateway.core.sending import Found, LookupFailed, Outgoing

# Our clock and Twilio's are two clocks, and DateCreated has whole seconds.
CLOCK_SKEW = timedelta(seconds=5)
# One request; two numbers that exchange more than this within a look-up's window are not found out about.
LOOKUP_SIZE = 200
TRIAL_PREFIX = "Sent from your Twilio trial account - "


def listing(outgoing: Outgoing, has_service: bool) -> dict[str, Any]:
    """Say what to list: everything between two addresses, the newest first.

    A Messaging Service may choose the sender only later, so there it is compared afterwards.
    """
    between = {"to": outgoing.to}
    if outgoing.sender and not has_service:
        between["from_"] = outgoing.sender
    return between | {"page_size": LOOKUP_SIZE, "limit": LOOKUP_SIZE}


def matching(
    listed: Sequence[Any], outgoing: Outgoing, since: datetime, until: datetime | None, *, smart: bool
) -> list[Found]:
    """Keep of what Twilio listed the messages that may be this one; LookupFailed where the list is too short to tell.

    With `smart` a service with Smart Encoding may have sent it.
    """
    recent = [message for message in listed if _is_between(_created(message), since, until)]
    ours = [message for message in recent if _is_from(message, outgoing.sender)]
    found = ours if outgoing.content_sid else _same_text(ours, outgoing.text, smart=smart)
    if not found and len(listed) >= LOOKUP_SIZE and all(_is_between(_created(one), since) for one in listed):
        raise LookupFailed(f"More than {LOOKUP_SIZE} messages went to this number since; look at Twilio's log.")
    return [_found(message) for message in found]


def _is_from(message: Any, sender: str) -> bool:
    return message.direction == "outbound-api" and (not sender or message.from_ in (sender, None, ""))


def _same_text(messages: list[Any], text: str, *, smart: bool) -> list[Any]:
    """Keep the messages with this text, as Twilio may have changed it.

    A trial account puts a sentence in front. A service with Smart Encoding replaces punctuation and nothing else,
    so where no text is the same the letters decide.
    """
    bodies = [(message, (message.body or "").strip().removeprefix(TRIAL_PREFIX).strip()) for message in messages]
    same = [message for message, body in bodies if body == text.strip()]
    if same or not smart or not letters(text):
        return same
    return [message for message, body in bodies if letters(body) == letters(text)]


def _found(message: Any) -> Found:
    code = str(message.error_code) if message.error_code else None
    return Found(message.sid, str(message.status), message.body or "", _created(message), code)


def _created(message: Any) -> datetime:
    if not isinstance(message.date_created, datetime):
        raise LookupFailed(f"Twilio does not say when {message.sid} was created.")
    return message.date_created.astimezone(UTC)


def _is_between(created: datetime, since: datetime, until: datetime | None = None) -> bool:
    return created >= since - CLOCK_SKEW and (until is None or created <= until + CLOCK_SKEW)
