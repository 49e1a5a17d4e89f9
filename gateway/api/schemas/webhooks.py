"""Webhooks out: programs that are told of events, and what became of each event on its way."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from gateway.api.schemas import Body, Moment, Page, PagedQuery, Path, Text, worded
from gateway.core.notifications import TYPES

EventType = Literal[*TYPES, "*"]  # type: ignore[valid-type]
_HOST = r"([A-Za-z0-9]([A-Za-z0-9.\-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])"
Url = Annotated[
    str,
    Field(
        max_length=2000,
        pattern=rf"^https?://{_HOST}(:[0-9]{{1,5}})?([/?][!-\"$-~]*)?$",
        description="Where events are posted to: https in production, without a login and without a #fragment.",
        examples=["https://crm.example.com/hooks/gateway"],
    ),
    worded("write an address without a login and a #fragment: https://crm.example.com/hooks"),
]
Events = Annotated[
    list[EventType],
    Field(min_length=1, max_length=20, description="What it is told of; `*` is everything, also what comes later."),
]
Description = Annotated[Text, Field(max_length=200, description="What it is for.")]
Since = Annotated[Moment, Field(description="From this moment on, by when messages were stored.")]


class WebhookPath(Path):
    """Which webhook."""

    webhook_id: str = Field(max_length=100)


class DeliveryPath(WebhookPath):
    """Which delivery of which webhook."""

    delivery_id: str = Field(max_length=100)


class DeliveriesQuery(PagedQuery):
    """Which deliveries."""

    status: Literal["waiting", "delivered", "failed", "canceled"] | None = None


class NewWebhookBody(Body):
    """A webhook to be made."""

    url: Url
    events: Events
    description: Description = ""
    active: bool = Field(True, description="Whether it is told of events from now on.")
    channels: list[Annotated[Text, Field(max_length=100)]] | None = Field(
        None, min_length=1, max_length=200, description="Tell it only of these channels; null is all the key knows of."
    )


class WebhookChangesBody(Body):
    """What is to be changed; what is left out, or null, stays."""

    url: Url | None = None
    events: Events | None = None
    description: Description | None = None
    active: bool | None = Field(None, description="Switched on again it is told of what comes from then on.")


class ReplayBody(Body):
    """What is to be told again."""

    since: Since
    until: Moment | None = Field(None, description="Up to before this moment; null is now.")
    events: Events | None = Field(None, description="Only these; null is what the webhook is told of anyway.")


class Webhook(BaseModel):
    """A program that is told of events."""

    id: str
    url: str = Field(description="In full for keys of scope admin; others see its host, since the rest may be a key.")
    description: str
    events: list[EventType]
    channels: list[str] | None = Field(description="The channels it is told of; null is all.")
    active: bool
    state: Literal["active", "failing", "paused", "disabled"] = Field(
        description="`paused` by somebody; `disabled` by the gateway, see `disabled_reason`."
    )
    disabled_reason: Literal["gone", "failing", "key_ended"] | None = Field(
        description="It answered 410; it failed for days; the key it was made with was revoked or has expired."
    )
    disabled_at: Moment | None
    created_at: Moment
    created_by: str
    old_secret_until: Moment | None = Field(description="Until then the secret before this one signs too.")
    last_success_at: Moment | None = Field(description="When it took an event last, within ten seconds.")
    last_failure_at: Moment | None
    last_error: str | None = Field(description="What was wrong last; null since it took an event again.")
    failures: int = Field(description="Tries that failed since it took an event last.")


class WebhookWithSecret(Webhook):
    """A webhook with its new secret, which is shown this once."""

    secret: str = Field(description="What events are signed with: the bytes of this text, `whsec_` included.")


class Webhooks(Page):
    """Webhooks, the newest first."""

    items: list[Webhook]


class Delivery(BaseModel):
    """An event on its way to a program."""

    id: str
    event_id: str
    event_type: str
    sequence: int = Field(description="Grows within a session.")
    created_at: Moment = Field(description="When the event happened.")
    session_id: str | None
    message_id: str | None
    status: Literal["waiting", "delivered", "failed", "canceled"]
    tries: int
    response_status: int | None = Field(description="What the last try was answered; null if it was not.")
    duration_ms: int | None = Field(description="How long the last try took.")
    error: str | None
    next_try_at: Moment | None = Field(description="When it is due; null if it is over.")
    queued_at: Moment
    finished_at: Moment | None


class Deliveries(Page):
    """Deliveries of a webhook, the newest first; those that are over are kept for a week."""

    items: list[Delivery]


class Queued(BaseModel):
    """A delivery that was queued."""

    delivery_id: str


class Replayed(BaseModel):
    """What was queued again."""

    queued: int = Field(description="How many events.")
    continue_from: Moment | None = Field(description="Ask again with this as `since` for the rest; null: that was all.")
