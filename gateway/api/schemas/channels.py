"""Our numbers, as the API shows and changes them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from gateway.api.schemas import Body, Moment, Page, Path, Text, worded
from gateway.api.schemas.messages import A_TEMPLATE
from gateway.conversation.channels import NAME_LIMIT, TEXT_LIMIT
from gateway.settings.values import LONGEST_SECONDS

Seconds = Annotated[float, Field(strict=True, ge=0, le=LONGEST_SECONDS, allow_inf_nan=False)]
Idle = Annotated[
    Seconds | Literal["never"] | None,
    Field(
        description="After how many seconds of silence a message begins another session: 0 with every message, "
        "`never` not at all, null as the settings say.",
        examples=[300],
    ),
]
Words = Annotated[Text, Field(max_length=TEXT_LIMIT)]


class ChannelPath(Path):
    """One of our numbers."""

    channel_id: str = Field(max_length=200, description="Its id, such as `sms:+15017122661`.")


class ChannelSettings(Body):
    """What holds on this number and not on the others; null is what the settings say."""

    mode: Literal["converse", "voicemail", "dial"] | None = Field(None, description="What a call is for. Voice.")
    greeting: Words | None = Field(None, description="What callers hear first. Voice.")
    filler: Words | None = Field(None, description="Said, or as an https address played, during a wait. Voice.")
    voicemail_prompt: Words | None = Field(None, description="Said before the tone. Voice.")
    dial_to: (
        Annotated[str, Field(pattern=r"^\+[0-9]{7,15}$"), worded("write a number with its country: +15558675310")]
        | None
    ) = Field(None, description="Whom callers are put through to, with the mode `dial`. Voice.")
    text_back: Words | None = Field(None, description="What a missed caller is texted. Voice.")
    content_sid: Annotated[str, Field(pattern=r"^HX[0-9a-zA-Z]{1,64}$"), worded(A_TEMPLATE)] | None = Field(
        None, description="The content template for messages after WhatsApp's 24 hours. WhatsApp."
    )
    segments_per_second: Annotated[float, Field(strict=True, gt=0, le=10_000, allow_inf_nan=False)] | None = Field(
        None, description="The number's pace at Twilio. SMS and WhatsApp."
    )


class ChannelBody(Body):
    """What is to change; what is left out stays as it is."""

    name: Annotated[Text, Field(min_length=1, max_length=NAME_LIMIT)] | None = Field(
        None, description="Null changes nothing."
    )
    idle_seconds: Idle = None
    responder: Annotated[Text, Field(min_length=1, max_length=200)] | None = Field(
        None, description="Who answers: `none`, `echo`, `canned`, ...; null is as the settings say."
    )
    settings: ChannelSettings | None = Field(None, description="Null changes nothing.")


class Channel(BaseModel):
    """One of our numbers: what is its own, and what holds."""

    id: str
    name: str
    phone_number: str | None
    communication_type: str = Field(description="`sms`, `whatsapp`, `voice` or `chat`.")
    account_sid: str | None
    idle_seconds: Idle = Field(description="Its own threshold; null where it has none.")
    threshold_seconds: float | None = Field(description="The threshold that holds; null is never.")
    responder: str | None = Field(description="Its own responder; null where it has none.")
    answered_by: str = Field(description="The responder that holds.")
    settings: dict[str, Any] = Field(description="What is its own of the settings.")
    problem: str | None = Field(description="What is wrong with what is stored; the settings hold instead.")
    last_webhook_at: Moment | None = Field(description="When it was last written to or called.")


class Channels(Page):
    """Our numbers, by name; all of them are on one page."""

    items: list[Channel]
