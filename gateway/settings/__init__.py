"""Every setting: defaults, then config/base.toml, config/<environment>.toml, then the process environment.

A setting `a.b` is the variable GATEWAY_A__B; those that hosts and Twilio users know by another name keep it
(PORT, MONGODB_URI, TWILIO_AUTH_TOKEN ...). Anything wrong or unknown stops the start with one line.
"""

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from gateway.core.errors import ConfigError
from gateway.settings.folders import keep_secret, require_writable
from gateway.settings.refusals import bad_json, broken_file, one_line, refuse_unknown_variables
from gateway.settings.sections import (
    WEB_THREADS,
    Admin,
    Alerts,
    Api,
    Backfill,
    Broker,
    Canned,
    CannedRule,
    Chat,
    Contacts,
    Crm,
    Events,
    FlowSettings,
    HttpBot,
    Imports,
    Inspector,
    Llm,
    Log,
    MediaSettings,
    Outbox,
    ReplySettings,
    Retention,
    Sessions,
    Spool,
    Twilio,
    Voice,
)
from gateway.settings.values import AccountSid, MongoUri, Networks, PublicUrl, Secrets, idle_ms, known_as

__all__ = [
    "CONFIG_DIR",
    "WEB_THREADS",
    "CannedRule",
    "Settings",
    "faults",
    "idle_ms",
    "keep_secret",
    "load",
    "read",
    "require_writable",
]

CONFIG_DIR = Path(__file__).resolve().parent.parent.parent / "config"


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
    port: int = Field(8080, ge=1, le=65535, validation_alias=known_as("PORT"))
    public_url: PublicUrl = Field("", validation_alias=known_as("PUBLIC_URL"))
    mongodb_uri: MongoUri = Field("", validation_alias=known_as("MONGODB_URI"))
    twilio_account_sid: AccountSid = Field("", validation_alias=known_as("TWILIO_ACCOUNT_SID"))
    twilio_auth_token: Secrets = Field([], validation_alias=known_as("TWILIO_AUTH_TOKEN"))
    secret_key: SecretStr = Field(SecretStr(""), validation_alias=known_as("SECRET_KEY"))
    web_concurrency: int = Field(2, ge=1, le=256, validation_alias=known_as("WEB_CONCURRENCY"))
    trusted_proxies: Networks = Field([], validation_alias=known_as("TRUSTED_PROXIES"))

    sessions: Sessions = Sessions()
    reply: ReplySettings = ReplySettings()
    canned: Canned = Canned()
    voice: Voice = Voice()
    twilio: Twilio = Twilio()
    inspector: Inspector = Inspector()
    spool: Spool = Spool()
    outbox: Outbox = Outbox()
    backfill: Backfill = Backfill()
    broker: Broker = Broker()
    media: MediaSettings = MediaSettings()
    retention: Retention = Retention()
    imports: Imports = Imports()
    llm: Llm = Llm()
    http_bot: HttpBot = HttpBot()
    flow: FlowSettings = FlowSettings()
    contacts: Contacts = Contacts()
    crm: Crm = Crm()
    alerts: Alerts = Alerts()
    events: Events = Events()
    admin: Admin = Admin()
    api: Api = Api()
    chat: Chat = Chat()
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
    def flow_folder(self) -> Path:
        """Give the folder that flows are read from."""
        return self.flow.folder or CONFIG_DIR / "flows"

    @property
    def observes_signatures(self) -> bool:
        """Tell whether unverifiable requests are let in and only logged."""
        return self.twilio.signatures != "enforce"

    def idle_ms_for(self, communication_type: str) -> int | None:
        """Give the threshold of a channel type where the channel itself names none; None never rolls over."""
        by_type = {str(name): threshold for name, threshold in self.sessions.idle_seconds_by_type.items()}
        return by_type.get(communication_type, self.sessions.idle_seconds)

    def is_main_account(self, account_sid: str | None) -> bool:
        """Tell whether requests for an account are made as the main one: it has no tokens of its own."""
        return account_sid not in self.twilio.accounts or account_sid == self.twilio_account_sid

    def service_for(self, account_sid: str | None, sender: str) -> str:
        """Give the Messaging Service that messages of an address go out with: the main account's, not WhatsApp's."""
        usual = self.is_main_account(account_sid) and not sender.startswith("whatsapp:")
        return self.twilio.messaging_service_sid if usual else ""

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
    settings = read(**overrides)
    for refuse in _REFUSALS:
        refuse(settings)
    if settings.env == "production":
        require_writable(settings.spool_dir)
    return settings


