"""What was counted by day, as the API shows it."""

import re
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field

from gateway.api.schemas import Moment, Query, Text

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def _written_as_day(given: Any) -> Any:
    """Let nothing be read as a day but one as RFC 3339 writes it."""
    if isinstance(given, str) and not _DAY.fullmatch(given):
        raise ValueError("write a day as 2026-03-01")
    return given


Day = Annotated[date, BeforeValidator(_written_as_day)]


class StatsQuery(Query):
    """Which days, in UTC, and which of our numbers; the last seven days of all unless given."""

    since: Day | None = Field(None, alias="from", description="The first day.")
    until: Day | None = Field(None, alias="to", description="The last day; it is included. At most 400 days.")
    type: Literal["sms", "whatsapp", "voice", "chat"] | None = None
    channel: Annotated[Text, Field(max_length=200)] | None = Field(None, description="The id of one of our numbers.")


class Answers(BaseModel):
    """How long answers took, from the first message nobody had answered."""

    answers: int
    p50_seconds: float | None
    p95_seconds: float | None


class ErrorCount(BaseModel):
    """How often messages failed with a code."""

    code: str
    messages: int
    meaning: str


class Amounts(BaseModel):
    """How much there was of what."""

    received: int
    sent_by_bot: int
    sent_by_people: int
    sent_by_gateway: int
    sessions: int = Field(description="Sessions that began.")
    failed_answers: int = Field(description="Answers a responder did not give.")
    decisions: dict[str, int] = Field(description="Messages by what became of them: created, reused, rolled_over.")
    statuses: dict[str, int] = Field(description="Messages sent, by Twilio's last status; empty is none.")
    delivered_share: float | None = Field(description="Of the messages whose end is known; null where none is.")
    failed_share: float | None
    bot: Answers
    people: Answers
    errors: list[ErrorCount]


class TypeAmounts(BaseModel):
    """How much there was on a type of channel."""

    communication_type: str
    messages: int
    sessions: int


class DayAmounts(Amounts):
    """What was counted on a day."""

    day: date
    types: list[TypeAmounts]


class FlowStepAmounts(BaseModel):
    """How many came to a step of a flow, and how many of them left there."""

    name: str
    reached: int
    abandoned: int = Field(description="Waited too long, or were asked as often as the step asks.")
    canceled: int


class FlowAmounts(BaseModel):
    """A flow in numbers: those that began on these days, and what became of them since."""

    flow: str
    begun: int
    running: int
    completed: int
    abandoned: int
    canceled: int
    steps: list[FlowStepAmounts] = Field(description="In the order of the flow's file.")


class Stats(BaseModel):
    """What was counted on some days."""

    since: date = Field(alias="from")
    until: date = Field(alias="to")
    counted_until: Moment | None = Field(description="Until when messages are counted; a worker does every minute.")
    total: Amounts
    hours: list[int] = Field(description="Messages received in all, by the hour of the day in UTC.")
    days: list[DayAmounts]
    flows: list[FlowAmounts] = Field(description="The flows that began on these days; those first that were most.")
