"""What websites send and get of conversations."""

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from gateway.api.schemas import Body, Cursor, Limit, Moment, Page, Path, Query, worded

CONTEXT_BYTES, METADATA_BYTES = 16_384, 4096

# Neither white space nor what cannot be seen: whoever reads an id must be able to tell it from another.
_VISIBLE = r"[^\x00-\x20\x7f-\xa0\u2000-\u200f\u2028-\u202f\u2060-\u206f\u3000\ufeff\ufff0-\uffff]"

UserId = Annotated[
    str,
    Field(pattern=f"^{_VISIBLE}+$", max_length=128, description="The site's own id of its user."),
    worded("write an id without spaces and unseen characters"),
]
Email = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_{}~-]{1,64}@[A-Za-z0-9-]{1,60}(\.[A-Za-z0-9-]{1,60}){1,3}$",
        max_length=254,
        description="Proved where an API key says it; from others a claim, which operators see and nothing else.",
    ),
    worded("write an e-mail address: ada@example.com"),
]
Name = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=80, description="How the user is called.")]
Site = Annotated[
    str,
    Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", max_length=40, description="The chat site: its channel's name."),
    worded("write a site as a-z, 0-9 and -: web"),
]
Title = Annotated[
    str,
    Field(pattern=_VISIBLE + r"", max_length=200, description="What the conversation is called."),
    worded("write something that can be seen"),
]
ClientId = Annotated[
    str,
    Field(
        pattern=r"^[!-~]+$",
        max_length=128,
        description="The page's own id of the message, unique for its user: the same again is the same message.",
    ),
    worded("write an id of visible ASCII characters, without spaces"),
]
Content = Annotated[
    str,
    Field(pattern=r"^[^\x00]*" + _VISIBLE + r"[^\x00]*$", max_length=8192),
    worded("write something that can be seen, without NUL"),
]
SessionName = Annotated[str, Field(min_length=1, max_length=64, description="A session's id, or any word for none.")]
# What a page has seen: a cursor, or a message's id.
Place = Annotated[str, Field(max_length=200)]


def _no_text(given: Any) -> Any:
    if isinstance(given, str):
        raise ValueError("must be a number")
    return given


def _at_most(limit: int) -> AfterValidator:
    def check(given: dict[str, Any]) -> dict[str, Any]:
        if len(json.dumps(given)) > limit:
            raise ValueError(f"is longer than {limit:,} bytes as JSON")
        return given

    return AfterValidator(check)


Context = Annotated[dict[str, Any], _at_most(CONTEXT_BYTES), Field(description="Up to 16 kB of JSON of your own.")]
Metadata = Annotated[dict[str, Any], _at_most(METADATA_BYTES), Field(description="Up to 4 kB of JSON of your own.")]


class ChatSessionPath(Path):
    """Which session."""

    session_id: SessionName


class WhoQuery(Query):
    """Whom an API key speaks for; a token says it itself."""

    user_id: UserId | None = None
    email: Email | None = None
    channel: Site | None = None


class ChatSessionsQuery(WhoQuery):
    """A page of somebody's sessions."""

    cursor: Cursor = ""
    limit: Limit = 50


class ChatMessagesQuery(WhoQuery):
    """What was said since."""

    after: Place = ""
    wait: Annotated[float, Field(ge=0, le=25, description="Wait so many seconds for something to be said.")] = 0
    limit: Limit = 50


class HistoryQuery(WhoQuery):
    """What was said before."""

    before: Place = ""
    limit: Limit = 50


class SayQuery(Query):
    """How long an answer is waited for."""

    wait: Annotated[float | None, Field(ge=0, le=25, description="Seconds; `chat.wait_seconds` unless given.")] = None


class WhoBody(Body):
    """Whom an API key speaks for; a token says it itself."""

    user_id: UserId | None = None
    email: Email | None = None
    name: Name | None = None
    channel: Site | None = None


class OpenBody(WhoBody):
    """A conversation to begin, or to go on with."""

    session_name: Title | None = None
    context: Context = Field(default_factory=dict)
    new: bool = Field(False, strict=True, description="Begin another one whatever is open.")


class ChangeBody(WhoBody):
    """What a conversation is to be; what is left out stays."""

    session_name: Title | None = None
    context: Context | None = None
    is_active: Annotated[bool, Field(strict=True)] | None = None


class SayBody(WhoBody):
    """What a user says."""

    content: Content
    message_type: Literal["user"] = "user"
    id: ClientId | None = None
    metadata: Metadata = Field(default_factory=dict)


class ChatMessageBody(SayBody):
    """What a user says, with the session in the body."""

    session_id: SessionName | None = None


class VisitBody(Body):
    """A page that wants a token for its visitor."""

    key: Annotated[str, Field(max_length=100, description="The site's publishable key, `pk_...`.")]


class TokenBody(Body):
    """A user whom a token is for."""

    user_id: UserId
    email: Email | None = None
    name: Name | None = None
    channel: Site = "web"
    ttl: Annotated[int, Field(ge=60, le=2_592_000, description="Seconds."), BeforeValidator(_no_text)] = 3600


class ChatToken(BaseModel):
    """A token for one user of one site."""

    token: str
    user_id: str
    channel: str
    expires_at: Moment


class ChatMessage(BaseModel):
    """One message."""

    id: str
    content: str
    message_type: Literal["user", "assistant"]
    user_id: str
    metadata: dict[str, Any] = Field(description="`sender`, `status`, and what else is known; yours as `client`.")
    created_at: Moment


class ChatSession(BaseModel):
    """One conversation."""

    id: str
    user_id: str
    session_name: str
    is_active: bool
    context: dict[str, Any]
    messages: list[ChatMessage]
    message_count: int
    last_message_at: Moment
    created_at: Moment
    updated_at: Moment


State = Annotated[Literal["restored", "reused", "expired", "created"], Field(description="How the session was found.")]


class OneSession(ChatSession):
    """One conversation, with its newest messages."""

    earlier: str | None = Field(None, description="`before` for what was said earlier; null where nothing was.")
    pending: bool = Field(description="An answer is being made.")


class OpenedSession(ChatSession):
    """A conversation, and how it was found."""

    session_state: State


class ChatSessions(Page):
    """Somebody's conversations, the newest first."""

    items: list[ChatSession]


class ChatHistory(Page):
    """What was said over all sessions of somebody, oldest first."""

    items: list[ChatMessage]


class News(BaseModel):
    """What was said since, oldest first."""

    items: list[ChatMessage]
    cursor: str = Field(description="Give it as `after` the next time.")
    pending: bool = Field(description="An answer is being made.")
    continued_in: str | None = Field(None, description="Their newer session, where this one is over.")


class Answered(ChatMessage):
    """The answer to what was said."""

    session_id: str
    session_state: State
    in_reply_to: str
    user_message: ChatMessage


class Unanswered(BaseModel):
    """What was said is stored, and there is no answer yet."""

    session_id: str | None
    session_state: State | None
    reply: Literal["pending", "none", "kept"]
    user_message: ChatMessage | None
