"""Twilio's signature over a webhook: who sent it, whatever stands between Twilio and us.

https://www.twilio.com/docs/usage/security#validating-requests. What is signed is the URL as Twilio wrote it,
so the raw request target is used: a framework's decoded URL turns %2F into / and fails.
"""

import base64
import functools
import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from twilio.request_validator import HMAC_SHA1, HMAC_SHA256, RequestValidator, get_signature_algorithm

SIGNATURE_HEADER = "X-Twilio-Signature"
SETTINGS_HEADER = "X-Twilio-Webhooks-Signature-Settings"

_DEFAULT_PORTS = {"https": 443, "http": 80}
_DIGESTS = {HMAC_SHA1: "sha1", HMAC_SHA256: "sha256"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request is Twilio's; `tried` are the URLs that were compared, `matched` the one its signature fits."""

    genuine: bool
    reason: str = ""
    tried: tuple[str, ...] = ()
    matched: str = ""


@dataclass(frozen=True)
class Keyring:
    """The secrets a webhook may be signed with: by account, and shared keys by their id.

    `main_account` may be unknown; then its tokens vouch for every account that is not named here.
    """

    tokens: Sequence[str]
    main_account: str = ""
    accounts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    shared_keys: Mapping[str, str] = field(default_factory=dict)

    def candidates(self, account_sid: str, settings_header: str) -> tuple[Sequence[str], str, str]:
        """Give the secrets to try, the algorithm, and why there are none."""
        if settings_header:
            key = _setting(settings_header, "key")
            algorithm = get_signature_algorithm(settings_header).upper()
            if key not in self.shared_keys:
                return (), algorithm, "unknown_key"
            if algorithm not in (HMAC_SHA1, HMAC_SHA256):
                return (), algorithm, "unknown_algorithm"
            return (self.shared_keys[key],), algorithm, ""
        if account_sid in self.accounts:
            return self.accounts[account_sid], HMAC_SHA1, ""
        if self.main_account and account_sid not in ("", self.main_account):
            return (), HMAC_SHA1, "unknown_account"
        return self.tokens, HMAC_SHA1, "" if self.tokens else "no_token"


def _setting(header: str, wanted: str) -> str:
    for part in header.split(","):
        name, _, value = part.partition("=")
        if name.strip() == wanted:
            return value.strip()
    return ""


@functools.lru_cache(maxsize=256)
def _tried(urls: tuple[str, ...]) -> tuple[str, ...]:
    """Give what a signature is compared over, each once."""
    return tuple(dict.fromkeys(variant for url in urls for variant in _variants(url)))


def _variants(url: str) -> Iterator[str]:
    """Give the ways Twilio may have written a URL before signing it: as it is, and with the port the other way.

    User and password are never signed; an IPv6 host keeps its brackets. Nothing, for what is no URL.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return
    scheme, host = parts.scheme, parts.netloc.rpartition("@")[2]
    rest = url[len(scheme) + len("://") + len(parts.netloc) :]
    yield f"{scheme}://{host}{rest}"
    if port:
        yield f"{scheme}://{host.rpartition(':')[0]}{rest}"
    elif scheme in _DEFAULT_PORTS:
        yield f"{scheme}://{host}:{_DEFAULT_PORTS[scheme]}{rest}"


def verify(
    keyring: Keyring,
    *,
    urls: Sequence[str],
    form: Any,
    signature: str,
    account_sid: str = "",
    settings_header: str = "",
    body: bytes | None = None,
) -> Verdict:
    """Check a signature over a form (a MultiDict: repeated names count), or over `body` by its SHA-256.

    `urls` are the addresses the request may have been sent to, the likeliest first.
    """
    if not signature:
        return Verdict(False, "no_signature")
    secrets, algorithm, reason = keyring.candidates(account_sid, settings_header)
    if reason:
        return Verdict(False, reason)
    signed, given = "" if body is not None else _signed_part(form), signature.encode()
    tried = _tried(tuple(urls))
    for secret in filter(str.strip, secrets):  # With an empty one anybody can sign.
        for url in tried:
            if body is not None and not _hash_matches(url, body):
                continue
            if hmac.compare_digest(_signature(secret, url + signed, algorithm), given):
                return Verdict(True, tried=tried, matched=url)
    return Verdict(False, "bad_signature", tried)


def _signed_part(form: Any) -> str:
    """Give what of a form is signed: its names in order, each with its distinct values in order."""
    return "".join(
        [
            name + (values[0] if len(values) == 1 else name.join(sorted(set(values))))
            for name, values in sorted(dict.items(form))
        ]
    )


def _signature(secret: str, text: str, algorithm: str) -> bytes:
    """Sign as Twilio's own library does, at a tenth of its cost: every webhook pays it."""
    return base64.b64encode(hmac.digest(secret.encode(), text.encode(), _DIGESTS[algorithm]))


def _hash_matches(url: str, body: bytes) -> bool:
    """Compare a body with the hash in its URL; a URL without one vouches for no body at all."""
    given = parse_qs(urlsplit(url).query).get("bodySHA256", [""])[0]
    return bool(given) and hmac.compare_digest(
        hashlib.sha256(body).hexdigest().encode(), given.lower().encode("utf-8", "replace")
    )


def sign(secret: str, url: str, form: Any, algorithm: str = HMAC_SHA1) -> str:
    """Sign a request as Twilio does."""
    return str(RequestValidator(secret).compute_signature(url, form, algorithm))
