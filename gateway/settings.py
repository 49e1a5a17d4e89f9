"""Every setting: defaults, then config/base.toml, config/<environment>.toml, then the process environment.

A setting `a.b` is the variable GATEWAY_A__B; those that hosts and Twilio users know by another name keep it
(PORT, MONGODB_URI, TWILIO_AUTH_TOKEN ...). Anything wrong or unknown stops the start with one line.
"""

import difflib
import ipaddress
import json
import math
import os
import secrets
import tomllib
import zoneinfo
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from gateway.core.errors import ConfigError

CONFIG_DIR = Path(__file__).resolve().parent.parent / "config"

# Thirty years; beyond that dates run out before thresholds do.
LONGEST_SECONDS = 1_000_000_000

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


def idle_ms(value: object) -> int | None:
    """Read an idle threshold in seconds as whole milliseconds; "never" and null never roll over.

    The one reader for settings and channel documents. ValueError says what is wrong with the value.
    """
    if value is None or (isinstance(value, str) and value.strip().lower() in {"never", "null"}):
        return None
    if isinstance(value, bool):
        raise ValueError("must be a number of seconds or 'never'")
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ValueError("must be a number of seconds, 0 or more, or 'never'") from None
    if not math.isfinite(number) or number < 0:
        raise ValueError("must be 0 or more seconds, or 'never'")
    if number > LONGEST_SECONDS:
        raise ValueError(f"must be at most {LONGEST_SECONDS} seconds; use 'never' for no threshold")
    return round(number * 1000)


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _networks(value: object) -> object:
    parts = _split(value)
    return [ipaddress.ip_network(part) for part in parts] if isinstance(parts, list) else parts


IdleMs = Annotated[int | None, BeforeValidator(idle_ms)]
Secrets = Annotated[list[SecretStr], NoDecode, BeforeValidator(_split)]
Networks = Annotated[list[IPNetwork], NoDecode, BeforeValidator(_networks)]


def _timezone(value: str) -> str:
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        raise ValueError("must be an IANA time zone such as Europe/Berlin") from None
    return value


def _known_as(name: str) -> AliasChoices:
    return AliasChoices(name, name.lower())


class Section(BaseModel):
    """A group of settings that refuses names it does not know."""

    model_config = ConfigDict(extra="forbid")


class Sessions(Section):
    """The session finder's policy."""

    idle_seconds: IdleMs = 300_000
    idle_seconds_by_type: dict[Literal["sms", "whatsapp", "voice", "chat"], IdleMs] = {}
    scope: Literal["channel", "contact"] = "channel"
    anchor: Literal["any", "inbound"] = "any"


class ReplySettings(Section):
    """Who answers, and how."""

    responder: str = "none"
    debounce_seconds: float = Field(2, ge=0)
    timezone: Annotated[str, BeforeValidator(_timezone)] = "UTC"
    hourly_limit: int = Field(60, ge=0)
    whatsapp_opt_out: bool = True


