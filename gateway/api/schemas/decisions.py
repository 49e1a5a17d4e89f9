"""Decisions of the session finder, as the API shows them."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from gateway.api.schemas import Limit, Moment, Page, Query, Text
from gateway.core.sessions import Kind, Rule

Seconds = Annotated[float, Field(ge=0, le=1e10, allow_inf_nan=False)]
ObjectId = Annotated[str, Field(pattern=r"^[0-9a-f]{24}$")]


class DecisionsQuery(Query):
    """Which decisions; what is left out chooses nothing."""

    cursor: Annotated[str, Field(pattern=r"^([0-9]{1,14}-[^\x00]{0,180})?$")] = Field(
        "", description="`next_cursor` of the page before."
    )
    limit: Limit = 50
    kind: Kind | None = Field(None, description="What happened to the message.")
    rule: Rule | None = Field(None, description="Which rule said so.")
    type: Literal["sms", "whatsapp", "voice", "chat"] | None = None
    channel: Annotated[Text, Field(max_length=200)] | None = Field(None, description="The id of one of our numbers.")
    session: ObjectId | None = Field(None, description="Messages of this session.")
    contact: ObjectId | None = Field(None, description="Messages of this contact's sessions.")
    number: Annotated[Text, Field(max_length=100)] | None = Field(
        None, description="Messages of the sessions with this number: `+15558675310`."
    )
    since: Moment | None = Field(None, alias="from", description="Messages of this moment or later.")
    until: Moment | None = Field(None, alias="to", description="Messages before this moment.")
    min_gap: Seconds | None = Field(None, description="With a pause of at least so many seconds before them.")
    max_gap: Seconds | None = Field(None, description="With a pause of at most so many seconds before them.")


class Decision(BaseModel):
    """What was decided about a message, and from what."""

    message_id: str
    session_id: str | None = Field(
        description="Where the message went; null where that is on a channel this key does not see."
    )
    channel_id: str | None
    communication_type: str | None
    contact_id: str | None
    at: Moment = Field(description="When the message was sent; that decides, whenever it came.")
    stored_at: Moment | None
    kind: str = Field(description="`created`, `reused` or `rolled_over`.")
    rule: str | None
    explanation: str = Field(description="The decision in words.")
    gap_seconds: float | None = Field(description="The pause it was measured by.")
    threshold_seconds: float | None = Field(description="The idle threshold of then; null is never.")
    next_gap_seconds: float | None = Field(description="For one that came late: how far it is from the next session.")
    previous_session_id: str | None = Field(description="The session before the one it opened.")
    bridges_session_id: str | None = Field(description="A session that on time it would have joined with its own.")
    scope: str | None = Field(description="Whether a person has a session a channel, or one in all.")
    anchor: str | None = Field(description="Whether any message keeps a session alive, or only the sender's.")


class Decisions(Page):
    """Decisions, newest first. A page may hold fewer than asked for, or none, and still be followed by another."""

    items: list[Decision]
