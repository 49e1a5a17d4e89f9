"""A flow as its file describes it, read and checked."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta, tzinfo
from typing import Any

from gateway.core.errors import ConfigError

# What the texts of an answer may not exceed: the longest message Twilio sends.
TEXT_LIMIT = 1600


class FlowError(ConfigError):
    """A flow's file cannot be used; the text names file, step, key and remedy, a line for each fault."""


class Kind(enum.StrEnum):
    """What a field holds, and so how it is recognised."""

    NAME = "name"
    PHONE = "phone"
    EMAIL = "email"
    NUMBER = "number"
    DATE = "date"
    CHOICE = "choice"
    YES_NO = "yes_no"
    ITEMS = "items"
    TEXT = "text"
    REGEX = "regex"


class Outcome(enum.StrEnum):
    """What came of a message: the flow asked on, or ended."""

    ASKED = "asked"
    ASKED_AGAIN = "asked_again"
    COMPLETED = "completed"
    CANCELED = "canceled"
    GIVEN_UP = "given_up"
    EXPIRED = "expired"

    @property
    def is_end(self) -> bool:
        """Tell whether the flow is over."""
        return self not in (Outcome.ASKED, Outcome.ASKED_AGAIN)

    @property
    def is_abandoned(self) -> bool:
        """Tell whether it is over without having been completed."""
        return self.is_end and self is not Outcome.COMPLETED


@dataclass(frozen=True, slots=True)
class Wording:
    """A text with {placeholders}, and how it is said on a call; said as written where `spoken` is empty."""

    text: str = ""
    spoken: str = ""


@dataclass(frozen=True, slots=True)
class Option:
    """One answer to choose: how it is shown and stored, what else it is called, and its key on a telephone."""

    value: str
    words: tuple[str, ...] = ()
    key: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """Something to be known. `least` and `most` bound numbers, the quantities of items and the length of texts.

    `also` are other names people call it by. `other` lets items be of no listed option. `order` is dmy or mdy.
    """

    name: str
    kind: Kind
    label: str
    also: tuple[str, ...] = ()
    prompt: Wording = Wording()
    retry: Wording = Wording()
    optional: bool = False
    least: float | None = None
    most: float | None = None
    decimals: bool = False
    options: tuple[Option, ...] = ()
    other: bool = True
    pattern: str = ""
    order: str = "dmy"
    past: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """A field compared with a value: `quantity >= 100`."""

    field: str
    operator: str
    value: str


@dataclass(frozen=True, slots=True)
class Branch:
    """Where to go, and when; always, where there is no condition."""

    target: str
    condition: Condition | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A question for some fields, a request to confirm, or (with neither) something only said.

    `branches` are tried in turn; after the last the next step of the file follows. A confirmation's own answer
    is a yes_no field of its name.
    """

    name: str
    prompt: Wording
    collect: tuple[str, ...] = ()
    confirm: bool = False
    branches: tuple[Branch, ...] = ()
    tries: int = 3
    give_up: str = Outcome.GIVEN_UP.value

    @property
    def asks(self) -> bool:
        """Tell whether it waits for somebody to say something."""
        return self.confirm or bool(self.collect)


@dataclass(frozen=True, slots=True)
class Completion:
    """What is to be done at an end: message, capture, post, tag or hand_over, with its parameters filled in."""

    kind: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ending:
    """A way to end: its outcome, the last words, and what is done."""

    name: str
    outcome: Outcome
    wording: Wording = Wording()
    completions: tuple[Completion, ...] = ()


@dataclass(frozen=True)
class Flow:
    """A whole conversation. Steps and fields are in the order they are asked; steps and endings share no name.

    `answers` are further words for yes, no, skip and cancel, `texts` what the file words anew.
    """

    name: str
    version: int
    title: str
    steps: Mapping[str, Step]
    fields: Mapping[str, Field]
    endings: Mapping[str, Ending]
    zone: tzinfo
    timeout: timedelta
    words: tuple[str, ...] = ()
    intents: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    answers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    texts: Mapping[str, Wording] = field(default_factory=dict)
    file: str = ""

    def field(self, name: str) -> Field | None:
        """Give a field, or the yes or no that a confirmation waits for; None where there is neither."""
        step = self.steps.get(name)
        if step and step.confirm:
            return Field(name, Kind.YES_NO, name)
        return self.fields.get(name)
