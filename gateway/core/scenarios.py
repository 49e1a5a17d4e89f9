"""A scenario: several people, what they do and when, and what is expected to come of it. Read from a TOML file."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gateway.core.errors import GatewayError


class ScenarioError(GatewayError):
    """A scenario's file cannot be used; the text names file, step, key and remedy, a line for each fault."""


class Lost(enum.StrEnum):
    """What of a webhook gets lost: all of it, or its answer (Twilio then asks the fallback URL)."""

    WEBHOOK = "webhook"
    ANSWER = "answer"


# What a caller may key in.
KEYPAD = frozenset("0123456789*#")

# What a person's `number` is to be a new WhatsApp user id.
NEW_USER_ID = "US."


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody; without a `number` a new one is made up for each run, and for `US.` a new user id of WhatsApp."""

    name: str
    number: str
    profile: str


@dataclass(frozen=True, slots=True)
class Expected:
    """What a step is to lead to; None where nothing is expected. `session` is a label: the same one, the same session.

    `status` is the stored one of a message of ours, `texted` what a caller is texted afterwards.
    """

    decision: str | None = None
    rule: str | None = None
    gap_seconds: float | None = None
    session: str | None = None
    duplicate: bool | None = None
    answer: str | None = None
    answer_has: tuple[str, ...] = ()
    status: str | None = None
    texted: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One thing a person does on a channel, or that becomes of an answer (`status`), `at_ms` after the start.

    `together` steps reach the gateway at once with the one before, `copies` of one at once with each other. `turns`
    are those of a call, as the webhook's parameters. `of` names the step whose answer is reported on.
    """

    number: int
    kind: str
    at_ms: int
    name: str = ""
    person: str = ""
    to: str = ""
    body: str = ""
    media: tuple[str, ...] = ()
    button: tuple[str, str] | None = None
    choice: tuple[str, str] | None = None
    location: tuple[str, str, str, str] | None = None
    turns: tuple[dict[str, str], ...] = ()
    dial: str = ""
    leave: str = ""
    statuses: tuple[str, ...] = ()
    of: str = ""
    error_code: str = ""
    copies: int = 1
    together: bool = False
    lost: Lost | None = None
    expected: Expected = Expected()

    @property
    def label(self) -> str:
        """Name the step as a person finds it in the file."""
        return f'step {self.number} "{self.name}"' if self.name else f"step {self.number}"


@dataclass(frozen=True, slots=True)
class ExpectedSession:
    """What is to be stored of the session of a label in the end."""

    messages: int | None = None
    status: str | None = None
    closed_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """What is to be stored in the end: how many sessions and messages of these people, and single sessions."""

    sessions: int | None = None
    inbound: int | None = None
    outbound: int | None = None
    labelled: Mapping[str, ExpectedSession] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A whole file. `needs` are settings it presumes, by their dotted names. Without a `start` it ends now."""

    file: str
    title: str
    needs: Mapping[str, object]
    people: Mapping[str, Person]
    steps: tuple[Step, ...]
    ending: Ending
    start: datetime | None = None

    @property
    def asks_the_store(self) -> bool:
        """Tell whether it expects what only MongoDB can tell."""
        ending, steps = self.ending, [step.expected for step in self.steps]
        counts = (ending.sessions, ending.inbound, ending.outbound)
        return (
            any(count is not None for count in counts)
            or bool(ending.labelled)
            or any(one.status is not None or one.texted is not None for one in steps)
        )
