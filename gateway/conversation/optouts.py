"""STOP, START and HELP: recorded, and never answered by us, because Twilio has answered already."""

from collections.abc import Collection, Sequence
from datetime import datetime

from gateway.conversation.runtime import Runtime
from gateway.core.codes import OPTED_OUT
from gateway.core.messages import SMS, WHATSAPP, InboundMessage
from gateway.core.optout import Keyword, keyword
from gateway.core.participant import Participant, address
from gateway.core.sessions import SessionView
from gateway.logs import log
from gateway.store import answers, asked, contacts, delivery, groups, import_changes, keywords, outbox, sessions
from gateway.store.groups import Group
from gateway.store.outbox import Address


def lines(message: InboundMessage) -> tuple[str, ...]:
    """Give what an opt-out covers: the number that was texted and, with one, its whole messaging service."""
    return (message.recipient.identity, *([message.service_sid] if message.service_sid else []))


def is_out(message: InboundMessage, opted_out: Collection[str]) -> bool:
    """Tell whether the line this came in on is one its sender said STOP to; whoever phones wants to be spoken to."""
    if message.call:
        return False
    return not set(lines(message)).isdisjoint(opted_out)


def why_silent(message: InboundMessage, opted_out: Collection[str], word: Keyword | None) -> str:
    """Give why nobody is to answer a message: it is a keyword, or its sender opted out; empty where somebody is."""
    if word is not None:
        return answers.KEYWORD
    return answers.OPTED_OUT if is_out(message, opted_out) else ""


def read(runtime: Runtime, message: InboundMessage, opted_out: Collection[str]) -> Keyword | None:
    """Read a message's keyword, on the channels that have them, by the lines that its sender said STOP to."""
    listens = message.communication_type == SMS or (
        message.communication_type == WHATSAPP and runtime.settings.reply.whatsapp_opt_out
    )
    if not listens:
        return None
    return keyword(message.content, message.opt_out_type, opted_out=is_out(message, opted_out))


def record(runtime: Runtime, message: InboundMessage, session: SessionView, word: Keyword) -> None:
    """Record a STOP or START on the contact, and on the open sessions, where the hot path reads it.

    What is queued for somebody who says STOP is canceled. Of contacts that were merged it is the one who said it; a
    START takes back its own STOP, and not that of another number.

    Done before the message is stored: repeated after a crash it changes nothing, forgotten it would break a law.
    A word that comes late takes back nothing its sender said since.
    """
    if word is Keyword.HELP or session.contact_id is None:
        return
    out, covered = word is Keyword.STOP, lines(message)
    group = groups.whole(session.contact_id)
    owner = group.owner(message.sender.identities)
    if keywords.said_since(group, owner, covered, message.received_at):
        log.info("keyword_overruled", session_id=session.id, message_sid=message.provider_sid, keyword=str(word))
        return
    contacts.record_opt_out([owner], covered, out=out, message_id=message.id, at=message.received_at)
    spread(runtime, group, covered, also=(message.recipient.raw,))
    log.info("opted_out" if out else "opted_in", session_id=session.id, message_sid=message.provider_sid)


def spread(runtime: Runtime, group: Group, lines: Sequence[str], *, also: Sequence[str] = ()) -> None:
    """Carry what is recorded of these lines to a person's sessions, and cancel what waits for whoever is out.

    `also` are other spellings of the lines, as they are queued under.
    """
    ids = [str(one) for one in group.ids]
    if free := set(lines) - set(contacts.opted_out(group.id)):
        sessions.mark_opted_out(ids, sorted(free), out=False)
    # Looked up again, so that a STOP that came in between is not the one that was just taken off.
    if held := set(lines) & set(contacts.opted_out(group.id)):
        sessions.mark_opted_out(ids, sorted(held), out=True)
        cancel_queued(runtime, ids, [*also, *sorted(held)])


def has_opted_out(contact_id: str | None, to: Address | None) -> bool:
    """Tell whether a contact said STOP to the line a message would go out from."""
    if contact_id is None or to is None:
        return False
    return not set(lines_of(to)).isdisjoint(contacts.opted_out(contact_id))


def is_known_to_be_out(person: Participant, to: Address) -> bool:
    """Tell the same of somebody who may be no contact yet, before anything is stored for them."""
    return not set(lines_of(to)).isdisjoint(contacts.opted_out_of(person))


def has_said_since(contact_id: str, person: str, lines: Sequence[str], moment: datetime) -> bool:
    """Tell whether a person said STOP or START to one of these lines, by that number, after a moment."""
    group = groups.whole(contact_id)
    return keywords.said_since(group, group.owner([person]), lines, moment)


def record_refusal(runtime: Runtime, contact_id: str, to: Address, message_id: str) -> None:
    """Treat the provider's "this person opted out" as their STOP."""
    covered, group = lines_of(to), groups.whole(contact_id)
    owner = group.owner([address(to.to).identity])
    contacts.record_opt_out([owner], covered, out=True, message_id=message_id, at=runtime.clock.now())
    spread(runtime, group, covered, also=(to.sender,))
    log.info("opted_out", message_id=message_id, by="provider")


def carry_over(
    runtime: Runtime, contact_id: str, lines: Sequence[str], said_by: datetime, *, import_id: str
) -> tuple[str, ...]:
    """Keep what an import says a person said STOP to, by that moment, unless they said something else here since.

    Gives all they are out of now.
    """
    known, group = contacts.opted_out(contact_id), groups.whole(contact_id)
    new = [line for line in lines if line not in known and not keywords.said_since(group, group.id, [line], said_by)]
    if new:
        import_changes.note_opted_out(import_id, [str(one) for one in group.ids], new, said_by)
        contacts.record_opt_out([group.id], new, out=True, message_id=None, at=said_by)
    if lines:
        # What is recorded already is carried on too: whoever recorded it may have died before that.
        spread(runtime, group, lines)
    return (*known, *new)


def call_off(runtime: Runtime, message_id: str) -> None:
    """Note on a message of ours that its contact opted out before it was sent, with the code sending it would get."""
    reason = "The contact opted out (STOP)."
    delivery.fail(message_id, status="canceled", code=OPTED_OUT, reason=reason, at=runtime.clock.now())


def cancel_queued(runtime: Runtime, contact_ids: Sequence[str], lines: Sequence[str]) -> None:
    """Keep what waits for somebody who opted out from ever being sent."""
    for message_id in outbox.cancel(contact_ids, lines, runtime.clock.now()):
        call_off(runtime, message_id)
        asked.forget_burst(message_id)
        log.info("delivery_canceled", message_id=message_id, reason="opted_out")


def lines_of(to: Address) -> tuple[str, ...]:
    """Give what somebody may have said STOP to of what a message goes out from: the number, the service."""
    return (address(to.sender).identity, *([to.service_sid] if to.service_sid else []))
