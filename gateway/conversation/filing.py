"""Where a message goes: the session finder's rules applied to MongoDB, safe with any number of processes.

The order of writes is what survives kill -9 at every step (rule T2): find, decide, open a session where one is
needed, insert the message, touch the session. Everything here may be repeated; nothing is locked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from gateway.channels import CHANNELS
from gateway.conversation import carrying
from gateway.core.errors import StoreRefused
from gateway.core.identifiers import canonical
from gateway.core.limits import lately
from gateway.core.messages import CHAT, Channel, InboundMessage
from gateway.core.sessions import (
    IDLE,
    Kind,
    Neighbours,
    Policy,
    Rule,
    Scope,
    SessionDecision,
    SessionView,
    decide,
    decide_anew,
    session_keys,
)
from gateway.core.times import ms_between
from gateway.store import calls as store_calls
from gateway.store import contacts, finding, linking, messages, sessions
from gateway.store.contacts import Contact

# What a session keeps of its first message's parameters.
_KEPT = ("prefix", "userId", "claimedEmail")

# Each attempt that fails means that a racer succeeded, so many of them in a row is a fault of this message's sessions,
# and not of MongoDB's.
ATTEMPTS = 64


@dataclass(frozen=True, slots=True)
class Filed:
    """Where a message belongs. `moment` is when it was first received, which a redelivery keeps."""

    session: SessionView
    decision: Mapping[str, Any]
    moment: datetime
    opened: bool = False
    # The contact that turned out to be another one too, as was noted.
    to_merge: str = ""


def find_session(
    message: InboundMessage,
    channel: Channel,
    policy: Policy,
    now: datetime,
    *,
    claimed: bool = False,
    anew: bool = False,
    seen: Neighbours | None = None,
) -> Filed | None:
    """Find the message's session, or open it; None where the message turns out to be stored already.

    With `claimed` it is stored, by ourselves, and looks for another session than the one that was closed. With
    `anew` its sender asked for a new one. `seen` spares the first look; whatever changed since is a race, as ever.
    """
    keys = session_keys(message, policy.scope)
    for _ in range(ATTEMPTS):
        neighbours, seen = seen or finding.find_neighbours(keys, message.received_at), None
        if own := _opened_for(message, neighbours):
            return own
        decide_on = decide_anew if anew else decide
        decision = decide_on(neighbours, message.received_at, policy)
        joined = _joined(neighbours, decision)
        if joined is not None:
            return Filed(joined, decision.as_stored(), message.received_at)
        if decision.rule is Rule.PAST_THRESHOLD and (uncounted := _join_uncounted(message, neighbours, policy)):
            return uncounted
        if not claimed and messages.find_claimed(message.id) is not None:
            return None
        filed = _open(message, channel, keys, neighbours, decision, now)
        if filed is not None:
            return filed
    raise StoreRefused(f"no session could be found or opened in {ATTEMPTS} attempts")


def _joined(neighbours: Neighbours, decision: SessionDecision) -> SessionView | None:
    for session in (neighbours.before, neighbours.after):
        if session is not None and session.id == decision.session_id:
            return session
    return None


def _join_uncounted(message: InboundMessage, neighbours: Neighbours, policy: Policy) -> Filed | None:
    """Look, before a session is left behind, whether it has a message that its writer did not come to count.

    A writer that dies in between leaves the session's times behind its messages, so a gap measured from them is too
    long. Only a rollover pays for this look.
    """
    before = neighbours.before
    newest = messages.last_received_at(before.id) if before else None
    if before is None or newest is None or newest <= (before.last_inbound_at or before.first_message_at):
        return None
    if not messages.has_uncounted(before.id):
        return None  # somebody set its times back
    seen = replace(before, last_inbound_at=newest, last_message_at=max(newest, before.last_message_at))
    decision = decide(replace(neighbours, before=seen), message.received_at, policy)
    # Counting this message moves the session's times past the other's; its count is settled by the worker.
    return Filed(seen, decision.as_stored(), message.received_at) if decision.session_id == seen.id else None


def _opened_for(message: InboundMessage, neighbours: Neighbours) -> Filed | None:
    """Go on where a writer died (or still is) between opening the session and storing its first message."""
    for session in (neighbours.before, neighbours.after):
        if session is None or session.is_final_at(message.received_at):
            continue
        if session.opened_by == message.id:
            return Filed(session, session.opening["decision"], session.opening["at"], opened=True)
    return None


def _open(
    message: InboundMessage,
    channel: Channel,
    keys: tuple[str, ...],
    neighbours: Neighbours,
    decision: SessionDecision,
    now: datetime,
) -> Filed | None:
    """Open the session of a message; None where a racer was faster and all must be looked at again."""
    before, after = neighbours.before, neighbours.after
    policy = decision.policy
    contact = contacts.resolve(message.sender, now, line=message.recipient.number, shared=policy.shared)
    keys = all_keys(keys, contact, policy)
    to_merge = contact.id if contact and _turned_out_one(contact, message, now) else ""
    every, reason = decision.rule is Rule.EVERY_MESSAGE, "requested" if decision.rule is Rule.ASKED_FOR else IDLE
    # With threshold 0 sessions of one sender stand beside each other, so the message is part of the key.
    open_keys = () if after else tuple(f"{key}|{message.id}" for key in keys) if every else keys
    rolls_over = open_keys and before is not None and before.is_open
    if rolls_over and before:
        closed = sessions.close_idle(before, message.received_at, now, reason=reason)
        if not closed and not every:
            return None
    new = new_session(message, channel, contact, keys, open_keys, neighbours, decision, now)
    context = carrying.carried(new, before, decision) if open_keys and before else {}
    if context is None:
        return None
    new = replace(new, context=context)
    if not sessions.open_session(new):
        return _give_way(message, open_keys, policy, now)
    session = as_opened(new, message, now)
    return Filed(session, decision.as_stored(), message.received_at, opened=True, to_merge=to_merge)


def all_keys(keys: tuple[str, ...], contact: Contact | None, policy: Policy) -> tuple[str, ...]:
    """Give the keys of a contact's session: those of the message that opens it and, in scope contact, all others."""
    if contact is None or policy.scope is not Scope.CONTACT:
        return keys
    # Who writes by several numbers, or two spellings of one, has one open session all the same.
    own = (one for one in contact.identities if canonical(one) not in policy.shared)
    return tuple(dict.fromkeys((*keys, *own)))


