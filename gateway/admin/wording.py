"""The words for what messages carry: Twilio's parameters, files, statuses and keywords."""

import re
from collections.abc import Mapping
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
_FILE_TYPES = {"text/vcard": "Contact card", "text/x-vcard": "Contact card", "application/pdf": "PDF"}

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


def seconds(given: Any) -> str:
    """Write Twilio's number of seconds as a span; empty where it is none."""
    text = str(given)
    return spoken(int(text) * 1000) if text.isdecimal() else ""


def medium(given: Mapping[str, Any]) -> tuple[str, str]:
    """Say what a file is, and where it lies."""
    kind = str(given.get("content_type") or "")
    words = _FILE_TYPES.get(kind) or _FILES.get(kind.partition("/")[0], "File")
    lasted = seconds(given.get("duration_seconds"))
    return " · ".join(filter(None, [words, lasted, kind])), str(given.get("url") or "")


def status_tone(status: str) -> str:
    """Choose a delivery or call status's colour."""
    return next((tone for tone, names in _TONES.items() if status in names), "quiet")
