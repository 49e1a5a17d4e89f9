"""Which sessions: the filters of the list, which an export takes too."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from gateway.api.schemas import Moment, Query, Text

Status = Literal["active", "closed", "archived"]
Word = Annotated[Text, StringConstraints(max_length=200)]


def _said(given: Any) -> Any:
    if isinstance(given, str) and given not in ("true", "false"):
        raise ValueError("write true or false")
    return given


Flag = Annotated[bool, BeforeValidator(_said)]


class SessionFilters(Query):
    """Which sessions; what is left out chooses nothing."""

    type: Literal["sms", "whatsapp", "voice", "chat"] | None = None
    status: Status | None = None
    channel: Word = Field("", description="The id of a channel.")
    contact: Word = Field("", description="The id of a contact: their sessions on all channels.")
    number: Word = Field("", description="A number of the other side, or how it begins: `+1555867`.")
    since: Moment | None = Field(None, alias="from", description="Last message at this moment or later.")
    until: Moment | None = Field(None, alias="to", description="Last message before this moment.")
    q: Word = Field("", description="Words of a message, a title or a contact's name, or a number.")
    tag: Word = ""
    assigned: Word = Field("", description="Whose they are; `nobody` for those that are nobody's.")
    failed: Flag = Field(False, description="Only those with a message that failed.")
    needs_person: Flag = Field(False, description="Only those that wait for a person.")


class ExportQuery(SessionFilters):
    """Which sessions are exported; `session` is one by its id."""

    session: Annotated[str, Field(pattern=r"^([0-9a-f]{24})?$")] = Field("", description="One session, by its id.")
