"""What would become of a message to the person of a session, told before anybody writes it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from gateway.conversation import clearance, optouts, queue
from gateway.conversation.runtime import Runtime
from gateway.conversation.send import OPTED_OUT, goes_on_with, keys_of
from gateway.conversation.ways import CannotSend, Way, way_of, way_to
from gateway.core.messages import WHATSAPP
from gateway.core.participant import address, is_withheld, participant
from gateway.store.connection import deadline
from gateway.store.finding import Numbered
from gateway.store.outbox import Address
from gateway.store.people import Person

Goes = Literal["", "again", "other", "new"]

WINDOW_CLOSED = (
    "They wrote nothing in the last 24 hours, so WhatsApp takes nothing but an approved template until they write."
)


@dataclass(frozen=True, slots=True)
class Outlook:
    """How the person can be written to now; `refusal` says why not, and then the rest may be empty.

    WhatsApp takes free text until `free_until`; after that, with `templates_only`, a text goes out inside the
    `usual_template`, where one is set up. From a closed session it `goes` on in that one, which opens again, in another
    that is open, or in a new one.
    """

    refusal: str = ""
    communication_type: str = ""
    channel_id: str = ""
    to: str = ""
    line: str = ""
    free_until: datetime | None = None
    templates_only: bool = False
    usual_template: str = ""
    goes: Goes = ""


def outlook(runtime: Runtime, session_id: str) -> Outlook:
    """Tell how the person of a session can be written to."""
    return _told(runtime, lambda: way_to(session_id))


def of(runtime: Runtime, session: Numbered, known: Person | None) -> Outlook:
    """Tell the same of a session that was read, and of its person where they are known."""
    return _told(runtime, lambda: way_of(session), known)


def _told(runtime: Runtime, find: Callable[[], Way], known: Person | None = None) -> Outlook:
    try:
        way = find()
    except CannotSend as error:
        return Outlook(refusal=str(error))
    with deadline():
        return _judge(runtime, way, known)


def _judge(runtime: Runtime, way: Way, known: Person | None) -> Outlook:
    person, line, kind = address(way.to.to), address(way.to.sender), way.communication_type
    channel = runtime.channels.find(kind, line)
    where = Outlook(
        communication_type=kind,
        channel_id=channel.id if channel else "",
        to=person.label,
        line=line.label,
        goes=_goes(runtime, way),
    )
    if not line.identity or is_withheld(person.identity):
        return Outlook(refusal="There is no address to write to, or it is withheld.")
    if _has_opted_out(way.session.contact_id, queue.with_service(runtime, way.to), known):
        return replace(where, refusal=OPTED_OUT)
    if kind != WHATSAPP:
        return where
    free_until = clearance.window_closes_at(way.session.keys, runtime.clock.now())
    template = clearance.usual_template(runtime, where.channel_id)
    return replace(where, free_until=free_until, templates_only=free_until is None, usual_template=template)


def _goes(runtime: Runtime, way: Way) -> Goes:
    """Tell where a message would go from a session that is closed."""
    if way.session.is_open:
        return ""
    keys = keys_of(runtime, way.communication_type, way.to)
    into = goes_on_with(keys, runtime.clock.now(), way.session.id)
    if into is None:
        return "new"
    return "again" if into.id == way.session.id else "other"


def _has_opted_out(contact_id: str | None, to: Address, known: Person | None) -> bool:
    if known:
        return not {out.line for out in known.opted_out}.isdisjoint(optouts.lines_of(to))
    if contact_id:
        return optouts.has_opted_out(contact_id, to)
    return optouts.is_known_to_be_out(participant(to.to), to)
