"""The history at other thresholds, as the API shows it."""

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from gateway.api.schemas import Moment, Query, Text, worded
from gateway.api.schemas.stats import Day

_ONE = r"(never|[0-9]{1,10}(\.[0-9]{1,3})?)"


class WhatIfQuery(Query):
    """Which thresholds, of which part of the history; what is left out chooses nothing."""

    threshold: (
        Annotated[
            str,
            Field(pattern=rf"^{_ONE}(,{_ONE}){{0,19}}$"),
            worded("write seconds or `never`, with commas: 60,300,900"),
        ]
        | None
    ) = Field(
        None,
        description="Up to 20 thresholds in seconds, or `never`: `60,300,900`. One minute to an hour unless given.",
    )
    type: Literal["sms", "whatsapp", "voice", "chat"] | None = None
    channel: Annotated[Text, Field(max_length=200)] | None = Field(None, description="The id of one of our numbers.")
    since: Day | None = Field(None, alias="from", description="The first day, in UTC.")
    until: Day | None = Field(None, alias="to", description="The last day, in UTC; it is included.")


class Cut(BaseModel):
    """What a threshold would have made of it."""

    threshold_seconds: float | None = Field(description="Null is never.")
    sessions: int
    sessions_per_day: float
    messages_per_session: float
    merging: int = Field(description="How many messages that opened a session would have joined the one before.")
    splitting: int = Field(description="How many messages that joined a session would have opened one.")


class Suggestion(BaseModel):
    """The threshold at which the pauses part most clearly."""

    threshold_seconds: float | None
    reason: str


class Counted(BaseModel):
    """What was counted of a part of the history."""

    messages: int
    gaps: int
    late: int = Field(description="Messages that came late: counted where they were filed.")
    sessions_stored: int
    thresholds: list[Cut]
    suggestion: Suggestion


class Bin(BaseModel):
    """How many pauses there are of a length."""

    over_seconds: float
    up_to_seconds: float | None = Field(description="Null is no end.")
    gaps: int


class WhatIfChannel(Counted):
    """The same of one of our numbers."""

    channel_id: str
    communication_type: str
    number: str
    threshold_seconds: float | None = Field(description="Today's threshold; null is never.")


class WhatIf(Counted):
    """How the stored history would have been cut into sessions at other thresholds."""

    as_of: Moment | None = Field(description="Until when messages are counted; null where none is yet.")
    since: date | None
    days: int
    histogram: list[Bin]
    channels: list[WhatIfChannel]
