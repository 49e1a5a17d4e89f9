"""How a person is written to: on which channel, at which address, and from which of ours."""

from dataclasses import dataclass, replace

from gateway.conversation import queue
from gateway.core.errors import GatewayError
from gateway.core.messages import CHAT, SMS, VOICE, WHATSAPP
from gateway.core.participant import CHAT as CHAT_PREFIX
from gateway.core.participant import address, is_withheld, site_of
from gateway.core.sessions import SessionView
from gateway.store import asked, channels, finding, outbound
from gateway.store.connection import deadline
from gateway.store.finding import Numbered
from gateway.store.outbox import Address


class CannotSend(GatewayError):
    """A message that would not go out; the text says why, to whoever wrote it."""


def way_from(communication_type: str, to: str, line: str, account_sid: str | None) -> Address:
    """Give an address as the provider wants it written: from one of our lines to a person."""
    return Address(_written(communication_type, to), _written(communication_type, line), account_sid)


def _written(communication_type: str, raw: str) -> str:
    """Write an address as the provider wants it: a number behind the channel's prefix, a user id as it is."""
    known = address(raw)
    if known.prefix and not known.number:
        return known.identity
    return f"whatsapp:{known.identity}" if communication_type == WHATSAPP else known.identity


@dataclass(frozen=True, slots=True)
class Way:
    """How the person of a session is written to; a caller by text, from the number they called."""

    session: SessionView
    communication_type: str
    to: Address


def way_to(session_id: str) -> Way:
    """Find how the person of a session is written to; CannotSend where there is no way."""
    with deadline():
        found = finding.get_numbered(session_id)
    if found is None:
        raise CannotSend(f"There is no session {session_id}.")
    return way_of(found)


def way_of(found: Numbered) -> Way:
    """Find how the person of a session that was read is written to; CannotSend where there is no way."""
    session = found.session
    with deadline():
        written = asked.latest(session.id)
        sent = None if written else outbound.latest_address(session.id)
    if written:
        kind = written.place.communication_type or session.communication_type
        return Way(session, kind, _with_numbers_of(found, kind, queue.address_of(written.metadata)))
    if sent is None and session.communication_type == VOICE:
        return Way(session, SMS, _by_text(found))
    if sent is None and session.communication_type == CHAT:
        return Way(session, CHAT, _on_their_site(session))
    if sent is None:
        raise CannotSend("Nobody wrote in this session, so there is no address to answer. Text the number instead.")
    return Way(session, session.communication_type, sent)


def _on_their_site(session: SessionView) -> Address:
    """Tell how somebody is written to who opened a chat and said nothing yet."""
    user = next((key[key.index(CHAT_PREFIX) :] for key in session.keys if CHAT_PREFIX in key), "")
    return Address(user, site_of(user))


def _by_text(call: Numbered) -> Address:
    """Tell how a caller is texted: only where the number they called is known to take texts."""
    person, line = call.person, call.line
    with deadline():
        texts = channels.find(SMS, address(line)) if line else None
    if not address(person).number or is_withheld(person):
        raise CannotSend("The caller withheld their number, so there is nobody to text.")
    if texts is None:
        raise CannotSend(f"Nobody ever texted {line or 'this line'}, so it may not take texts. Call back instead.")
    return Address(person, line, texts.account_sid)


def _with_numbers_of(found: Numbered, communication_type: str, to: Address) -> Address:
    """Fill in from the session what its messages do not tell, as those of the Node application."""
    if to.to and to.sender:
        return to
    person, line = (number and _written(communication_type, number) for number in (found.person, found.line))
    return replace(to, to=to.to or person, sender=to.sender or line)
