"""Sessions: what is read of one, how they are listed, and what can be changed."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, JsonValue, StringConstraints

from gateway.api.schemas import Body, Moment, Page, PagedQuery, Path, Query, Text
from gateway.api.schemas.filters import SessionFilters, Status, Word
from gateway.api.schemas.flows import SessionFlow
from gateway.api.schemas.messages import MessagePage
from gateway.conversation.operators import TAG_LENGTH, TITLE_LENGTH

Type = Literal["sms", "whatsapp", "voice", "chat"]
Tag = Annotated[Text, StringConstraints(min_length=1, max_length=TAG_LENGTH)]


class SessionListQuery(PagedQuery, SessionFilters):
    """A page of sessions; what is left out chooses nothing."""

    sort: Literal["-last_message_at", "last_message_at"] = Field(
        "-last_message_at", description="By the last message, newest or oldest first."
    )


class SessionQuery(Query):
    """What of a session."""

    messages: Annotated[int, Field(ge=0, le=200)] = Field(0, description="So many of its newest messages with it.")


class RegroupingPath(Path):
    """A split or merge."""

    regrouping_id: str


class NeedsPerson(BaseModel):
    """Why a session waits for a person."""

    reason: str
    at: Moment


class Session(BaseModel):
    """A conversation."""

    id: str
    channel_id: str
    communication_type: str = Field(description="`sms`, `whatsapp`, `voice` or `chat`.")
    title: str
    status: str = Field(description="`active`, `closed` or `archived`.")
    number: str | None = Field(description="The other side's number; null where there is none.")
    line: str | None = Field(description="Our number.")
    contact_id: str | None
    message_count: int
    first_message_at: Moment | None
    last_message_at: Moment | None
    last_inbound_at: Moment | None
    previous_session_id: str | None
    closed_reason: str | None = Field(description="`idle`, `operator`, `merged`, ...")
    closed_at: Moment | None
    tags: list[str]
    assigned_to: str | None
    needs_person: NeedsPerson | None
    bot_off: bool = Field(description="A person answers, and nothing is answered automatically.")
    has_failed: bool = Field(description="A message of it failed.")
    metadata: dict[str, Any]
    created_at: Moment | None
    updated_at: Moment | None


class WholeSession(Session):
    """A conversation with what programs keep in it."""

    context: dict[str, Any] = Field(description="What programs keep here: 16 kB at most, with what a flow does.")
    flow: SessionFlow | None = Field(description="The flow that is under way, or was the last one; null for none.")
    messages: MessagePage | None = Field(None, description="The newest messages, where they are asked for.")


class SessionPage(Page):
    """A page of sessions."""

    items: list[Session]
    more_matches: bool = Field(False, description="`q` matched more than were looked at: add a word.")


class SessionBody(Body):
    """What is to be changed; what is left out stays as it is."""

    title: Annotated[Text, StringConstraints(min_length=1, max_length=TITLE_LENGTH)] | None = None
    status: Status | None = Field(
        None, description="`closed` closes for good, `active` reopens, `archived` puts it away, closed for good."
    )
    tags: Annotated[list[Tag], Field(max_length=50)] | None = Field(None, description="All its tags from now on.")
    context: dict[str, JsonValue] | None = Field(
        None, description="Its whole context, 16 kB at most; what a flow keeps under `flow` stays as it is."
    )


class SplitBody(Body):
    """Where a session is split."""

    message_id: Word = Field(description="The inbound message that the new session begins with.")


class AssignBody(Body):
    """Whose a session is to be."""

    to: Word | None = Field(description="The name of somebody of the console who may see it; null for nobody.")


class RolloverBody(Body):
    """Whose next message is to begin a new session."""

    channel_id: Annotated[Word, StringConstraints(min_length=1)] = Field(examples=["sms:+15017122661"])
    number: Annotated[Text, StringConstraints(min_length=1, max_length=100)] = Field(
        description="Their number; in a chat, their user id.", examples=["+15558675310"]
    )


class RolledOver(BaseModel):
    """What was closed, so that the next message begins a new session."""

    closed: list[str] = Field(description="Ids of sessions; none where nothing was open.")


class Regrouping(BaseModel):
    """A session split in two, or two merged into one."""

    id: str
    kind: Literal["split", "merge"]
    state: str = Field(description="`done` or `undone`; `doing` and `undoing` end by themselves.")
    earlier_session_id: str
    later_session_id: str
    message_id: str | None = Field(description="Where it was split.")
    by: str
    at: Moment
    undone_by: str | None
    undone_at: Moment | None
