"""How requests to other people's programs are signed: with a secret both know, for one moment."""

import base64
import hashlib
import hmac
from collections.abc import Sequence


def sign(secret: bytes, timestamp: str, body: bytes) -> str:
    """Give one signature: HMAC-SHA256 over timestamp, a dot and the body, with the scheme's version in front."""
    return "v1=" + hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def signed_headers(secrets: Sequence[bytes], timestamp: str, body: bytes) -> dict[str, str]:
    """Give the headers that prove who sent a body, and when; one signature for each secret, none without any."""
    headers = {"X-Gateway-Timestamp": timestamp}
    if secrets:
        headers["X-Gateway-Signature"] = ",".join(sign(secret, timestamp, body) for secret in secrets)
    return headers


def derived_secret(master: bytes, purpose: str) -> str:
    """Make a secret that need not be stored: whoever has the master makes the same again, nobody else can."""
    made = hmac.new(master, b"webhook secret|" + purpose.encode(), hashlib.sha256).digest()
    return "whsec_" + base64.urlsafe_b64encode(made).decode().rstrip("=")


def fingerprint(secret: str) -> str:
    """Give what a secret is recognised by, and not found out from."""
    return hashlib.sha256(secret.encode()).hexdigest()[:16]
