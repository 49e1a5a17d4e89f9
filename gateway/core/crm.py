"""What a CRM is told of a person and of what was said, what it answers, and how a conversation reads there."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

from gateway.core.errors import GatewayError

# What an entry holds at most, in characters of its markup; HubSpot takes 65,536.
MOST_CHARACTERS = 50_000
MOST_LINES = 200
_LONGEST_TEXT = 8_000
_CUT = " [...] (the rest is in the gateway)"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a person for sure. `key` is ours for them, the same however often they are told of.

    `apart` are contacts of the CRM that they are not, whatever addresses are found there.
    """

    key: str
    name: str = ""
    emails: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    apart: frozenset[str] = frozenset()

    @property
    def fingerprint(self) -> str:
        """Give what changes when any of this does."""
        told = "\n".join([self.name, *sorted(self.emails), "", *sorted(self.phones)])
        return hashlib.sha256(told.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Known:
    """A contact as the CRM has it; `url` is where people look at it there, empty where that is not known."""

    id: str
    name: str = ""
    email: str = ""
    phone: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One message of a conversation: when, from whom, and what it said."""

    at: datetime
    who: str
    text: str

    def markup(self) -> str:
        """Give it as a paragraph, with a long text cut."""
        text = self.text if len(self.text) <= _LONGEST_TEXT else self.text[:_LONGEST_TEXT] + _CUT
        words = escape(text, quote=False).replace("\r\n", "\n").replace("\n", "<br>")
        return f"<p>{self.at:%Y-%m-%d %H:%M} <strong>{escape(self.who, quote=False)}</strong>: {words}</p>"


@dataclass(frozen=True, slots=True)
class Entry:
    """A part of a conversation as one note of the CRM's. `key` tells it apart for ever, and names what it holds."""

    key: str
    communication_type: str
    at: datetime
    body: str


def fitting(lines: Iterable[Line]) -> int:
    """Tell how many of these lines make one entry; at least one."""
    count, size = 0, 1_000
    for line in lines:
        size += len(line.markup())
        if count and (count == MOST_LINES or size > MOST_CHARACTERS):
            break
        count += 1
    return count


def body(title: str, lines: Sequence[Line], *, url: str = "") -> str:
    """Write an entry: a title, each line, and where the whole conversation is."""
    head = f"<p><strong>{escape(title, quote=False)}</strong></p>"
    link = f'<p><a href="{escape(url)}">The whole conversation</a></p>' if url else ""
    return head + "".join(line.markup() for line in lines) + link


class CrmFailed(GatewayError):
    """The CRM did not do what it was asked. The text is for people: no token, and no words of anybody's.

    `permanent` where it would refuse the same again, `account` where it would refuse everything meanwhile.
    """

    def __init__(
        self, text: str, *, code: str, permanent: bool = False, account: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(text)
        self.code, self.permanent, self.account, self.retry_after = code, permanent, account, retry_after


class CrmGone(CrmFailed):
    """What was asked for is not there, or not any more."""


class CrmConflict(CrmFailed):
    """Something that must be unique is there already; `existing` is the id of what has it, if the CRM says so."""

    def __init__(self, text: str, *, code: str, existing: str = "") -> None:
        super().__init__(text, code=code, permanent=True)
        self.existing = existing
