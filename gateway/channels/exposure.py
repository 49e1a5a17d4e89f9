"""What of a webhook may be kept to be looked at: a bounded size, no secrets and, unless told otherwise, no words.

Redacted, a form keeps what identifies and counts (SIDs, statuses, sizes); numbers are shortened and everything people
wrote is only measured.
"""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl, urlencode

Pairs = list[tuple[str, str]]

VALUE_LIMIT, NAME_LIMIT, URL_LIMIT, RESPONSE_LIMIT = 300, 100, 1000, 4000
HEADERS_LIMIT, FIELDS_LIMIT, FORM_LIMIT = 40, 120, 16_000

# Everything else a client may send is only named.
_HEADERS = frozenset(
    [
        "accept",
        "content-encoding",
        "content-length",
        "content-type",
        "forwarded",
        "host",
        "i-twilio-idempotency-token",
        "transfer-encoding",
        "user-agent",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-proto",
        "x-forwarded-ssl",
        "x-home-region",
        "x-original-host",
        "x-real-ip",
        "x-request-id",
        "x-twilio-webhooks-signature-settings",
    ]
)
_SIGNATURE = "x-twilio-signature"

# What Twilio itself says of a message or call, in words of its own.
_FACTS = frozenset(
    [
        "AccountSid",
        "AnsweredBy",
        "ApiVersion",
        "ButtonType",
        "CallDuration",
        "CallSid",
        "CallStatus",
        "CallbackSource",
        "ChannelPrefix",
        "DialCallDuration",
        "DialCallSid",
        "DialCallStatus",
        "Direction",
        "Duration",
        "ErrorCode",
        "EventType",
        "MessageSid",
        "MessageStatus",
        "MessageType",
        "MessagingServiceSid",
        "NumMedia",
        "NumSegments",
        "OptOutType",
        "OriginalRepliedMessageSid",
        "ParentCallSid",
        "RawDlrDoneDate",
        "RecordingDuration",
        "RecordingSid",
        "RecordingSource",
        "RecordingStatus",
        "SequenceNumber",
        "SmsMessageSid",
        "SmsSid",
        "SmsStatus",
        "StirVerstat",
        "Timestamp",
        "TranscriptionSid",
        "TranscriptionStatus",
        "msg",
    ]
)
_FACT_LIKE = re.compile(r"MediaContentType\d+")
_ADDRESS = re.compile(r"(?:[a-z]+:)?\+?\d{7,15}")
# Our own end, which may be a short code.
_OURS = frozenset({"To", "Called"})
# A number, and not the digits within a SID.
_DIGITS = re.compile(r"(?<![0-9A-Za-z])\d{7,15}(?![0-9A-Za-z])")
_USER = re.compile(r"//[^/@]*@")
_TEXT = re.compile(r">([^<]+)<")
# Parameters of our own addresses that are signed: who has one may speak for a call.
_SIGNED = frozenset({"state", "simulated_at"})
_SIGNED_IN_TEXT = re.compile(r"((?:state|simulated_at)=)[^&\"'<\s]{9,}")


def clip(text: str, limit: int) -> str:
    """Cut a text, and say of how much."""
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text):,} characters)"


def number(text: str) -> str:
    """Shorten the numbers in a text: `+1555...0310`."""
    return _DIGITS.sub(lambda found: f"{found[0][: min(4, len(found[0]) - 6)]}...{found[0][-4:]}", text)


def headers(given: Iterable[tuple[str, str]]) -> Pairs:
    """Give the headers of a request; of those that may hold a secret only how long they are."""
    shown: Pairs = []
    for name, value in given:
        lower = name.lower()
        if lower in _HEADERS:
            shown.append((clip(name, NAME_LIMIT), clip(value, VALUE_LIMIT)))
        elif lower == _SIGNATURE:
            shown.append((name, f"{clip(value[:6], 6)}… ({len(value):,} characters)"))
        else:
            shown.append((clip(name, NAME_LIMIT), f"(not kept, {len(value):,} characters)"))
    return shown[:HEADERS_LIMIT]


def form(given: Iterable[tuple[str, str]], *, redact: bool) -> Pairs:
    """Give the fields of a form, as many as fit."""
    shown: Pairs = []
    left = FORM_LIMIT
    for name, value in given:
        kept = (clip(name, NAME_LIMIT), _field(name, value) if redact else clip(value, 1000))
        left -= len(kept[0]) + len(kept[1])
        if left < 0 or len(shown) == FIELDS_LIMIT:
            break
        shown.append(kept)
    return shown


def _field(name: str, value: str) -> str:
    if name in _FACTS or _FACT_LIKE.fullmatch(name):
        return clip(number(value), 100)
    if _ADDRESS.fullmatch(value) or (name in _OURS and value.isdecimal()):
        return number(value)
    return f"({len(value):,} characters)" if value else ""


def url(address: str, *, redact: bool) -> str:
    """Give an address without what is signed in it and, redacted, without long values and numbers."""
    base, mark, query = address.partition("?")
    pairs = [(name, _argument(name, value, redact)) for name, value in parse_qsl(query, keep_blank_values=True)]
    rest = mark + urlencode(pairs, safe=":/…(), ") if pairs else mark + clip(query, 40)
    return clip(_USER.sub("//(hidden)@", base) + rest, URL_LIMIT)


def _argument(name: str, value: str, redact: bool) -> str:
    if name in _SIGNED:
        return f"{value[:4]}…"
    return clip(number(value), 60) if redact else value


def twiml(document: str, *, redact: bool) -> str:
    """Give an answer; redacted, with the length of each text instead of it."""
    shown = _SIGNED_IN_TEXT.sub(r"\1…", document)
    if redact:
        shown = number(_TEXT.sub(_measured, shown))
    return clip(shown, RESPONSE_LIMIT)


def _measured(found: re.Match[str]) -> str:
    return f">({len(found[1]):,} characters)<" if found[1].strip() else found[0]


def about(given: Mapping[str, str]) -> str:
    """Name what a webhook is about: the SID of its message or call."""
    return clip(next((given[name] for name in ("MessageSid", "SmsSid", "CallSid") if given.get(name)), ""), 80)
