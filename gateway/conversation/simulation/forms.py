"""The forms Twilio posts for what somebody writes, calls, or gets: as captured in tests/fixtures."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.conversation.phoning import new_sid
from gateway.core.messages import WHATSAPP, Media
from gateway.core.statuses import MESSAGE_FAILURES
from gateway.settings import Settings

OUR_NUMBER = "+15017122661"
OUR_WHATSAPP = "+14155238886"
PERSON = "+15558675310"

# What Twilio tells beside a status once a carrier is done with a text.
_REPORTED = ("delivered", "undelivered")
_SENDER = "XE" + "0" * 32


@dataclass(frozen=True, slots=True)
class Place:
    """A place somebody shares, in degrees as they are written."""

    latitude: str
    longitude: str
    address: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody writes: words and files or, on WhatsApp, a button's text and payload, a choice's title and id.

    `answers` is the SID of a message of ours that this is a reply to.
    """

    body: str = ""
    media: Sequence[Media] = ()
    button: tuple[str, str] | None = None
    choice: tuple[str, str] | None = None
    place: Place | None = None
    answers: str = ""


def text_form(configured: Settings, sender: str, to: str, said: Said, *, sid: str | None = None) -> dict[str, str]:
    """Give the form of a text."""
    sid = sid or message_sid(said)
    return account(configured) | {
        "MessageSid": sid, "SmsSid": sid, "SmsMessageSid": sid, "From": sender, "To": to, "Body": said.body,
        "NumMedia": str(len(said.media)), "NumSegments": "1", "SmsStatus": "received",
    } | _files(said.media)  # fmt: skip


def whatsapp_form(
    configured: Settings, sender: str, to: str, said: Said, *, name: str, sid: str | None = None
) -> dict[str, str]:
    """Give the form of a WhatsApp message; the sender is a number or a user id."""
    sender = sender.removeprefix("whatsapp:")
    number = {"WaId": sender[1:]} if sender.startswith("+") else {}
    who = {} if number else {"ExternalUserId": f"whatsapp:{sender}"}
    context = {"type": "whatsapp", "data": {"context": {"ProfileName": name} | number}}
    wrote = {
        "From": f"whatsapp:{sender}",
        "To": f"whatsapp:{to.removeprefix('whatsapp:')}",
        "ProfileName": name,
        "MessageType": _message_type(said),
        "ReferralNumMedia": "0",
        "ChannelMetadata": json.dumps(context, separators=(",", ":"), ensure_ascii=False),
    }
    return text_form(configured, sender, to, said, sid=sid) | wrote | number | who | _rich(said, wrote["To"])


def _rich(said: Said, our_address: str) -> dict[str, str]:
    form: dict[str, str] = {}
    if said.button:
        text, payload = said.button
        form |= {"Body": text, "ButtonText": text, "ButtonPayload": payload}
    if said.choice:
        title, chosen = said.choice
        form |= {"Body": title, "ListTitle": title, "ListId": chosen}
    if said.place:
        place = said.place
        form |= {"Body": "", "Latitude": place.latitude, "Longitude": place.longitude}
        form |= {name: text for name, text in (("Address", place.address), ("Label", place.label)) if text}
    if said.answers:
        form |= {"OriginalRepliedMessageSid": said.answers, "OriginalRepliedMessageSender": our_address}
    return form


def _message_type(said: Said) -> str:
    if said.button:
        return "button"
    if said.choice:
        return "interactive"
    if said.place:
        return "location"
    if not said.media:
        return "text"
    kind = said.media[0].content_type
    if kind in ("text/vcard", "text/x-vcard"):
        return "contacts"
    family = kind.partition("/")[0]
    return family if family in ("image", "audio", "video") else "document"


def _files(media: Sequence[Media]) -> dict[str, str]:
    return {
        name: value
        for number, file in enumerate(media)
        for name, value in ((f"MediaContentType{number}", file.content_type), (f"MediaUrl{number}", file.url))
    }


def message_sid(said: Said) -> str:
    """Make up the id of a message, which tells whether files come with it."""
    return new_sid("MM" if said.media else "SM")


def call_form(configured: Settings, sender: str, to: str, *, sid: str | None = None) -> dict[str, str]:
    """Give what every webhook of a call carries."""
    return account(configured) | {
        "CallSid": sid or new_sid("CA"), "From": sender, "To": to, "Caller": sender, "Called": to,
        "Direction": "inbound",
    }  # fmt: skip


def status_form(
    configured: Settings, sid: str, status: str, *, sender: str, to: str, error_code: str = ""
) -> dict[str, str]:
    """Give the form of a delivery status of a message we sent; only what failed has a code."""
    form = account(configured) | {
        "MessageSid": sid, "SmsSid": sid, "MessageStatus": status, "SmsStatus": status, "From": sender, "To": to,
    }  # fmt: skip
    if error_code and status in MESSAGE_FAILURES:
        form["ErrorCode"] = error_code
    if to.startswith(f"{WHATSAPP}:"):
        form |= {"ChannelToAddress": to, "ChannelPrefix": WHATSAPP, "ChannelInstallSid": _SENDER}
        form |= {"EventType": "READ", "StructuredMessage": "false"} if status == "read" else {}
    elif status in _REPORTED:
        form["RawDlrDoneDate"] = f"{datetime.now(UTC):%y%m%d%H%M}"
    return form


def failed_before(form: Mapping[str, str], url: str) -> dict[str, str]:
    """Give the form Twilio posts to the fallback URL after a webhook at `url` got no answer it could read."""
    return {**form, "ErrorCode": "11200", "ErrorUrl": url}


def account(configured: Settings) -> dict[str, str]:
    """Give what every webhook carries."""
    return {"AccountSid": configured.twilio_account_sid or "AC" + "0" * 32, "ApiVersion": "2010-04-01"}