def as_opened(new: sessions.NewSession, message: InboundMessage, now: datetime) -> SessionView:
    """Give a session as it is found once it is opened."""
    return SessionView(
        id=new.id,
        first_message_at=message.received_at,
        last_message_at=message.received_at,
        created_at=now,
        communication_type=message.communication_type,
        is_open=bool(new.open_keys),
        previous_session_id=new.previous_session_id,
        contact_id=new.contact_id,
        opened_by=message.id,
        keys=new.keys,
        opted_out=new.opted_out,
        automatic=new.automatic,
        bot_off=new.bot_off,
        assigned_to=new.assigned_to,
        flow=new.context.get(sessions.FLOW),
    )


def _turned_out_one(contact: Contact, message: InboundMessage, now: datetime) -> bool:
    """Note whom else the sender is: two contacts until now, and one person by what this message came with."""
    reason = linking.EMAIL_PROVED if message.communication_type == CHAT else linking.SEEN_TOGETHER
    return bool(contact.others) and linking.note(contact.id, contact.others, reason, now)


def _give_way(message: InboundMessage, open_keys: tuple[str, ...], policy: Policy, now: datetime) -> Filed | None:
    """Deal with an open session that holds one of our keys: join it where the rules allow, else close it.

    Mostly that is a racer's, found by the next look. It is another only where two identities of one person,
    a phone and a WhatsApp user id, had a session each before they were seen together. One that somebody closed in the
    database by its status alone holds its keys still, and would keep out whoever writes next.
    """
    holder = finding.find_holder(open_keys) if open_keys else None
    if holder is None:
        return None
    if not holder.is_open:
        sessions.let_go_of_keys(holder.id)
        return None
    if own := _opened_for(message, Neighbours(before=holder)):
        return own  # another copy of this very message was faster
    later = holder.first_message_at > message.received_at
    decision = decide(Neighbours(after=holder) if later else Neighbours(before=holder), message.received_at, policy)
    if decision.session_id is not None:
        return Filed(holder, decision.as_stored(), message.received_at)
    if not later:
        sessions.close_idle(holder, message.received_at, now)
    return None


def new_session(
    message: InboundMessage,
    channel: Channel,
    contact: Contact | None,
    keys: tuple[str, ...],
    open_keys: tuple[str, ...],
    neighbours: Neighbours,
    decision: SessionDecision,
    now: datetime,
) -> sessions.NewSession:
    """Give the session that is to be opened for a message, between its neighbours."""
    before, after = neighbours.before, neighbours.after
    metadata = {
        "fromNumber": message.sender.number,
        "toNumber": message.recipient.number or message.recipient.label,
        "firstMessageAt": message.received_at,
    }
    metadata |= {name: message.metadata[name] for name in _KEPT if message.metadata.get(name)}
    slot = [keys[0], before.id if before else "", after.id if after else ""]
    return sessions.NewSession(
        id=sessions.new_id(),
        keys=keys,
        open_keys=open_keys,
        slot="|".join([*slot, message.id] if decision.rule is Rule.EVERY_MESSAGE else slot),
        channel_id=channel.id,
        communication_type=message.communication_type,
        title=CHANNELS[message.communication_type].title(message.sender.label),
        metadata=metadata,
        first_message_at=message.received_at,
        now=now,
        opening={"message_id": message.id, "at": message.received_at, "decision": decision.as_stored()},
        closed_at=message.received_at + timedelta(milliseconds=decision.policy.threshold_ms or 0),
        contact_id=contact.id if contact else None,
        previous_session_id=before.id if before else None,
        opted_out=contact.opted_out if contact else (),
        automatic=lately(before.automatic, message.received_at) if before else {},
        bot_off=before.bot_off if before else False,
        assigned_to=before.assigned_to if before else "",
    )


def file_turns(messages: Sequence[InboundMessage], policies: Sequence[Policy]) -> list[Filed | None]:
    """Find the sessions of later turns of calls: those of their first webhooks, whatever the gap (I7)."""
    turns = [message.call for message in messages if message.call]
    homes = store_calls.homes([turn.sid for turn in turns])
    wanted = [homes.get(turn.sid, turn.session_id or "") for turn in turns]
    sessions = finding.get_all(set(wanted))
    return [
        _file_turn(message, sessions[home], policy) if home in sessions else None
        for message, home, policy in zip(messages, wanted, policies, strict=True)
    ]


def _file_turn(message: InboundMessage, session: SessionView, policy: Policy) -> Filed:
    gap = max(0, ms_between(session.anchored_at(policy.anchor), message.received_at))
    decision = SessionDecision(Kind.REUSED, Rule.SAME_CALL, policy, session_id=session.id, gap_ms=gap)
    return Filed(session, decision.as_stored(), message.received_at)
