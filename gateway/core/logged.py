"""What the provider's own log says was sent and received, and which of our rows an entry of it may be."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from gateway.core.errors import GatewayError
from gateway.core.messages import SMS, VOICE, WHATSAPP
from gateway.core.participant import Address, address

# A row of ours is older than the provider's entry of it: it was stored, queued and paced first. It is younger only
# by what two clocks differ, or by the time a webhook took.
ROW_BEFORE = timedelta(minutes=15)
ROW_AFTER = timedelta(minutes=2)


class LogUnreadable(GatewayError):
    """The provider's log could not be read; says what to do about it. What was read so far stays done."""

    def __init__(self, detail: str, *, status: int | None = None) -> None:
        super().__init__(detail)
        self.status = status


@dataclass(frozen=True, slots=True)
class LoggedMessage:
    """One message of the log. Addresses are as the provider writes them (`whatsapp:+1...`).

    `at` is when a person wrote it (inbound: when our webhook was called; outbound: when it was created), `sent_at`
    what the log is read by. `files` is how many came with it.
    """

    sid: str
    account_sid: str
    person: str
    line: str
    inbound: bool
    content: str
    status: str
    at: datetime
    sent_at: datetime
    files: int = 0
    service_sid: str | None = None
    error_code: str | None = None

    @property
    def ours(self) -> Address:
        """Give the address of ours it went to or came from."""
        return address(self.line)

    @property
    def communication_type(self) -> str:
        """Tell the type by the prefix, as with a webhook."""
        return WHATSAPP if address(self.person).prefix == WHATSAPP else SMS


@dataclass(frozen=True, slots=True)
class LoggedCall:
    """One inbound call of the log; `ended_at` is None while it is on, and for one that was never answered."""

    sid: str
    account_sid: str
    person: str
    line: str
    status: str
    at: datetime
    ended_at: datetime | None = None
    duration: str | None = None
    caller_name: str | None = None
    communication_type: str = VOICE

    @property
    def ours(self) -> Address:
        """Give the address of ours that was called."""
        return address(self.line)


@dataclass(frozen=True, slots=True)
class LoggedRecording:
    """One finished recording of a call, and where it lies."""

    sid: str
    account_sid: str
    call_sid: str
    url: str
    at: datetime
    duration: str | None = None


class Match(Enum):
    """How well a row of ours fits an entry."""

    TEXT = 0
    LETTERS = 1
    TEMPLATE = 2


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row of ours between the same two addresses; `sid` where it carries one already."""

    id: str
    at: datetime
    text: str
    is_template: bool = False
    sid: str | None = None
    status: str | None = None
    contact_id: str | None = None


def choose(candidates: Sequence[Candidate], text: str, at: datetime) -> Candidate | None:
    """Choose the row an entry is: the best fit of the text, among those the nearest in time.

    A trial account's sentence is gone already. Smart Encoding replaces punctuation, so letters alone are second
    best; a template's text is made by the provider, so there only place and time are left to go by.
    """
    fitting = [(fit.value, abs(one.at - at), one.at, one.id, one) for one in candidates if (fit := _fit(one, text))]
    return min(fitting, key=lambda row: row[:4])[4] if fitting else None


def _fit(candidate: Candidate, text: str) -> Match | None:
    if candidate.text.strip() == text.strip():
        return Match.TEXT
    if letters(text) and letters(candidate.text) == letters(text):
        return Match.LETTERS
    return Match.TEMPLATE if candidate.is_template else None


def letters(text: str) -> str:
    """Leave of a text what no encoding changes."""
    return "".join(sign for sign in unicodedata.normalize("NFKC", text) if sign.isalnum())


def days(since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Cut a span at every midnight UTC, the oldest day first, so that no more than a day is held in memory."""
    while since < until:
        midnight = since.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        yield since, min(midnight, until)
        since = midnight
