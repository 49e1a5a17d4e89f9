"""What a website or an app sends of its users, and how their messages are told apart.

A site is a line of ours (`web`), its users are known by `chat:<site>:<user id>`. Nobody carries a chat's messages:
answers are stored, and the user's page fetches them.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from gateway.channels.base import field_name, writable
from gateway.channels.line import Line
from gateway.core.messages import CHAT, InboundMessage
from gateway.core.participant import Participant, address, chat_user
from gateway.core.replies import Reply

NO_ANSWER = ""
DEFAULT_SITE = "web"

# What the ids of those begin with whom no site knows.
VISITOR = "visitor-"

# What BSON holds of a number, and how deep documents may go here (MongoDB takes a hundred levels in all).
_BITS, _DEEPEST = 63, 20


@dataclass(frozen=True, slots=True)
class ChatUser:
    """Somebody on a website. `email` is proved to be theirs; `claimed_email` is only what they say."""

    site: str
    user_id: str
    email: str = ""
    claimed_email: str = ""
    name: str | None = None

    @property
    def participant(self) -> Participant:
        """Give them as the other end of a conversation."""
        person = chat_user(self.site, self.user_id, email=self.email, name=self.name)
        unnamed = self.user_id.startswith(VISITOR) and not self.name
        return replace(person, label=f"visitor {self.user_id[len(VISITOR) :][:6]}") if unnamed else person


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """What a user wrote. `client_id` is the page's own id of it: the same one again is the same message."""

    content: str
    client_id: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


def message_id(user: ChatUser, client_id: str) -> str:
    """Give the id a message is stored under: one of our own, where the page gave it none.

    Made from what names it in full, so nobody can take the id of somebody else's message, nor one of a provider's.
    """
    named = "\0".join((user.site, user.user_id, client_id)) if client_id else secrets.token_hex(16)
    return f"CH{hashlib.sha256(named.encode(errors='surrogatepass')).hexdigest()[:32]}"


def parse(user: ChatUser, said: ChatMessage, received_at: datetime) -> InboundMessage:
    """Read a message from a website."""
    person, own_id = user.participant, message_id(user, said.client_id)
    metadata: dict[str, Any] = {"From": person.identities[0], "To": user.site, "userId": user.user_id}
    metadata |= {"clientId": said.client_id} if said.client_id else {}
    metadata |= {"claimedEmail": user.claimed_email} if user.claimed_email else {}
    metadata |= {"ProfileName": user.name} if user.name else {}
    metadata |= {"client": storable(said.metadata)} if said.metadata else {}
    return InboundMessage(
        id=own_id,
        communication_type=CHAT,
        sender=person,
        recipient=address(user.site),
        content=writable(said.content),
        received_at=received_at,
        provider_sid=own_id,
        metadata=metadata,
    )


def storable(value: Any, depth: int = 0) -> Any:
    """Write JSON of somebody else's so that MongoDB takes it: names without dots, text without what XML lacks.

    What is nested too deep, or is a number beyond 64 bits, is kept as text.
    """
    if isinstance(value, Mapping | list) and depth == _DEEPEST:
        return writable(json.dumps(value))
    if isinstance(value, Mapping):
        return {field_name(writable(str(name))): storable(one, depth + 1) for name, one in value.items()}
    if isinstance(value, list):
        return [storable(one, depth + 1) for one in value]
    if isinstance(value, int) and value.bit_length() > _BITS:
        return str(value)
    return writable(value) if isinstance(value, str) else value


def split(text: str) -> list[str]:
    """Give an answer as the one message it is, however long."""
    text = writable(text).strip()
    return [text] if text else []


def render(_reply: Reply, _message: InboundMessage, _session_id: str, _line: Line) -> str:
    """Write nothing: what is stored is what the page shows."""
    return NO_ANSWER
