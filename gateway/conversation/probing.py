"""A webhook the gateway sends itself through its public address: what of it arrives, and how it is answered.

Twilio's signature alone says nothing to whoever looks for a way in: only who has SECRET_KEY is told anything, and the
answer is signed with it too, so that nobody else can answer for the gateway. Nothing is stored.
"""

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from itsdangerous import BadSignature, URLSafeSerializer

from gateway.channels import signature
from gateway.core.times import epoch_ms, from_epoch_ms
from gateway.settings import Settings

# A query as the turns of a call have one: it must arrive as well.
PATH = "/webhooks/probe"
TARGET = f"{PATH}?turn=1&probe=1"
HEADER = "X-Gateway-Probe"

# The note is of no use to anybody for longer; clocks may differ that much.
PATIENCE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Probe:
    """A signed webhook to be posted; `nonce` must come back with the answer."""

    url: str
    form: Mapping[str, str]
    headers: Mapping[str, str]
    nonce: str


@dataclass(frozen=True, slots=True)
class Told:
    """What the gateway saw of a probe. `reason` says why it would have been refused, empty where it was genuine.

    `matched` is the address its signature fits; `cause` and `signed_url` are what `channels.diagnosis` found.
    """

    reason: str
    matched: str = ""
    tried: tuple[str, ...] = ()
    cause: str = ""
    signed_url: str = ""
    signed: bool = True
    public_url: str = ""


class NotOurs(Exception):
    """Whoever answered is no gateway with our SECRET_KEY."""


def make(settings: Settings, base_url: str, now: datetime) -> Probe | None:
    """Make a probe as Twilio would send it to this address; None where there is nothing to sign it with."""
    found = _signer(settings)
    if found is None:
        return None
    account, secret, header = found
    url = base_url.rstrip("/") + TARGET
    form = {"AccountSid": account, "MessageSid": "SM" + secrets.token_hex(16), "Body": "Ünï + 1%"}
    nonce = secrets.token_hex(8)
    headers = {
        signature.SIGNATURE_HEADER: signature.sign(secret, url, form, "HMAC_SHA256" if header else "HMAC_SHA1"),
        HEADER: _notes(settings).dumps([epoch_ms(now), nonce]),
    }
    return Probe(url, form, headers | ({signature.SETTINGS_HEADER: header} if header else {}), nonce)


def _signer(settings: Settings) -> tuple[str, str, str] | None:
    """Choose what Twilio would sign with: the account, its secret, and the header that names a shared key."""
    if settings.twilio_auth_token:
        return settings.twilio_account_sid or "AC" + "0" * 32, settings.twilio_auth_token[0].get_secret_value(), ""
    for account, tokens in settings.twilio.accounts.items():
        if tokens:
            return account, tokens[0].get_secret_value(), ""
    for name, secret in settings.twilio.shared_keys.items():
        return settings.twilio_account_sid, secret.get_secret_value(), f"key={name},algorithm=HMAC_SHA256"
    return None


def recognise(settings: Settings, note: str, now: datetime) -> str | None:
    """Read the nonce of a probe of ours; None for anything else, and for one that is too old."""
    if not settings.secret_key.get_secret_value():
        return None
    try:
        made, nonce = _notes(settings).loads(note)
        return str(nonce) if abs(now - from_epoch_ms(made)) <= PATIENCE else None
    except (BadSignature, ValueError, TypeError, OverflowError):
        return None


def answer(settings: Settings, nonce: str, told: Told) -> str:
    """Write what was seen of a probe, so that only we can have written it."""
    return str(_answers(settings).dumps([nonce, asdict(told)]))


def read(settings: Settings, probe: Probe, text: str) -> Told:
    """Read the answer to a probe; NotOurs where somebody else gave it."""
    try:
        nonce, facts = _answers(settings).loads(text)
        if nonce != probe.nonce:
            raise NotOurs
        return _told(facts)
    except (BadSignature, ValueError, TypeError):
        raise NotOurs from None


def _told(facts: Mapping[str, Any]) -> Told:
    """Read what was told; a gateway of another version may tell more."""
    known = {name: facts[name] for name in Told.__slots__ if name in facts}
    return Told(**known | {"tried": tuple(known.get("tried", ()))})


def _notes(settings: Settings) -> URLSafeSerializer:
    return URLSafeSerializer(settings.secret_key.get_secret_value(), salt="probe")


def _answers(settings: Settings) -> URLSafeSerializer:
    return URLSafeSerializer(settings.secret_key.get_secret_value(), salt="probe's answer")
