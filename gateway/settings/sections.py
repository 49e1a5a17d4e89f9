"""The groups of settings, each refusing names and values it does not know."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic_settings import NoDecode

from gateway.core import identifiers
from gateway.core.participant import EMAIL, address
from gateway.settings.values import (
    AccountTokens,
    ApiDate,
    BaseUrl,
    BrokerUrl,
    ContentSid,
    HookUrl,
    Hours,
    IdleMs,
    Mailbox,
    Networks,
    Number,
    ServiceSid,
    SharedKeys,
    Signatures,
    TimeOfDay,
    Timezone,
    Weekday,
    Words,
    split,
)

# What gunicorn gives each process (config/gunicorn.conf.py); streams to browsers take a share of them.
WEB_THREADS = 64


class Section(BaseModel):
    """A group of settings that refuses names it does not know."""

    model_config = ConfigDict(extra="forbid")


class Sessions(Section):
    """The session finder's policy."""

    idle_seconds: IdleMs = 300_000
    idle_seconds_by_type: dict[Literal["sms", "whatsapp", "voice", "chat"], IdleMs] = {}
    scope: Literal["channel", "contact"] = "channel"
    anchor: Literal["any", "inbound"] = "any"
    carry_over: Literal["none", "flow", "all"] = "flow"
    new_words: Words = []
    new_text: str = "This is a new conversation. How can we help you?"


class ReplySettings(Section):
    """Who answers, when, and when nobody does."""

    responder: str = "none"
    debounce_seconds: float = Field(2, ge=0, le=60)
    timezone: Timezone = "UTC"
    hourly_limit: int = Field(60, ge=0)
    blocklist: Words = []
    hours: dict[Weekday, list[Hours]] = {}
    out_of_hours_text: str = "We are closed right now and will answer when we are back."
    history: Literal["session", "contact"] = "session"
    history_days: int = Field(30, ge=1, le=3650)
    apology: str = "Sorry, something went wrong on our side. Please try again in a moment."
    outage_text: str = ""
    max_age_seconds: float = Field(600, ge=0)
    whatsapp_opt_out: bool = True


class CannedRule(Section):
    """A text for messages that hold one of the words, or come between two times of day."""

    text: str
    words: list[str] = []
    start: TimeOfDay | None = None
    end: TimeOfDay | None = None


class Canned(Section):
    """The texts of the `canned` responder; the first rule that fits wins."""

    default: str = ""
    rules: list[CannedRule] = []


class Voice(Section):
    """What callers hear, and what a call is for: a conversation, a voicemail or somebody's telephone."""

    mode: Literal["converse", "voicemail", "dial"] = "converse"
    greeting: str = "Hello. How can we help you?"
    outage_prompt: str = "Sorry, we cannot take your call properly right now. Please leave a message after the tone."
    silence: str = "Are you still there?"
    goodbye: str = "Thank you for calling. Goodbye."
    language: str = "en-US"
    voice: str = "alice"
    filler: str = "One moment, please."
    wait_seconds: int = Field(20, ge=1, le=300)
    max_turns: int = Field(50, ge=1)
    max_minutes: int = Field(30, ge=1, le=240)
    voicemail_prompt: str = "Please leave a message after the tone."
    voicemail_thanks: str = "Thank you. We will get back to you. Goodbye."
    voicemail_seconds: int = Field(120, ge=1, le=3600)
    transcribe: bool = True
    dial_to: Number = ""
    dial_seconds: int = Field(20, ge=5, le=600)
    text_back: str = ""


class Twilio(Section):
    """Who may sign webhooks beside the main account, and how messages are sent."""

    accounts: AccountTokens = {}
    shared_keys: SharedKeys = {}
    signatures: Signatures = "enforce"
    api_base_url: BaseUrl = ""
    timeout_seconds: float = Field(10, gt=0, le=60)
    segments_per_second: float = Field(1, gt=0)
    messaging_service_sid: ServiceSid = ""
    content_sid: ContentSid = ""


class Outbox(Section):
    """How the worker goes about replies and downloads. A lease must outlast a request to Twilio."""

    lease_seconds: float = Field(60, gt=0)
    lookup_seconds: float = Field(30, ge=0)
    concurrency: int = Field(16, ge=1, le=256)
    max_tries: int = Field(12, ge=1)


class MediaSettings(Section):
    """What becomes of files that people send."""

    keep: Literal["gridfs", "twilio"] = "gridfs"
    max_bytes: int = Field(20_000_000, ge=1)
    types: Words = ["image/*", "audio/*", "video/*", "text/vcard", "text/x-vcard", "text/plain", "application/*"]
    delete_at_twilio: bool = False


class Retention(Section):
    """How long conversations are kept; 0 days is for ever. What somebody deleted can be restored for `deleted_days`."""

    days: int = Field(0, ge=0, le=36_500)
    deleted_days: int = Field(30, ge=0, le=36_500)
    redact_at_twilio: bool = False


class Imports(Section):
    """Files that are uploaded to be imported."""

    max_bytes: int = Field(200_000_000, ge=1000)