class CannedRule(Section):
    """A text for messages that hold one of the words, or come between two times of day."""

    text: str
    words: list[str] = []
    start: str | None = Field(None, pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    end: str | None = Field(None, pattern=r"^([01]\d|2[0-3]):[0-5]\d$")


class Canned(Section):
    """The texts of the `canned` responder; the first rule that fits wins."""

    default: str = ""
    rules: list[CannedRule] = []


class Voice(Section):
    """What callers hear."""

    greeting: str = "Hello. How can we help you?"
    silence: str = "Are you still there?"
    goodbye: str = "Thank you for calling. Goodbye."
    language: str = "en-US"
    voice: str = "alice"


class Twilio(Section):
    """Who may sign webhooks, beside the main account."""

    accounts: dict[str, list[SecretStr]] = {}
    shared_keys: dict[str, SecretStr] = {}
    signatures: str = Field("enforce", pattern=r"^(enforce|observe|observe[ ,]+observe)$")
    api_base_url: str = ""


class Spool(Section):
    """Where events wait while MongoDB is away."""

    dir: Path | None = None


class Broker(Section):
    """What hurries replies along; empty is the outbox alone."""

    url: str = Field("", pattern=r"^$|^(redis|rediss|amqp|amqps)://")


class Llm(Section):
    """An OpenAI-compatible endpoint."""

    base_url: str = ""
    model: str = ""
    api_key: SecretStr = SecretStr("")
    system_prompt: str = ""


class HttpBot(Section):
    """The user's own bot."""

    url: str = ""
    secret: SecretStr = SecretStr("")


class Crm(Section):
    """Where contacts are synchronised to."""

    provider: Literal["", "hubspot"] = ""
    access_token: SecretStr = SecretStr("")
    base_url: str = ""


class Admin(Section):
    """The first operator, `admin`."""

    password: SecretStr = SecretStr("")


class Log(Section):
    """What log lines look like."""

    format: Literal["console", "json"] = "json"
    redact: bool = True


class Settings(BaseSettings):
    """All settings of one process. Build it with `load`."""

    model_config = SettingsConfigDict(
        env_prefix="GATEWAY_",
        env_nested_delimiter="__",
        extra="forbid",
        nested_model_default_partial_update=True,
    )

    env: Literal["development", "production", "test"] = "production"
    data_dir: Path = Path(".data")
    port: int = Field(8080, ge=1, le=65535, validation_alias=_known_as("PORT"))
    public_url: str = Field("", pattern=r"^$|^https?://[^\s#?]+$", validation_alias=_known_as("PUBLIC_URL"))
    mongodb_uri: str = Field("", pattern=r"^$|^mongodb(\+srv)?://", validation_alias=_known_as("MONGODB_URI"))
    twilio_account_sid: str = Field(
        "", pattern=r"^$|^AC[0-9a-zA-Z]+$", validation_alias=_known_as("TWILIO_ACCOUNT_SID")
    )
    twilio_auth_token: Secrets = Field([], validation_alias=_known_as("TWILIO_AUTH_TOKEN"))
    secret_key: SecretStr = Field(SecretStr(""), validation_alias=_known_as("SECRET_KEY"))
    web_concurrency: int = Field(2, ge=1, le=256, validation_alias=_known_as("WEB_CONCURRENCY"))
    trusted_proxies: Networks = Field([], validation_alias=_known_as("TRUSTED_PROXIES"))

    sessions: Sessions = Sessions()
    reply: ReplySettings = ReplySettings()
    canned: Canned = Canned()
    voice: Voice = Voice()
    twilio: Twilio = Twilio()
    spool: Spool = Spool()
    broker: Broker = Broker()
    llm: Llm = Llm()
    http_bot: HttpBot = HttpBot()
    crm: Crm = Crm()
    admin: Admin = Admin()
    log: Log = Log()

    @property
    def is_development(self) -> bool:
        """Tell whether the conveniences of development (and its dangers) are allowed."""
        return self.env == "development"

    @property
    def spool_dir(self) -> Path:
        """Give the spool's folder."""
        return self.spool.dir or self.data_dir / "spool"

    @property
    def observes_signatures(self) -> bool:
        """Tell whether unverifiable requests are let in and only logged."""
        return self.twilio.signatures != "enforce"

    def idle_ms_for(self, communication_type: str) -> int | None:
        """Give the threshold of a channel type where the channel itself names none; None never rolls over."""
        by_type = {str(name): threshold for name, threshold in self.sessions.idle_seconds_by_type.items()}
        return by_type.get(communication_type, self.sessions.idle_seconds)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the two TOML files below the environment."""
        env = init_settings().get("env") or os.environ.get("GATEWAY_ENV") or cls.model_fields["env"].default
        files = [CONFIG_DIR / "base.toml", CONFIG_DIR / f"{env}.toml"]
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, files, deep_merge=True)


def load(**overrides: Any) -> Settings:
    """Read all settings; ConfigError names the first one that is wrong, its value and the remedy."""
    _refuse_unknown_variables(os.environ)
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        raise ConfigError(_one_line(error)) from None
    except SettingsError as error:
        raise ConfigError(_bad_json(os.environ) or str(error)) from None
    except ValueError as error:  # tomllib's errors: they name line and column
        raise ConfigError(f"{_broken_file()} is no valid TOML: {error}. Correct it.") from None
    _refuse_dangerous(settings)
    return _with_development_secrets(settings) if settings.is_development else settings


def _variable(location: tuple[int | str, ...]) -> str:
    names = [str(part) for part in location]
    if names[0].isupper():
        return names[0]
    return "GATEWAY_" + "__".join(name.upper() for name in names)


def _broken_file() -> Path:
    for path in sorted(CONFIG_DIR.glob("*.toml")):
        try:
            tomllib.loads(path.read_text())
        except ValueError:
            return path
    return CONFIG_DIR


def _one_line(error: ValidationError) -> str:
    first = error.errors()[0]
    name = _variable(first["loc"])
    if first["type"] == "extra_forbidden":
        return f"{name} is not a setting of the gateway. Remove it, or see the settings table in README.md."
    shown = "(hidden)" if _is_secret(name, first["input"]) else repr(first["input"])
    reason = first["msg"].removeprefix("Value error, ")
    return f"{name} = {shown}: {reason}. Correct it; the settings table in README.md lists what is allowed."


def _is_secret(name: str, value: object) -> bool:
    """Tell whether a value must not be shown: a secret by its name, or a URL with a password in it."""
    return "@" in str(value) or any(word in name for word in ("TOKEN", "SECRET", "PASSWORD", "KEY", "ACCOUNTS", "URI"))


def _refuse_unknown_variables(environ: Mapping[str, str]) -> None:
    known = {
        f"GATEWAY_{name.upper()}": field.annotation
        for name, field in Settings.model_fields.items()
        if field.validation_alias is None
    }
    elsewhere = [name.upper() for name, field in Settings.model_fields.items() if field.validation_alias]
    for name in environ:
        if not name.startswith("GATEWAY_"):
            continue
        top, *rest = name.split("__")
        too_deep = len(rest) > 1 and not _is_mapping(known.get(top), rest[0])
        if top in known and not too_deep:
            continue
        near = [other for other in elsewhere if other == top.removeprefix("GATEWAY_")]
        near = near or difflib.get_close_matches(top, known, n=1)
        hint = f" Did you mean {near[0]}?" if near and not too_deep else ""
        raise ConfigError(f"{name} is not a setting of the gateway.{hint} See the settings table in README.md.")


def _is_mapping(section: Any, name: str) -> bool:
    field = _fields(section).get(name.lower())
    return field is not None and get_origin(field.annotation) is dict


def _fields(section: Any) -> Mapping[str, FieldInfo]:
    return getattr(section, "model_fields", {})


def _bad_json(environ: Mapping[str, str]) -> str | None:
    """Find the variable that should hold JSON and does not: a whole section, or a mapping or list in one."""
    for name, value in environ.items():
        top, *rest = name.split("__")
        setting = Settings.model_fields.get(top.removeprefix("GATEWAY_").lower())
        fields = _fields(setting.annotation) if setting and name.startswith("GATEWAY_") else {}
        inner = fields.get(rest[0].lower()) if rest else None
        if not fields or (rest and (inner is None or get_origin(inner.annotation) not in (dict, list))):
            continue
        try:
            json.loads(value)
        except ValueError as error:
            secret = any("SecretStr" in str(field.annotation) for field in fields.values())
            shown = "" if secret or _is_secret(name, value) else f" = {value!r}"
            return f"{name}{shown}: is no valid JSON ({error}). Write it as in the settings table of README.md."
    return None


def _refuse_dangerous(settings: Settings) -> None:
    if settings.env != "production":
        return
    if not settings.twilio_auth_token and not settings.twilio.accounts and not settings.twilio.shared_keys:
        raise ConfigError("TWILIO_AUTH_TOKEN is not set. Production needs it: copy it from the Twilio console.")
    if not settings.secret_key.get_secret_value():
        raise ConfigError(
            'SECRET_KEY is not set. Make one: python3 -c "import secrets; print(secrets.token_urlsafe(48))"'
        )
    if settings.twilio.signatures == "observe":
        raise ConfigError(
            "GATEWAY_TWILIO__SIGNATURES = 'observe' lets anybody post messages. Remove it, or say it twice in "
            "production: 'observe observe'."
        )
    require_writable(settings.spool_dir)


def require_writable(folder: Path) -> None:
    """Make the folder and a file in it, or say with a ConfigError that what arrives could not be kept."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = folder / f".probe-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise ConfigError(
            f"The spool folder {folder} is not writable ({error.strerror}). "
            "Make it writable, or set GATEWAY_SPOOL__DIR."
        ) from None


def _with_development_secrets(settings: Settings) -> Settings:
    """Fill in what nobody set, the same at every start."""
    found: dict[str, Any] = {}
    if not settings.twilio_auth_token:
        found["twilio_auth_token"] = [SecretStr(keep_secret(settings.data_dir / "twilio-auth-token"))]
    if not settings.secret_key.get_secret_value():
        found["secret_key"] = SecretStr(keep_secret(settings.data_dir / "secret-key"))
    return settings.model_copy(update=found)


def keep_secret(path: Path) -> str:
    """Read a secret from its file, or make the file (only the owner may read it) with a new one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        descriptor = os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(16))
        # A hard link appears whole or not at all, so processes that start together agree on one secret.
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        return path.read_text().strip()
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be kept ({error.strerror}). Make the folder writable or set GATEWAY_DATA_DIR."
        ) from None
