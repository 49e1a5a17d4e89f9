"""What Twilio is to call for each of our numbers, and how that differs from what it calls.

A wiring is a mapping from a field, by the name it has in Twilio's API, to its value; empty is not set. The fields of a
WhatsApp sender's webhook begin with `whatsapp_`.
https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource,
https://www.twilio.com/docs/whatsapp/api/senders and, for what stands behind `#`,
https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides.
"""

import ipaddress
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from gateway.core.messages import SMS, VOICE, WHATSAPP

Wiring = Mapping[str, str]

# Twilio tries once more where it could not connect, and never after an error or a silence. Redeliveries are safe here.
RETRIES = "rc=2&rp=ct,5xx"
POST = "POST"

_PATHS = {
    SMS: {"sms_url": "sms", "sms_fallback_url": "sms"},
    VOICE: {"voice_url": "voice", "voice_fallback_url": "voice", "status_callback": "voice/status"},
    WHATSAPP: {
        "whatsapp_callback_url": "whatsapp",
        "whatsapp_fallback_url": "whatsapp",
        "whatsapp_status_callback_url": "status",
    },
}
# What Twilio asks instead of the number's own addresses, where it is set.
_INSTEAD = {SMS: ("sms_application_sid",), VOICE: ("voice_application_sid", "trunk_sid")}
_WHAT = {SMS: "Texts to this number", VOICE: "Calls to this number", WHATSAPP: "WhatsApp messages to this sender"}


@dataclass(frozen=True, slots=True)
class Difference:
    """A field that is not as it should be; `breaks` where the gateway does not get what it is for without it."""

    channel: str
    field: str
    actual: str
    expected: str
    why: str
    breaks: bool


def method_of(field: str) -> str:
    """Name the field that says how an address is called."""
    return f"{field.removesuffix('_url')}_method"


def expected(public_url: str, channels: Collection[str]) -> dict[str, str]:
    """Give what Twilio is to call for a number that takes these channels (sms, voice, whatsapp)."""
    base = public_url.rstrip("/")
    wiring: dict[str, str] = {}
    for channel in (channel for channel in _PATHS if channel in channels):
        for field, path in _PATHS[channel].items():
            wiring |= {field: f"{base}/webhooks/{path}#{RETRIES}", method_of(field): POST}
        wiring |= dict.fromkeys(_INSTEAD.get(channel, ()), "")
    return wiring


def differences(actual: Wiring, should: Wiring) -> list[Difference]:
    """Tell which fields of `should` are otherwise, in its order, and why that matters."""
    found = (_difference(field, actual.get(field, ""), wanted) for field, wanted in should.items())
    return [difference for difference in found if difference]


def changes(actual: Wiring, should: Wiring) -> dict[str, str]:
    """Give the values that are to be written so that `actual` is as it should be."""
    return {one.field: one.expected for one in differences(actual, should)}


def _difference(field: str, actual: str, wanted: str) -> Difference | None:
    channel, what = _channel(field), _WHAT[_channel(field)]
    if actual == wanted:
        return None
    if field.endswith("_method"):
        if actual.upper() == wanted:
            return None
        return Difference(channel, field, actual, wanted, f"The gateway takes {wanted} and refuses others.", True)
    if not wanted:
        instead = "trunk" if field == "trunk_sid" else "application"
        return Difference(channel, field, actual, wanted, f"{what} go to this {instead}; addresses are ignored.", True)
    if same_place(actual, wanted):
        if _retries_enough(actual):
            return None
        why = "Without it Twilio does not try again after an error (5xx) of the gateway."
        return Difference(channel, field, actual, wanted, why, False)
    why, breaks = _elsewhere(field, what, actual)
    return Difference(channel, field, actual, wanted, why, breaks)


def _channel(field: str) -> str:
    return next((channel for channel in (SMS, WHATSAPP) if field.startswith(f"{channel}_")), VOICE)


def _elsewhere(field: str, what: str, actual: str) -> tuple[str, bool]:
    """Say what it means that an address is another one or none."""
    if "fallback" in field:
        return f"{what} are {'sent there' if actual else 'lost'} where the gateway's first answer fails.", False
    if field == "status_callback":
        return "The gateway does not hear when a call ends: its session stays open for hours.", True
    if "status" in field:
        return "The gateway does not hear what became of messages that others sent from here.", False
    return f"{what} go {'there, not to this gateway' if actual else 'nowhere'}.", True


def same_place(one: str, other: str) -> bool:
    """Tell whether two addresses are one, whatever is said behind # about how to call it."""
    return _place(one) == _place(other)


def _place(url: str) -> tuple[str, ...]:
    try:
        parts = urlsplit(url.partition("#")[0])
        port = f":{parts.port}" if parts.port not in (None, {"http": 80, "https": 443}.get(parts.scheme)) else ""
    except ValueError:
        return (url,)
    user = parts.netloc.rpartition("@")[0]
    return parts.scheme, user, (parts.hostname or "") + port, parts.path, parts.query


def _retries_enough(url: str) -> bool:
    """Tell whether Twilio would try again both where it cannot connect and after an error."""
    told = dict(parse_qsl(url.partition("#")[2]))
    policies = set(told.get("rp", "").split(","))
    return told.get("rc", "1") in "12345" and ("all" in policies or policies >= {"ct", "5xx"})


_LOCAL = re.compile(r"(?:.*\.)?(?:localhost|local|internal|lan|home|test|invalid|example)|[^.:]+")


def unreachable(public_url: str) -> str:
    """Say why Twilio could not call an address; empty where it could, as far as one sees."""
    if not public_url:
        return "PUBLIC_URL is not set"
    host = (urlsplit(public_url).hostname or "").rstrip(".")
    try:
        is_local = not ipaddress.ip_address(host).is_global
    except ValueError:
        is_local = bool(_LOCAL.fullmatch(host)) or not host
    if is_local:
        return f"PUBLIC_URL = {shown(public_url)} is an address of this machine or network"
    if "_" in host:
        return f"PUBLIC_URL = {shown(public_url)} has an underscore in its host, which Twilio refuses"
    return ""


def shown(url: str) -> str:
    """Give an address without what may be a secret in it: who logs in with which password, and its query's values."""
    base, hash_, overrides = url.partition("#")
    base, mark, query = base.partition("?")
    scheme, slashes, rest = base.partition("://") if "://" in base else ("", "", base)
    host, slash, path = rest.partition("/")
    hidden = f"(hidden)@{host.rpartition('@')[2]}" if "@" in host else host
    return f"{scheme}{slashes}{hidden}{slash}{path}{mark}{'&'.join(map(_argument, query.split('&')))}{hash_}{overrides}"


def _argument(written: str) -> str:
    name, _, value = written.partition("=")
    # Without a value it may be the secret itself, in base64 with = at its end.
    return f"{name}=…" if value.strip("=") else written and "…"
