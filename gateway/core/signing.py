"""How requests to other people's programs are signed: with a secret both know, for one moment."""

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