def read(**overrides: Any) -> Settings:
    """Read all settings, each right by itself; `faults` tells whether a gateway would start with them."""
    refuse_unknown_variables(os.environ, Settings.model_fields)
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        raise ConfigError(one_line(error, Settings.model_fields)) from None
    except SettingsError as error:
        raise ConfigError(bad_json(os.environ, Settings.model_fields) or str(error)) from None
    except ValueError as error:  # tomllib's errors: they name line and column
        raise ConfigError(f"{broken_file(CONFIG_DIR)} is no valid TOML: {error}. Correct it.") from None
    return _with_development_secrets(settings) if settings.is_development else settings


def faults(settings: Settings) -> list[str]:
    """Say what would keep a gateway with these settings from starting, but for its spool: a line each."""
    found = []
    for refuse in _REFUSALS:
        try:
            refuse(settings)
        except ConfigError as error:
            found.append(str(error))
    return found


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


def _refuse_hasty(settings: Settings) -> None:
    """Refuse times by which a message would be sent again while Twilio is still taking it."""
    timeout, outbox = settings.twilio.timeout_seconds, settings.outbox
    if outbox.lookup_seconds < timeout:
        raise ConfigError(
            f"GATEWAY_OUTBOX__LOOKUP_SECONDS = {outbox.lookup_seconds:g} is below GATEWAY_TWILIO__TIMEOUT_SECONDS = "
            f"{timeout:g}, so messages could go out twice. Raise the one or lower the other."
        )
    if outbox.lease_seconds < 2 * timeout:
        raise ConfigError(
            f"GATEWAY_OUTBOX__LEASE_SECONDS = {outbox.lease_seconds:g} is below twice GATEWAY_TWILIO__TIMEOUT_SECONDS "
            f"= {timeout:g}, so messages could go out twice. Raise the one or lower the other."
        )


def _refuse_half_set(settings: Settings) -> None:
    """Refuse alerts that could not be sent: the night somebody asks for a person is too late to find out."""
    alerts = settings.alerts
    mail = {"EMAIL_TO": alerts.email_to, "EMAIL_FROM": alerts.email_from, "SMTP_HOST": alerts.smtp_host}
    missing = [name for name, value in mail.items() if not value]
    if missing and (len(missing) < len(mail) or alerts.smtp_user or alerts.smtp_password.get_secret_value()):
        raise ConfigError(
            f"GATEWAY_ALERTS__{missing[0]} is not set, so alerts could not be sent by e-mail. Set it, or none of "
            "GATEWAY_ALERTS__EMAIL_TO, __EMAIL_FROM and __SMTP_HOST."
        )
    if bool(alerts.smtp_user) != bool(alerts.smtp_password.get_secret_value()):
        unset = "SMTP_PASSWORD" if alerts.smtp_user else "SMTP_USER"
        raise ConfigError(f"GATEWAY_ALERTS__{unset} is not set. Set it, or neither user nor password.")
    if alerts.smtp_user and alerts.smtp_tls == "none":
        raise ConfigError(
            "GATEWAY_ALERTS__SMTP_TLS = 'none' would send the password in the clear. Use 'starttls' or 'ssl'."
        )
    if alerts.webhook_secret.get_secret_value() and not alerts.webhook_url:
        raise ConfigError("GATEWAY_ALERTS__WEBHOOK_URL is not set, but its secret is. Set it, or remove the secret.")


def _refuse_tokenless(settings: Settings) -> None:
    """Refuse a CRM that could not be asked, or only so that anybody may read along."""
    crm = settings.crm
    if crm.provider and not crm.access_token.get_secret_value().strip():
        raise ConfigError(
            f"GATEWAY_CRM__ACCESS_TOKEN is not set, but GATEWAY_CRM__PROVIDER is {crm.provider!r}. Set it to the token "
            "of a private app (docs/crm.md), or remove the provider."
        )
    if crm.base_url.startswith("http://") and settings.env == "production":
        raise ConfigError(
            f"GATEWAY_CRM__BASE_URL = {crm.base_url!r} would be sent the token and what people wrote in the clear. "
            "Use https, or remove it for the provider's own."
        )


_REFUSALS = (_refuse_dangerous, _refuse_hasty, _refuse_half_set, _refuse_tokenless)


def _with_development_secrets(settings: Settings) -> Settings:
    """Fill in what nobody set, the same at every start."""
    found: dict[str, Any] = {}
    if not settings.twilio_auth_token:
        found["twilio_auth_token"] = [SecretStr(keep_secret(settings.data_dir / "twilio-auth-token"))]
    if not settings.secret_key.get_secret_value():
        found["secret_key"] = SecretStr(keep_secret(settings.data_dir / "secret-key"))
    return settings.model_copy(update=found)
