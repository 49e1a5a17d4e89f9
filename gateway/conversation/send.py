"""Messages somebody of ours writes: operators, programs, and the gateway's own notices."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from gateway.channels import CHANNELS
from gateway.conversation import counting, filing, optouts, queue
from gateway.conversation.runtime import Runtime
from gateway.conversation.ways import CannotSend, way_from, way_to
from gateway.core.messages import HOSTED, InboundMessage
from gateway.core.participant import address, is_withheld, participant
from gateway.core.segments import segments
from gateway.core.sessions import Scope, SessionView, session_keys
from gateway.logs import log
from gateway.store import finding, outbound
from gateway.store.connection import deadline
from gateway.store.outbound import Outbound, Place
from gateway.store.outbox import Address

NO_TEMPLATES = "A chat has no templates. Write a text."
OPTED_OUT = "The contact opted out (STOP). Nothing can be sent until they text START."


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody wants to say. A template (`content_sid`) is sent instead of the text where there is one.

    `facts` are kept in the message's metadata.
    """

    text: str
    sender: str = "agent"
    author: str = ""
    media: Sequence[str] = ()
    content_sid: str | None = None
    content_variables: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Queued:
    """A message on its way: the ids of its pieces, and the session it is in. `fresh` is False for a repetition."""

    message_ids: tuple[str, ...]
    session_id: str
    fresh: bool


def send_text(
    runtime: Runtime,
    *,
    communication_type: str,
    to: str,
    line: str,
    text: str,
    message_id: str,
    sender: str = "agent",
    account_sid: str | None = None,
) -> Queued:
    """Write to a person from one of our addresses: in their open session, else in a new one. Once per message id."""
    way = way_from(communication_type, to, line, account_sid)
    return write(runtime, communication_type, way, Draft(text, sender), message_id=message_id)


def write(
    runtime: Runtime, communication_type: str, to: Address, draft: Draft, *, message_id: str, anew: bool = False
) -> Queued:
    """Write to an address: in their open session, else in a new one; with `anew` always in that. Once per id."""
    return _send(runtime, communication_type, to, draft, message_id, anew=anew)


def reply(runtime: Runtime, session_id: str, draft: Draft, *, message_id: str, anew: bool = False) -> Queued:
    """Write to the person of a session. It goes into that session, unless a newer one of theirs is open by now.

    With `anew` it begins a new one, and what they had open is closed.
    """
    way = way_to(session_id)
    return _send(runtime, way.communication_type, way.to, draft, message_id, wanted=session_id, anew=anew)


def _send(
    runtime: Runtime,
    communication_type: str,
    to: Address,
    draft: Draft,
    message_id: str,
    *,
    wanted: str | None = None,
    anew: bool = False,
) -> Queued:
    if not draft.media and not draft.content_sid and not _says_something(communication_type, draft.text):
        raise CannotSend("The message is empty. Write something.")
    if draft.content_sid and communication_type in HOSTED:
        raise CannotSend(NO_TEMPLATES)
    if is_withheld(address(to.to).identity) or not address(to.sender).identity:
        raise CannotSend("There is no address to write to and from, or it is withheld. Text the number instead.")
    with deadline():
        if repeated := _repeated(runtime, message_id, to, draft):
            return repeated
        try:
            place, to = _place(runtime, communication_type, to, message_id, wanted, anew=anew)
        except CannotSend:
            # The same request, made at once, may have been faster.
            if repeated := _repeated(runtime, message_id, to, draft):
                return repeated
            raise
        if optouts.has_opted_out(place.contact_id, to):
            raise CannotSend(OPTED_OUT)
        return _queue(runtime, place, to, draft, message_id, runtime.clock.now())


def _place(
    runtime: Runtime, communication_type: str, to: Address, message_id: str, wanted: str | None, *, anew: bool
) -> tuple[Place, Address]:
    """Find the session a message of ours belongs to, or open it, by the very rules of what people send us."""
    now = runtime.clock.now()
    pretended = _pretended(communication_type, to, message_id, now)
    channel = runtime.channels.resolve(communication_type, pretended.recipient, to.account_sid)
    policy = runtime.policy_for(channel)
    to = queue.with_service(runtime, replace(to, account_sid=to.account_sid or channel.account_sid))
    joined = None if anew else goes_on_with(session_keys(pretended, policy.scope), now, wanted)
    if joined is None:
        if optouts.is_known_to_be_out(pretended.sender, to):
            raise CannotSend(OPTED_OUT)
        filed = filing.find_session(pretended, channel, policy, now, anew=anew)
        if filed is None:
            raise CannotSend(f"{message_id} was sent already.")
        joined = filed.session
    return Place(joined.id, channel.id, communication_type, joined.contact_id), to


