"""Who is at the other end: one stable identity from every form of address Twilio uses.

The forms, with their sources, are Twilio's parameters `From`, `To` and `ExternalUserId`: E.164 numbers, short
codes, `whatsapp:`, `rcs:`, `messenger:`, `client:` and `sip:` addresses, WhatsApp user ids without a number,
and what carriers send for a caller who withholds theirs. Ours are `chat:<site>:<user id>` for the user of a website,
and `email:<address>` for an address somebody proved to be theirs.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

PREFIXES = frozenset({"whatsapp", "rcs", "messenger", "client", "sip"})

# What follows these is never a phone number, though a website may number its users like phones.
CHAT, EMAIL = "chat:", "email:"

# ANONYMOUS, RESTRICTED, BLOCKED, UNKNOWN and UNAVAILABLE spelt on a keypad. They look like E.164 numbers
# (+7378742833 would be texted as a Russian one), so they are sorted out before anything else.
WITHHELD_NUMBERS = frozenset({"+266696687", "+7378742833", "+2562533", "+8656696", "+86282452253"})
WITHHELD_WORDS = frozenset({"", "anonymous", "restricted", "unknown", "unavailable", "blocked", "private", "withheld"})

_SEPARATORS = re.compile(r"[\s().\-/\u00a0\u202f]")
# The digits of other scripts would be another identity than the same number in these.
_USER_ID = re.compile(r"[A-Z]{2}\.[0-9A-Za-z]+")
_PHONE = re.compile(r"\+[0-9]{7,15}")


@dataclass(frozen=True, slots=True)
class Address:
    """One address as Twilio wrote it, taken apart.

    `identity` is what sessions are keyed by: the bare E.164 number of a phone, everything else verbatim.
    """

    raw: str
    prefix: str
    identity: str
    number: str | None

    @property
    def label(self) -> str:
        """What people are shown: the number, else the address without its prefix."""
        if self.raw.startswith(CHAT):
            return self.raw.removeprefix(CHAT).partition(":")[2]
        if self.number or not self.prefix:
            return self.identity
        return self.raw.partition(":")[2]


@lru_cache(maxsize=4096)
def address(raw: str) -> Address:
    """Take an address apart; never guesses a country, so a short code stays what it is."""
    prefix, colon, rest = raw.partition(":")
    if not colon or prefix.lower() not in PREFIXES:
        prefix, rest = "", raw
    number = _SEPARATORS.sub("", rest)
    if _PHONE.fullmatch(number):
        return Address(raw, prefix.lower(), number, number)
    # Short codes are numbers to people, though no E.164; user ids and page ids are not.
    return Address(raw, prefix.lower(), raw.strip(), number if number.isdecimal() and not prefix else None)


def site_of(identity: str) -> str:
    """Give the site that the user of a website is known on; empty for everybody else."""
    return identity.removeprefix(CHAT).partition(":")[0] if identity.startswith(CHAT) else ""


def is_withheld(raw: str) -> bool:
    """Tell whether a caller's address hides who calls: such callers are never merged with one another."""
    rest = raw.strip().lower()
    return rest in WITHHELD_WORDS or _SEPARATORS.sub("", rest) in WITHHELD_NUMBERS


def is_address(raw: str) -> bool:
    """Tell whether Twilio could name somebody so: a number, a short code, a user id, or a caller who withholds."""
    found = address(raw)
    return bool(found.number or found.prefix or _USER_ID.fullmatch(found.identity) or is_withheld(raw))


@dataclass(frozen=True, slots=True)
class Participant:
    """The person at the other end: all identities seen together, and how to show them."""

    identities: tuple[str, ...]
    number: str | None
    label: str
    prefix: str = ""
    withheld: bool = False
    name: str | None = None


def participant(raw: str, *, also: str = "", name: str | None = None) -> Participant:
    """Read a sender; `also` is a second identifier Twilio sent beside it (a WhatsApp user id)."""
    sender = address(raw)
    identities = [sender.identity]
    if also and (second := address(also).identity) not in identities:
        identities.append(second)
    return Participant(tuple(identities), sender.number, sender.label, sender.prefix, name=name)


def caller(raw: str, call_sid: str, *, name: str | None = None) -> Participant:
    """Read a caller; one who withholds the number is known by this call alone."""
    if is_withheld(raw):
        return Participant((f"call:{call_sid}",), None, "withheld number", withheld=True)
    return participant(raw, name=name)


def chat_user(site: str, user_id: str, *, email: str = "", name: str | None = None) -> Participant:
    """Give the user of a website. `email` is one that is proved to be theirs: whoever has it is the same person."""
    user = f"{CHAT}{site}:{user_id}"
    identities = (user, f"{EMAIL}{email.strip().lower()}") if email else (user,)
    return Participant(identities, None, name or user_id, name=name)
