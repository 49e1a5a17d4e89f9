"""The lines that conversations of other programs were on: of which type, and between which two addresses."""

from dataclasses import dataclass
from functools import lru_cache

from gateway.core.checking import BadRow
from gateway.core.messages import CHAT, SMS, VOICE, WHATSAPP
from gateway.core.participant import CHAT as CHAT_PREFIX
from gateway.core.participant import Address, address

# What stands for our side where a source does not name it.
NOWHERE = "imported"

_KINDS = {"sms": SMS, "mms": SMS, "text": SMS, "whatsapp": WHATSAPP, "voice": VOICE, "call": VOICE, "phone": VOICE}
_KINDS |= {"chat": CHAT, "web": CHAT, "webchat": CHAT, "website": CHAT}


@dataclass(frozen=True, slots=True)
class Line:
    """Who talks with us, on what, at which address of ours; `ours` is NOWHERE where nobody said."""

    kind: str
    ours: Address
    person: Address
    identity: str

    @property
    def key(self) -> str:
        """Give what a sender's sessions on one line are found by."""
        return f"{self.kind}|{self.ours.identity}|{self.identity}"


@lru_cache(maxsize=4096)
def line(kind: str, ours: str, person: str) -> Line:
    """Tell the line of a conversation; its type by the person's address where nobody said."""
    them = address(person)
    if not kind:
        # A number without its + may be a user's in some database, so it is nobody's phone.
        kind = WHATSAPP if them.prefix == WHATSAPP else SMS if them.identity.startswith("+") else CHAT
    site = address(ours or NOWHERE)
    is_named = them.raw.startswith(CHAT_PREFIX)
    identity = f"{CHAT_PREFIX}{site.identity}:{them.raw}" if kind == CHAT and not is_named else them.identity
    return Line(kind, site, them, identity)


def kind_of(value: str) -> str:
    """Read a communication type; empty where there is none, BadRow where it is another."""
    if not value:
        return ""
    if found := _KINDS.get(value.strip().lower()):
        return found
    raise BadRow(f"communication_type: {value!r:.40} is none of {SMS}, {WHATSAPP}, {VOICE}, {CHAT}.")
