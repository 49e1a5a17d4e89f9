"""The words for what messages carry: Twilio's parameters, files, statuses and keywords."""

import re
from typing import Any

from gateway.core.times import spoken

KEYWORDS = {
    "stop": "STOP · opted out",
    "start": "START · opted in again",
    "help": "HELP · asked for help",
}

# What is shown beside a message: these parameters, the first of which stands for the rest.
FACTS = {
    "Location": ("Label", "Address", "Latitude", "Longitude"),
    "Button": ("ButtonText", "ButtonPayload", "ButtonType"),
    "List choice": ("ListTitle", "ListId"),
    "Came from": (
        "ReferralHeadline",
        "ReferralBody",
        "ReferralSourceType",
        "ReferralSourceUrl",
        "ReferralSourceId",
        "ReferralMediaUrl",
        "ReferralMediaContentType",
        "ReferralCtwaClid",
    ),
    "In reply to": ("OriginalRepliedMessageSid", "OriginalRepliedMessageSender"),
    "Forwarded": ("DialCallStatus", "DialCallDuration", "DialCallSid"),
    "Came by the fallback URL": ("ErrorCode", "ErrorUrl"),
}

_LABELS = {
    "ButtonText": "Button",
    "ButtonPayload": "Payload",
    "ListTitle": "Choice",
    "ListId": "Id",
    "OriginalRepliedMessageSid": "Message",
    "OriginalRepliedMessageSender": "Sent by",
    "ReferralCtwaClid": "Click id",
}
_PREFIXES = ("Referral", "Dial")

_FILES = {"image": "Image", "audio": "Audio", "video": "Video"}
_FILE_TYPES = {
    "text/vcard": "Contact card",
    "text/x-vcard": "Contact card",
    "text/plain": "Text file",
    "application/pdf": "PDF",
}

# Why a file is not there; what the refusal itself says follows.
REFUSED = {
    "too_large": "was too large to keep",
    "type": "is of a type that is not kept",
    "host": "was not fetched, because it is not at Twilio",
    "no_account": "was not fetched, because there is no Twilio account",
    "path": "was not fetched, because its address names no file",
    "not_there": "was not there to be fetched",
    "failed": "could not be fetched",
}

_TONES = {
    "good": {"delivered", "read", "completed", "partially_delivered"},
    "bad": {"failed", "undelivered"},
    "warn": {"busy", "no-answer", "canceled"},
    "live": {"ringing", "in-progress", "answered"},
}


def label(name: str) -> str:
    """Write a parameter's name as words: `DialCallStatus` is `Call status`."""
    if name in _LABELS:
        return _LABELS[name]
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).capitalize()


def value(given: Any) -> str:
    """Write a stored value; Twilio's repeated parameters are lists."""
    if given is None:
        return "none"
    if isinstance(given, list):
        return ", ".join(map(value, given))
    return f"{given:.3f}".rstrip("0").rstrip(".") if isinstance(given, float) else str(given)


def status(name: str) -> str:
    """Write a status as words: `no-answer` is `no answer`."""
    return re.sub(r"[-_]", " ", name)


def heard(confidence: Any) -> str:
    """Say that something was spoken, and how sure Twilio is of the words."""
    try:
        share = float(confidence)
    except (TypeError, ValueError):
        return "spoken"
    return f"spoken, {share:.0%} sure" if 0 < share <= 1 else "spoken"


def seconds(given: Any) -> str:
    """Write Twilio's number of seconds as a span; empty where it is none."""
    text = str(given)
    return spoken(int(text) * 1000) if text.isdecimal() else ""


def medium(content_type: str, duration: Any = None) -> str:
    """Say what a file is, and how long it plays."""
    kind = _FILE_TYPES.get(content_type) or _FILES.get(content_type.partition("/")[0], "File")
    return " · ".join(filter(None, [kind, seconds(duration)]))


def size(count: int) -> str:
    """Write a number of bytes: `340 B`, `12 kB`, `1.5 MB`."""
    if count < 1000:
        return f"{count} B"
    return f"{count / 1000:.0f} kB" if count < 999_500 else f"{count / 1_000_000:.1f} MB"


def status_tone(status: str) -> str:
    """Choose a delivery or call status's colour."""
    return next((tone for tone, names in _TONES.items() if status in names), "quiet")