class Inspector(Section):
    """What the webhook inspector keeps: every refused request, and this share of the others."""

    enabled: bool = True
    sample_rate: float = Field(0.02, ge=0, le=1)
    keep_hours: float = Field(24, gt=0, le=720)
    redact: bool = True


class Spool(Section):
    """Where events wait while MongoDB is away, and how much of them at most."""

    dir: Path | None = None
    max_bytes: int = Field(1_000_000_000, ge=1_000_000)


class Backfill(Section):
    """How often the worker compares with Twilio's log (0: never), and how far back it looks again each time."""

    every_minutes: int = Field(0, ge=0, le=10_080)
    overlap_minutes: int = Field(60, ge=5, le=10_080)


class Broker(Section):
    """What hurries replies along; empty is the outbox alone."""

    url: BrokerUrl = ""


class Llm(Section):
    """An OpenAI-compatible endpoint. `history` counts earlier messages of the session; budgets are in tokens."""

    base_url: BaseUrl = ""
    model: str = ""
    api_key: SecretStr = SecretStr("")
    system_prompt: str = ""
    history: int = Field(20, ge=0, le=500)
    prompt_tokens: int = Field(6000, ge=100)
    answer_tokens: int = Field(500, ge=1)
    timeout_seconds: float = Field(30, gt=0, le=300)


class FlowSettings(Section):
    """Where the flows are, who answers beside them, what their requests are signed with, and which calls are missed.

    Without a folder of its own they are in `flows` beside the other configuration. `otherwise` is the responder where
    that is `flow`, no flow runs, and none begins.
    """

    folder: Path | None = None
    otherwise: str = "none"
    secret: SecretStr = SecretStr("")
    missed_calls: Annotated[
        list[Literal["dial", "failed", "voicemail", "silent"]], NoDecode, BeforeValidator(split)
    ] = ["dial", "failed"]


class HttpBot(Section):
    """The user's own bot."""

    url: HookUrl = ""
    secret: SecretStr = SecretStr("")
    history: int = Field(20, ge=0, le=500)
    timeout_seconds: float = Field(10, gt=0, le=300)
    tries: int = Field(3, ge=1, le=10)


def _identifier(value: str) -> str:
    form = identifiers.read(value)
    if not form.startswith(EMAIL) and (address(form).number is None or not form.startswith("+")):
        raise ValueError(f"{value!r} is no number and no e-mail address: write +15558675310 or office@example.com")
    return form


Identifiers = Annotated[list[Annotated[str, AfterValidator(_identifier)]], NoDecode, BeforeValidator(split)]


class Contacts(Section):
    """Who is one person: what many people write by, and whether what somebody says of themselves is believed."""

    shared: Identifiers = []
    trust_claims: bool = False


class Crm(Section):
    """Where contacts and conversations are synchronised to, and how often. A provider has a row in clients.crm."""

    provider: Literal["", "hubspot"] = ""
    access_token: SecretStr = SecretStr("")
    base_url: BaseUrl = ""
    version: ApiDate = "2026-09"
    min_interval_seconds: float = Field(60, ge=0, le=24 * 3600)
    timeout_seconds: float = Field(15, gt=0, le=60)


class Alerts(Section):
    """Who is told when somebody asks for a person: a webhook, a mailbox, or both."""

    webhook_url: HookUrl = ""
    webhook_secret: SecretStr = SecretStr("")
    email_to: Words = []
    email_from: Mailbox = ""
    smtp_host: str = ""
    smtp_port: int = Field(587, ge=1, le=65535)
    smtp_user: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_tls: Literal["starttls", "ssl", "none"] = "starttls"


class Events(Section):
    """How programs are told of events. In production only public addresses are, and these private networks."""

    private_networks: Networks = []
    timeout_seconds: float = Field(10, gt=0, le=15)
    concurrency: int = Field(32, ge=1, le=256)
    retry_hours: float = Field(72, gt=0, le=24 * 7)
    disable_after_days: float = Field(5, gt=0, le=90)


class Admin(Section):
    """The first operator, `admin`, and how long a login lasts."""

    password: SecretStr = SecretStr("")
    session_hours: float = Field(12, gt=0, le=24 * 30)


def _origin(value: str) -> str:
    if not re.fullmatch(r"https?://[a-z0-9.-]+(:\d{1,5})?", value):
        raise ValueError(f"{value!r} is no origin: write https://www.example.com, without a path or a star")
    return value


Origins = Annotated[list[Annotated[str, AfterValidator(_origin)]], NoDecode, BeforeValidator(split)]


class Chat(Section):
    """Conversations from websites: whose pages may call, and how long an answer is waited for."""

    wait_seconds: float = Field(20, ge=0, le=60)
    origins: Origins = []
    legacy_auth: bool = False
    requests_per_minute: int = Field(120, ge=1, le=1_000_000)


class Api(Section):
    """How often an API key may ask."""

    requests_per_minute: int = Field(600, ge=1, le=1_000_000)


class Log(Section):
    """What log lines look like."""

    format: Literal["console", "json"] = "json"
    redact: bool = True
