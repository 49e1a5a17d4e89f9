"""E-mail addresses as they are kept: trimmed and in lower case, for one person writes theirs both ways."""

import re
from collections.abc import Iterable

from gateway.core.participant import CHAT, EMAIL

LENGTH = 254
# Local part and domain, no spaces and no control characters: whether it exists only its mail server knows.
PATTERN = r"[^@\x00-\x20\x7f-\xa0]{1,64}@[^@\x00-\x20\x7f-\xa0]{1,189}"


def user_email(identities: Iterable[str]) -> str:
    """Give the e-mail address that the user of a site is called by, as somebody is known by it; empty where none is."""
    users = (one.split(":", 2)[-1] for one in identities if one.startswith(CHAT))
    return next((f"{EMAIL}{email}" for email in map(normalised, users) if email), "")


def normalised(written: str) -> str | None:
    """Write an address as it is kept; None where it is none (RFC 5321, section 2.3.11 and 4.5.3.1)."""
    address = written.strip(" ").lower()
    return address if re.fullmatch(PATTERN, address) and len(address) <= LENGTH else None
