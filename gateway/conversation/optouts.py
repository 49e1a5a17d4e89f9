"""STOP, START and HELP: recorded, and never answered by us, because Twilio has answered already."""

from gateway.conversation.runtime import Runtime
from gateway.core.messages import SMS, WHATSAPP, InboundMessage
from gateway.core.optout import Keyword, keyword
from gateway.core.sessions import SessionView
from gateway.logs import log
from gateway.store import contacts, sessions


def lines(message: InboundMessage) -> tuple[str, ...]:
    """Give what an opt-out covers: the number that was texted and, with one, its whole messaging service."""
    return (message.recipient.identity, *([message.service_sid] if message.service_sid else []))


def is_out(message: InboundMessage, session: SessionView) -> bool:
    """Tell whether the sender said STOP to the line this came in on; whoever phones wants to be spoken to."""
    if message.call:
        return False
    return not set(lines(message)).isdisjoint(session.opted_out)


def read(runtime: Runtime, message: InboundMessage, session: SessionView) -> Keyword | None:
    """Read a message's keyword, on the channels that have them."""
    listens = message.communication_type == SMS or (
        message.communication_type == WHATSAPP and runtime.settings.reply.whatsapp_opt_out
    )
    if not listens:
        return None
    return keyword(message.content, message.opt_out_type, opted_out=is_out(message, session))


def record(message: InboundMessage, session: SessionView, word: Keyword) -> None:
    """Record a STOP or START on the contact, and on the open sessions, where the hot path reads it.

    Done before the message is stored: repeated after a crash it changes nothing, forgotten it would break a law.
    """
    if word is Keyword.HELP or session.contact_id is None:
        return
    out, covered = word is Keyword.STOP, lines(message)
    contacts.record_opt_out(session.contact_id, covered, out=out, message_id=message.id, at=message.received_at)
    sessions.mark_opted_out(session.contact_id, covered, out=out)
    log.info("opted_out" if out else "opted_in", session_id=session.id, message_sid=message.provider_sid)
