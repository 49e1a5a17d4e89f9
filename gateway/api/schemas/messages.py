"""Messages: what is read of one, and what is sent."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from gateway.api.schemas import Body, Moment, Page, PagedQuery, Path, Text, worded
from gateway.conversation.operators import NOTE_LENGTH, REPLY_LENGTH

A_TEMPLATE = "write a template's id as Twilio has it: HX..."
Url = Annotated[
    str, StringConstraints(pattern=r"^https?://[!-~]+$", max_length=2000), worded("write an address: https://...")
]


Value = Annotated[Text, StringConstraints(max_length=2000)]


class OneSessionPath(Path):
    """A session."""

    session_id: str = Field(description="The session's id.")


class MessagePath(Path):
    """A message."""

    message_id: str = Field(description="The message's id: Twilio's, or ours.")


class FilePath(MessagePath):
    """A file of a message."""

    number: int = Field(ge=0, le=1000, description="Which of the message's files, from 0.")


class IdempotencyHeader(BaseModel):
    """What makes a request safe to repeat."""

    idempotency_key: str = Field(
        "",
        alias="Idempotency-Key",
        max_length=200,
        description="Any text of your choice, new for each request. The same key and body give the same answer and "
        "send once, for 24 hours; the same key with another body is 422.",
    )


class MessageDecision(BaseModel):
    """Why a message is in its session."""

    kind: Literal["created", "reused", "rolled_over"] | str = Field(description="What happened.")
    rule: str | None = Field(None, description="The rule that said so, e.g. `within_threshold`, `past_threshold`.")
    explanation: str = Field(description="The decision in words.")
    gap_seconds: float | None = Field(None, description="The pause before the message.")
    threshold_seconds: float | None = Field(None, description="The idle threshold of then; null is none.")
    previous_session_id: str | None = None
    scope: str | None = None
    anchor: str | None = None


class StatusChange(BaseModel):
    """A delivery status, as it was reported."""

    status: str
    at: Moment
    error_code: str | None = None


class File(BaseModel):
    """A file of a message."""

    number: int
    state: Literal["stored", "pending", "at_provider", "refused", "sent"] = Field(
        description="`stored` and `at_provider` can be downloaded; `sent` is one of ours, at its `url`."
    )
    content_type: str = ""
    size: int = Field(0, description="Bytes; 0 where that is not known.")
    filename: str = ""
    url: str | None = Field(None, description="Where it is: a path of this API, or the address we sent.")
    reason: str = Field("", description="Why it was refused.")


class Waiting(BaseModel):
    """How far a message is on its way out."""

    state: Literal["waiting", "done", "failed", "canceled"]
    due_at: Moment | None = Field(None, description="When it is tried next.")
    tries: int = 0
    error: str = ""


class Template(BaseModel):
    """A Twilio Content template."""

    model_config = ConfigDict(extra="forbid")

    content_sid: Annotated[
        str, Field(pattern=r"^HX[0-9a-zA-Z]{1,64}$", description="The template's id."), worded(A_TEMPLATE)
    ]
    variables: dict[str, Value] = Field(
        default_factory=dict, max_length=100, description="The values of its placeholders.", examples=[{"1": "Ada"}]
    )


class Message(BaseModel):
    """One message of either direction."""

    id: str
    session_id: str | None = Field(description="The session it is in; null where this key does not see that one.")
    channel_id: str
    communication_type: str = Field(description="`sms`, `whatsapp`, `voice` or `chat`.")
    contact_id: str | None
    direction: str = Field(description="`inbound` or `outbound`.")
    sender: str = Field(description="`contact`, `ai`, `agent` or `system`.")
    author: str | None = Field(description="Who of ours wrote it, where a person or a program did.")
    private: bool = Field(description="A note for ourselves, which is never sent.")
    content: str
    media: list[File]
    template: Template | None
    status: str | None = Field(description="`received`, or the delivery status.")
    status_history: list[StatusChange]
    error_code: str | None = Field(description="Twilio's error code.")
    error: str | None = Field(description="What went wrong, in words.")
    decision: MessageDecision | None
    outbox: Waiting | None = Field(None, description="Only where one message is asked for or sent.")
    provider_sid: str | None
    in_reply_to: str | None
    responder: str | None
    tools_used: list[Any]
    processing_time_ms: float | None
    token_count: int | None
    metadata: dict[str, Any] = Field(description="Every parameter of Twilio's that has no field of its own.")
    created_at: Moment = Field(description="When it happened.")
    stored_at: Moment | None


class MessagePage(Page):
    """A page of messages."""

    items: list[Message]


class TranscriptQuery(PagedQuery):
    """Which messages of a session."""

    sort: Literal["-created_at", "created_at"] = Field("-created_at", description="Newest first, or oldest first.")
    after: Moment | None = Field(None, description="Only what happened after this moment.")


def _one_of_three(schema: dict[str, Any]) -> None:
    schema["anyOf"] = [{"required": [name]} for name in ("text", "media", "template")]
    template = schema["properties"]["template"]
    template |= next(kind for kind in template.pop("anyOf") if kind != {"type": "null"})
    del template["default"]


class SendBody(Body):
    """What is to be said: a text, files, or a template instead of both."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_one_of_three)

    text: Annotated[Text, StringConstraints(min_length=1, max_length=REPLY_LENGTH)] = Field(
        "", description="What is sent; a long text is sent in pieces.", examples=["Your parcel is on its way."]
    )
    media: list[Url] = Field(
        default_factory=list, min_length=1, max_length=10, description="Addresses that Twilio fetches files from."
    )
    template: Template | None = Field(None, description="Sent instead of the text; WhatsApp takes it at any time.")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.template is None and "template" in self.model_fields_set:
            raise ValueError("leave `template` out where there is none")
        if not (self.text or self.media or self.template):
            raise ValueError(
                "give a text, media or a template: a message says something, and a session begins with one"
            )
        return self


class SendToBody(SendBody):
    """What is to be said, and to whom."""

    channel_id: Annotated[Text, StringConstraints(min_length=1, max_length=200)] = Field(
        description="The channel it goes out on.", examples=["sms:+15017122661"]
    )
    to: Annotated[Text, StringConstraints(min_length=1, max_length=100)] = Field(
        description="A number with its country, or a WhatsApp user id.", examples=["+15558675310"]
    )


class NoteBody(Body):
    """A note for ourselves."""

    text: Annotated[Text, StringConstraints(min_length=1, max_length=NOTE_LENGTH)]


class SentMessage(BaseModel):
    """A message that was taken to be sent."""

    id: str
    status: str | None
    outbox: Waiting | None


class Sent(BaseModel):
    """What was taken to be sent."""

    session_id: str | None = Field(description="The session it is in; null where this key does not see that one.")
    messages: list[SentMessage] = Field(description="One for each piece of the text, in order.")
