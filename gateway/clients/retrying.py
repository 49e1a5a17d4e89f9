"""When a provider wants to be asked again."""

from datetime import datetime
from email.utils import parsedate_to_datetime

LONGEST_WAIT_SECONDS = 3600


def retry_after(header: str, now: datetime) -> float | None:
    """Read Retry-After (RFC 9110, 10.2.3), seconds or a date, as seconds from now; at most an hour."""
    try:
        wait = float(header) if header[:1].isdigit() else (parsedate_to_datetime(header) - now).total_seconds()
    except (ValueError, TypeError):  # A date without a zone cannot be compared.
        return None
    return min(max(wait, 0.0), LONGEST_WAIT_SECONDS)
