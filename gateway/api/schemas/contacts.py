"""What the API takes and gives of contacts."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from gateway.api.schemas import Body, Moment, Page, PagedQuery, Path, Text, worded
from gateway.core.emails import PATTERN

_EACH = 50

Phone = Annotated[
    str,
    StringConstraints(pattern=r"^\+[1-9][0-9]{6,14}$"),
    Field(examples=["+15558675310"], description="E.164."),
    worded("write a number with its country: +15558675310"),
]
Email = Annotated[
    str,
    StringConstraints(pattern=f"^ *{PATTERN} *$", max_length=254),
    Field(examples=["ada@example.com"], description="Kept trimmed, in lower case."),
    worded("write an e-mail address: ada@example.com"),
]
ExternalId = Annotated[
    str,
    StringConstraints(pattern=r"^[^\x00-\x20\x7f]([^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?$", max_length=200),
    Field(examples=["US.13491208655302741918"], description="A WhatsApp user id, a web chat's user id."),
    worded("write an id without spaces around it and unseen characters"),
]
Name = Annotated[Text, StringConstraints(max_length=200), Field(description="Empty is none.")]


class ContactPath(Path):
    """Which contact."""

    contact_id: str = Field(description="The id of a contact; of one that was merged, it leads to the one it is in.")


class OptOutPath(ContactPath):
    """Which contact, and which line of ours."""

    line: str = Field(description="One of our numbers, a messaging service (`MG...`), or `all`.")


class ClaimPath(ContactPath):
    """Which contact, and what they say of themselves."""

    claim_id: str = Field(description="The `id` of one of the contact's `claims`.")


class ContactsQuery(PagedQuery):
    """Which contacts."""

    q: Annotated[
        Text,
        Field(
            max_length=200,
            description="The beginning of a number, an e-mail address, an external id, or words of the name.",
        ),
    ] = ""
    cursor: Annotated[str, Field(pattern="^([0-9a-f]{24})?$", description="`next_cursor` of the page before.")] = ""


class ContactQuery(PagedQuery):
    """Which of a contact's sessions."""

    cursor: Annotated[
        str, Field(pattern=r"^([0-9]{1,14}\.[0-9a-f]{24})?$", description="`next_cursor` of the page before.")
    ] = ""


class ContactMessagesQuery(PagedQuery):
    """Which of a contact's messages."""

    cursor: Annotated[
        str, Field(pattern=r"^([0-9]{1,14}\.[01]\.[!-~]{1,150})?$", description="`next_cursor` of the page before.")
    ] = ""


class NewContactBody(Body):
    """A contact to be made."""

    name: Name = ""
    phones: list[Phone] = Field([], max_length=_EACH)
    emails: list[Email] = Field([], max_length=_EACH)
    external_ids: list[ExternalId] = Field([], max_length=_EACH)


class ContactBody(Body):
    """What of a contact changes; what is left out stays. A list is all there is to be, not what is added."""

    name: Name | None = None
    phones: list[Phone] | None = Field(None, max_length=_EACH)
    emails: list[Email] | None = Field(None, max_length=_EACH)
    external_ids: list[ExternalId] | None = Field(None, max_length=_EACH)


class MergeBody(Body):
    """Whom to merge a contact with."""

    model_config = ConfigDict(populate_by_name=True)

    other: Annotated[
        Text, Field(alias="with", max_length=100, description="The id of the other contact, which will be this one.")
    ]


class OptOut(BaseModel):
    """A line that a contact wants nothing from."""

    line: str = Field(description="One of our numbers, or a messaging service.")
    at: Moment | None = Field(description="When they said so.")


class Merged(BaseModel):
    """A contact that was merged into this one, and can be taken out again."""

    contact_id: str
    by: str = Field(description="Who did it; `gateway` where it turned out by itself.")
    at: Moment
    reason: str = Field(
        description="`seen_together`, `email_proved`, `same_number`, `identifier_added`, `claim_confirmed` or "
        "`claim_trusted`; empty where somebody just merged them."
    )


class Claim(BaseModel):
    """What a contact says of themselves, which nobody proved: it leads to no history until it is confirmed."""

    id: str
    field: str = Field(description="`name`, `email` or `phone`.")
    value: str
    at: Moment
    source: str = Field(description="Where they said it: `chat`, or the flow that asked.")
    session_id: str | None
    merges_with: str | None = Field(
        description="The contact that has it already: confirming makes the two one person. Null for nobody, and for "
        "a key that is limited to channels."
    )


class ContactCrm(BaseModel):
    """How a contact stands with the CRM of the settings."""

    provider: str = Field(examples=["hubspot"])
    status: str = Field(description="`never`, `synced`, `retrying`, `failed`, or `skipped` where nothing names them.")
    contact_id: str | None = Field(description="Their id there.")
    url: str | None = Field(description="Where people look at them there.")
    last_sync_at: Moment | None
    reason: str | None = Field(description="Why the last try did not succeed, in words, with the remedy.")
    failed_at: Moment | None
    next_at: Moment | None = Field(description="When that is tried again by itself.")
    notes: list[str] = Field(description="What was left out there, such as a merge it refused.")


class Contact(BaseModel):
    """A person: everything that is known of all contacts that were merged."""

    id: str
    name: str
    phones: list[str]
    emails: list[str]
    external_ids: list[str]
    opted_out: list[OptOut] = Field(description="What they said STOP to: nothing is sent to them from there.")
    merged: list[Merged] = Field(description="Newest first. Empty for a key that is limited to channels.")
    claims: list[Claim] = Field(description="Newest first; those nobody confirmed or dismissed.")
    crm: ContactCrm | None = Field(description="Null without a CRM.")
    created_at: Moment


class ContactPage(Page):
    """Contacts, the newest first."""

    items: list[Contact]


class ContactSession(BaseModel):
    """A session as its contact lists it."""

    id: str
    channel_id: str | None
    communication_type: str | None
    title: str | None
    status: str | None
    closed_reason: str | None
    message_count: int
    first_message_at: Moment | None
    last_message_at: Moment | None


class ContactSessionPage(Page):
    """A contact's sessions, the newest first."""

    items: list[ContactSession]


class ContactWithSessions(Contact):
    """A contact with their sessions over all channels, as far as the key may see them."""

    sessions: ContactSessionPage = Field(description="Give its `next_cursor` as `cursor` for more of them.")


class ContactMedia(BaseModel):
    """A file of a message."""

    content_type: str | None


class ContactMessage(BaseModel):
    """A message as a contact's history tells it."""

    id: str
    session_id: str
    channel_id: str | None
    communication_type: str | None
    direction: str | None
    sender: str | None = Field(description="`contact`, `ai`, `agent` or `system`.")
    content: str | None
    media: list[ContactMedia]
    status: str | None = Field(description="The delivery status of what was sent.")
    private: bool = Field(description="A note of ours, which nobody outside was sent.")
    created_at: Moment


class ContactMessagePage(Page):
    """One history over all sessions and channels, the newest message first."""

    items: list[ContactMessage]


class Unmerged(BaseModel):
    """Two contacts that were one."""

    contact: Contact
    unmerged: Contact


class OptOuts(BaseModel):
    """What a contact is out of now."""

    opted_out: list[OptOut]


class Forgetting(BaseModel):
    """A contact that a worker is about to forget."""

    id: str
    status: str = Field("forgetting", description="Everything about them is erased within a minute, mostly.")


class CrmSync(BaseModel):
    """A synchronisation that was asked for."""

    contact_id: str
    due: Moment = Field(description="When a worker does it: now, or as soon as `crm.min_interval_seconds` allows.")
