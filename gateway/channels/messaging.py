"""Texts in and out, for everything that comes as a message: SMS, MMS, WhatsApp, RCS, Messenger.

Parameters: https://www.twilio.com/docs/messaging/guides/webhook-request
"""

from datetime import datetime

from twilio.twiml.messaging_response import MessagingResponse

from gateway.channels.base import Form, parameters, pieces, require, writable
from gateway.channels.line import Line
from gateway.core.messages import SMS, WHATSAPP, InboundMessage, Media, StatusUpdate
from gateway.core.participant import address, participant
from gateway.core.replies import Reply, answer_id

# Twilio refuses a longer Body with error 21617.
BODY_LIMIT = 1600

_FIELDS = frozenset({"Body", "MessageSid", "SmsSid", "SmsMessageSid", "NumMedia"})
NO_ANSWER = str(MessagingResponse())


def parse(form: Form, received_at: datetime) -> InboundMessage:
    """Read an inbound message; the sender's prefix says of which type it is, whatever URL it came to."""
    require(form, "MessageSid", "From", "To")
    sid = form.text("MessageSid")
    person = participant(form.text("From"), also=form.text("ExternalUserId"), name=form.text("ProfileName") or None)
    media, media_fields = _media(form)
    metadata = parameters(form, leave_out=_FIELDS | media_fields)
    if person.prefix and person.prefix != WHATSAPP:
        metadata["prefix"] = person.prefix
    return InboundMessage(
        id=sid,
        communication_type=WHATSAPP if person.prefix == WHATSAPP else SMS,
        sender=person,
        recipient=address(form.text("To")),
        content=form.text("Body"),
        received_at=received_at,
        provider_sid=sid,
        account_sid=form.text("AccountSid") or None,
        service_sid=form.text("MessagingServiceSid") or None,
        opt_out_type=form.text("OptOutType"),
        media=media,
        metadata=metadata,
        again=bool(form.text("ErrorCode")),
    )


def _media(form: Form) -> tuple[tuple[Media, ...], frozenset[str]]:
    """Read the files of a message, by the URLs that are there rather than by NumMedia."""
    found, fields, number = [], set(), 0
    while url := form.text(f"MediaUrl{number}"):
        found.append(Media(url, form.text(f"MediaContentType{number}")))
        fields |= {f"MediaUrl{number}", f"MediaContentType{number}"}
        number += 1
    return tuple(found), frozenset(fields)


def split(text: str) -> list[str]:
    """Cut a text into the messages it is sent as."""
    return [piece for piece in pieces(writable(text), BODY_LIMIT) if piece.strip()]


def render(reply: Reply, message: InboundMessage, _session_id: str, line: Line) -> str:
    """Write an answer as TwiML, a long one as several messages; no text is no message.

    Each asks for its delivery status, so that answers which went out with a webhook get their SID and state too.
    """
    said = split(reply.text) or ([""] if reply.media else [])
    if not said:
        return NO_ANSWER
    response = MessagingResponse()
    for number, piece in enumerate(said, start=1):
        said = response.message(piece, status_callback=line.status_url(answer_id(message.id, number)))
        for url in reply.media if number == 1 else ():
            said.media(url)
    return str(response)


def render_notice(text: str, message_id: str, line: Line) -> str:
    """Write a notice of the gateway's own as TwiML."""
    response = MessagingResponse()
    response.message(writable(text)[:BODY_LIMIT], status_callback=line.status_url(message_id))
    return str(response)


def parse_status(form: Form, received_at: datetime, message_id: str = "") -> StatusUpdate:
    """Read a delivery status: https://www.twilio.com/docs/messaging/guides/track-outbound-message-status"""
    require(form, "MessageSid", "MessageStatus")
    return StatusUpdate(
        sid=form.text("MessageSid"),
        status=form.text("MessageStatus").lower(),
        received_at=received_at,
        parameters=parameters(form),
        error_code=form.text("ErrorCode") or None,
        message_id=message_id,
    )