def find_place(runtime: Runtime, communication_type: str, to: Address, message_id: str) -> tuple[Place, Address]:
    """Find where a message to an address would go, or open a session for it; gives the address as it is written to.

    CannotSend where its person opted out. Nothing is sent.
    """
    place, to = _place(runtime, communication_type, to, message_id, None, anew=False)
    if optouts.has_opted_out(place.contact_id, to):
        raise CannotSend(OPTED_OUT)
    return place, to


def _pretended(communication_type: str, to: Address, message_id: str, now: datetime) -> InboundMessage:
    """Give what the person would have sent us just now: who they are, and on which line."""
    return InboundMessage(
        id=message_id,
        communication_type=communication_type,
        sender=participant(to.to),
        recipient=address(to.sender),
        content="",
        received_at=now,
        provider_sid=message_id,
    )


def keys_of(runtime: Runtime, communication_type: str, to: Address) -> tuple[str, ...]:
    """Give the keys that a person's sessions on a line are found by."""
    pretended = _pretended(communication_type, to, "", runtime.clock.now())
    return session_keys(pretended, Scope(runtime.settings.sessions.scope))


def goes_on_with(keys: tuple[str, ...], now: datetime, wanted: str | None) -> SessionView | None:
    """Find the session that a message of ours goes on with: the person's open one, else the one that is looked at."""
    newest = finding.find_neighbours(keys, now).before
    seen = finding.get(wanted) if wanted else None
    if newest and (newest.is_open or (newest == seen and not newest.is_final_at(now))):
        return newest
    # An older one may be open too: somebody opened it again.
    return seen if seen and seen.is_open and not set(seen.keys).isdisjoint(keys) else None


def _repeated(runtime: Runtime, message_id: str, to: Address, draft: Draft) -> Queued | None:
    """Give what was queued under this id, if anything, and store and queue what a crash left out."""
    message = outbound.get(message_id)
    if message is None:
        return None
    if message.text == _pieces(message.place, draft)[0]:
        return replace(_queue(runtime, message.place, to, draft, message.id, message.at), fresh=False)
    if message.place.communication_type not in HOSTED:
        queue.sending(runtime, message, to)
    return Queued((message.id,), message.place.session_id, fresh=False)


def _pieces(place: Place, draft: Draft) -> list[str]:
    return CHANNELS[place.communication_type].split(draft.text) or [""]


def _says_something(communication_type: str, text: str) -> bool:
    """Tell whether anything of a text is left where the channel leaves out what nobody can read."""
    return any(piece.strip() for piece in CHANNELS[communication_type].split(text))


def _queue(runtime: Runtime, place: Place, to: Address, draft: Draft, message_id: str, now: datetime) -> Queued:
    texts = _pieces(place, draft)
    facts = {**draft.facts, "address": asdict(to)} | ({"author": draft.author} if draft.author else {})
    hosted = place.communication_type in HOSTED
    messages = [
        Outbound(
            id=message_id if number == 0 else f"{message_id}:{number + 1}",
            place=place,
            text=text,
            at=at,
            sender=draft.sender,
            media=tuple(draft.media) if number == 0 else (),
            status="delivered" if hosted else "queued",
            content_sid=draft.content_sid,
            content_variables=draft.content_variables,
            facts=facts | ({} if hosted else {"segments": segments(text).count, "encoding": segments(text).encoding}),
        )
        for number, (text, at) in enumerate(zip(texts, outbound.piece_times(now, len(texts)), strict=True))
    ]
    documents = [outbound.document_of(message, now) for message in messages]
    fresh = outbound.insert(documents)
    counting.count_ours(place.session_id, documents[-1]["createdAt"], now, messages=fresh)
    for message in () if hosted else messages:
        queue.sending(runtime, message, to)
    log.info(
        "reply_sent" if hosted else "message_queued",
        message_id=message_id,
        session_id=place.session_id,
        sender=draft.sender,
    )
    return Queued(tuple(message.id for message in messages), place.session_id, fresh=fresh > 0)
