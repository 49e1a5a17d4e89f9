"""What a responder is asked, and what it says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.core.messages import Media
from gateway.core.plain import plain

# The responder whose answers come from a flow, and the one that answers nothing.
FLOW, NOBODY = "flow", "none"


def answer_id(message_id: str, piece: int = 1) -> str:
    """Give the id of the answer to a message, or of a later piece of a long one."""
    return f"re:{message_id}" if piece == 1 else f"re:{message_id}:{piece}"


@dataclass(frozen=True, slots=True)
class Said:
    """A message of the past; `sender` is contact, ai, agent or system. It may be of another session or channel."""

    sender: str
    content: str
    at: datetime
    media: tuple[Media, ...] = ()
    session_id: str = ""
    channel_id: str = ""
    communication_type: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """What a responder gets to see: everything the sender said since the last answer.

    `content` holds the fragments of a burst, a line each. What is below `session_id` is only there for responders
    that are not quick: a quick one answers before the message is stored, from the message alone.
    """

    content: str
    communication_type: str
    received_at: datetime
    media: tuple[Media, ...] = ()
    message_id: str = ""
    session_id: str = ""
    channel_id: str = ""
    channel_name: str = ""
    line: str = ""
    contact_id: str | None = None
    contact_name: str = ""
    number: str | None = None
    fragments: tuple[str, ...] = ()
    history: tuple[Said, ...] = ()


@dataclass(frozen=True, slots=True)
class Action:
    """What a responder wants done beside its words; `conversation.actions` knows the kinds."""

    kind: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def plain(self) -> "Action":
        """Give it as it can be stored and read back; BadRow or TypeError where that is not possible."""
        return Action(str(self.kind), plain(dict(self.parameters or {})))

    def as_stored(self) -> dict[str, Any]:
        """Give one that is plain as plain values."""
        return {"kind": self.kind, "parameters": self.parameters}

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> "Action":
        """Read it back."""
        return cls(stored["kind"], stored["parameters"])


@dataclass(frozen=True, slots=True)
class Listening:
    """What a caller is likely to say or key next; nothing in it is anything.

    `keys` is how many they key, 0 any number of them. After a `long` answer a pause is not its end yet.
    """

    hints: tuple[str, ...] = ()
    keys: int = 0
    long: bool = False

    def as_stored(self) -> dict[str, Any]:
        """Give it as plain values."""
        return {"hints": list(self.hints), "keys": self.keys, "long": self.long}

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> "Listening":
        """Read it back."""
        return cls(tuple(stored.get("hints") or ()), stored.get("keys") or 0, bool(stored.get("long")))


ANYTHING = Listening()


@dataclass(frozen=True, slots=True)
class Reply:
    """What a responder says; no text and no media is no answer.

    `media` are URLs for Twilio to fetch. `sender` is `system` for the gateway's own notices. `error` says why the
    text is only an apology. `listening` is what is waited for on a call.
    """

    text: str = ""
    responder: str = "none"
    media: tuple[str, ...] = ()
    actions: tuple[Action, ...] = ()
    token_count: int | None = None
    tools_used: tuple[str, ...] = ()
    sender: str = "ai"
    error: str = ""
    listening: Listening = ANYTHING

    @property
    def says_something(self) -> bool:
        """Tell whether there is anything to send."""
        return bool(self.text.strip() or self.media)
