"""The kinds of values that settings have, and how each is read."""

import ipaddress
import math
import re
import zoneinfo
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, AliasChoices, BeforeValidator, SecretStr
from pydantic_settings import NoDecode

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


def split(value: object) -> object:
    """Read words with commas between them."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _networks(value: object) -> object:
    parts = split(value)
    return [ipaddress.ip_network(part) for part in parts] if isinstance(parts, list) else parts


def _is_blank(secret: SecretStr) -> bool:
    return not secret.get_secret_value().strip()


def _without_blanks(secrets: list[SecretStr]) -> list[SecretStr]:
    if any(map(_is_blank, secrets)):
        raise ValueError("has an empty token, and with that anybody can sign. Write what Twilio's console shows")
    return secrets


def _tokens(accounts: dict[str, list[SecretStr]]) -> dict[str, list[SecretStr]]:
    for account, tokens in accounts.items():
        if not tokens or any(map(_is_blank, tokens)):
            lacks = "an empty token, and with that anybody can sign" if tokens else "no token"
            raise ValueError(
                f"{account} has {lacks}. Write the account's auth token from Twilio's console, or remove the account"
            )
    return accounts


def _keys(keys: dict[str, SecretStr]) -> dict[str, SecretStr]:
    for name, secret in keys.items():
        if _is_blank(secret):
            raise ValueError(
                f"{name} has an empty secret, and with that anybody can sign. Write the key's secret, or remove the key"
            )
    return keys


IdleMs = Annotated[int | None, BeforeValidator(idle_ms)]
Secrets = Annotated[list[SecretStr], NoDecode, BeforeValidator(split), AfterValidator(_without_blanks)]
AccountTokens = Annotated[dict[str, list[SecretStr]], AfterValidator(_tokens)]
SharedKeys = Annotated[dict[str, SecretStr], AfterValidator(_keys)]
Networks = Annotated[list[IPNetwork], NoDecode, BeforeValidator(_networks)]


Words = Annotated[list[str], NoDecode, BeforeValidator(split)]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def _written(pattern: str, words: str) -> AfterValidator:
    """Refuse texts that are not of a pattern, and say in words how they are written: few people read patterns."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value, re.DOTALL):
            raise ValueError(words)
        return value

    return AfterValidator(check)


_CLOCK = r"([01]\d|2[0-3]):[0-5]\d"
TimeOfDay = Annotated[str, _written(_CLOCK, "must be a time of day such as 09:00")]
Hours = Annotated[str, _written(rf"{_CLOCK}-({_CLOCK}|24:00)", "must be two times of day such as 09:00-17:00")]
# What may be empty is not set then.
BaseUrl = Annotated[
    str,
    _written(
        r"|https?://[^\s#?]+", "must begin with https:// or http:// and have no ? or #, as https://api.example.com/v1"
    ),
]
HookUrl = Annotated[
    str,
    _written(
        r"|https?://[^\s#]+", "must begin with https:// or http:// and have no #, as https://www.example.com/hook"
    ),
]
MongoUri = Annotated[
    str, _written(r"|mongodb(\+srv)?://.*", "must begin with mongodb:// or mongodb+srv://, as mongodb://host/gateway")
]
BrokerUrl = Annotated[
    str,
    _written(
        r"|(redis|rediss|amqp|amqps)://.*",
        "must be written as redis://host:6379/0 or amqp://user:password@host// (or rediss://, amqps://)",
    ),
]
AccountSid = Annotated[
    str,
    _written(r"|AC[0-9a-zA-Z]+", "must be an account's SID: AC and 32 digits and letters"),
]
ServiceSid = Annotated[
    str, _written(r"|MG[0-9a-zA-Z]+", "must be a Messaging Service's SID: MG and 32 digits and letters")
]
ContentSid = Annotated[
    str, _written(r"|HX[0-9a-zA-Z]+", "must be a content template's SID: HX and 32 digits and letters")
]
Number = Annotated[str, _written(r"|\+\d{7,15}", "must be a number with its country code, as +15558675310")]
Mailbox = Annotated[str, _written(r"|[^\s@]+@[^\s@]+", "must be an e-mail address, as gateway@example.com")]
Signatures = Annotated[
    str,
    _written(
        "enforce|observe|observe[ ,]+observe", "must be 'enforce', 'observe' or, in production, 'observe observe'"
    ),
]
ApiDate = Annotated[str, _written(r"\d{4}-\d{2}(-beta)?", "must be a year and a month, as 2026-09")]


def _timezone(value: str) -> str:
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        raise ValueError("must be an IANA time zone such as Europe/Berlin") from None
    return value


Timezone = Annotated[str, BeforeValidator(_timezone)]


# What the gateway serves at its root: a path prefix of that name could not be told from it.
_OWN_PATHS = frozenset({"webhooks", "admin", "api", "chat", "healthz", "readyz", "metrics"})


def _public_url(value: str) -> str:
    beginning = unquote(urlsplit(value).path).split("/")[1:2]
    if _OWN_PATHS.intersection(beginning):
        raise ValueError(f"must end before /{beginning[0]}, which is a path of the gateway's own")
    return value


PublicUrl = Annotated[
    str,
    _written(
        r"|https?://[^\s#?]+", "must begin with https:// or http:// and have no ? or #, as https://gateway.example.com"
    ),
    AfterValidator(_public_url),
]


def known_as(name: str) -> AliasChoices:
    """Let a setting keep the name that hosts and Twilio users know."""
    return AliasChoices(name, name.lower())
