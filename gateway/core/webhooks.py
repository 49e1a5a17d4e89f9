"""The names that webhooks have here, and which of them Twilio sent because it took no answer to an earlier one."""

import hashlib
import random
from datetime import datetime

from gateway.core.times import epoch_ms


def name_webhook(at: datetime, token: str = "") -> str:
    """Name a request by chance, by when it came, and by the token that Twilio repeats in its retries of it."""
    # Nobody signed the token, so it may be anything.
    same = hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()[:16] if token else ""
    return f"{random.getrandbits(64):016x}:{epoch_ms(at)}:{same}"


def is_retry(later: str, earlier: str, *, fallback: bool) -> bool:
    """Tell by their names whether Twilio repeated one request in another; a `fallback` repeats all before it."""
    at, token = _parts(later)
    before, same = _parts(earlier)
    return at > before and (fallback or (token == same != ""))


def _parts(name: str) -> tuple[int, str]:
    _, at, token = [*name.split(":"), "", ""][:3]
    return int(at or 0), token
