"""Twilio's error codes: what each means to a person, and what is done about it.

https://www.twilio.com/docs/api/errors. 429, 21611, 30001, 30003, 30006, 63016 and 63018 are documented as they
are judged here; the other judgements are our own.
"""

from dataclasses import dataclass

from gateway.core.sending import Reaction

# What Twilio says to a message for somebody who opted out, and so do we when we do not send it.
OPTED_OUT = "21610"

_PAGE = "https://www.twilio.com/docs/api/errors/"


@dataclass(frozen=True, slots=True)
class Code:
    """One code of Twilio's."""

    reaction: Reaction
    explanation: str


_RETRY = {
    "429": "Twilio had too many requests at once and did not process this one.",
    "20429": "Twilio had too many requests at once and did not process this one.",
    # Sent again because a token that is being rotated comes right without anybody touching the message.
    "20003": "Twilio did not accept our credentials. Check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN.",
    "21611": "The sending number's queue at Twilio is full.",
    "30001": "The message waited too long in Twilio's queue and was dropped.",
    "30003": "The phone is switched off or out of reach.",
    "30008": "The carrier reported a failure without a reason.",
    "63012": "The channel (WhatsApp, Messenger, RCS) had an internal error.",
    "63018": "The channel's rate limit was exceeded.",
}
_OPT_OUT = {
    OPTED_OUT: "The recipient has opted out with STOP; only the recipient can opt in again, with START.",
}
_NEVER = {
    "20404": "Twilio does not know this resource. Check the account, the number and the Messaging Service.",
    "21211": "The recipient's number is not a valid phone number.",
    "21408": "The account may not send to this country. Allow it under Messaging > Geo permissions.",
    "21614": "The recipient's number is no mobile number and cannot receive texts.",
    "21617": "The text is longer than the 1600 characters Twilio allows.",
    "30004": "The message was blocked by the recipient or the carrier.",
    "30005": "The recipient's number is unknown or no longer in service.",
    "30006": "The recipient's number is a landline, or its carrier cannot be reached.",
    "30007": "The message was filtered as unwanted by Twilio or the carrier.",
    "63003": "The channel does not know the recipient's address.",
    "63015": "The WhatsApp sandbox sends only to phones that have joined it.",
    "63016": "More than 24 hours after the recipient's last message WhatsApp takes approved templates only.",
    "63024": "The channel does not accept this recipient.",
}
_OURS = {
    "11200": "Our webhook answered with an error, or could not be fetched.",
    "11205": "Twilio could not connect to our webhook, or it did not answer within 15 seconds.",
    "11206": "Our webhook's answer was no valid HTTP.",
    "11215": "Our webhook redirected too often.",
    "11217": "Our webhook answered 429, which Twilio does not honour.",
    "11220": "The TLS handshake with our webhook failed.",
    "11235": "Our certificate is for another host name.",
    "11236": "Our certificate has expired.",
    "11237": "Our certificate's chain is incomplete or not trusted.",
    "11321": "A URL in our answer or in the number's settings is malformed.",
    "11322": "A webhook was called with a method it does not take.",
    "11750": "Our webhook's answer was larger than 64 kB.",
    "11770": "Our webhook's answer had no body.",
    "12100": "Our webhook's TwiML was no well-formed XML.",
    "12200": "Our webhook's TwiML holds something that Twilio does not know.",
    "12300": "Our webhook's answer had a missing or wrong Content-Type.",
    "15003": "Our webhook answered a call status callback with an error.",
}
CODES = {
    code: Code(reaction, explanation)
    for reaction, codes in (
        (Reaction.RETRY, _RETRY),
        (Reaction.OPT_OUT, _OPT_OUT),
        (Reaction.NEVER, _NEVER),
        (Reaction.OURS, _OURS),
    )
    for code, explanation in codes.items()
}


def reaction(code: str | int | None, http_status: int | None = None) -> Reaction:
    """Say what is done about a refusal; a code nobody knows is final unless the HTTP status says it may pass."""
    known = CODES.get(str(code))
    if known:
        return known.reaction
    passing = http_status == 429 or (http_status or 0) >= 500
    return Reaction.RETRY if passing else Reaction.NEVER


def explain(code: str | int | None) -> str:
    """Say in one or two sentences what a code means."""
    known = CODES.get(str(code))
    if known:
        return known.explanation
    if not code:
        return "Twilio gave no reason."
    page = link(code)
    return f"Twilio refused this with code {code}" + (f", explained at {page}." if page else ".")


def link(code: str | int | None) -> str:
    """Give the address of Twilio's page on a code; empty for what is no code of Twilio's."""
    written = "20429" if str(code) == "429" else str(code)
    return f"{_PAGE}{written}" if written.isdecimal() and len(written) >= 5 else ""
