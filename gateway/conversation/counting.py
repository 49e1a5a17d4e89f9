"""Counting what was stored in its session, which wakes up again where it was only idle."""

from datetime import datetime, timedelta

from gateway.conversation.filing import Filed
from gateway.core.identifiers import told_apart
from gateway.core.limits import slot_of, stale
from gateway.core.messages import InboundMessage
from gateway.store import contacts, finding, linking, sessions
from gateway.store.sessions import Touch

# A call whose end is never reported lets go of its session after this time.
LIVE_CALL = timedelta(hours=4)

# How long a webhook may take between storing and counting: its deadline, and as much again.
IN_FLIGHT = timedelta(seconds=4)


def touch_of(
    message: InboundMessage, filed: Filed, *, stored: int, now: datetime, answers: int = 0, notice: str = ""
) -> Touch:
    """Give what counting a stored turn does to its session."""
    begins = _begins(message, filed)
    return Touch(
        session_id=filed.session.id,
        moment=filed.moment,
        now=now,
        messages=stored,
        call=message.call.sid if message.call and begins else None,
        call_until=filed.moment + LIVE_CALL,
        answers=answers,
        slot=slot_of(filed.moment),
        stale=stale(filed.session.automatic, filed.moment),
        notice=notice,
    )


def _begins(message: InboundMessage, filed: Filed) -> bool:
    """Tell whether a message is where its call begins to hold the session open."""
    return message.call is not None and (message.call.number == 0 or filed.opened)


def count(message: InboundMessage, filed: Filed, touch: Touch, keys: tuple[str, ...], shared: frozenset[str]) -> bool:
    """Count what was stored in its session, opening that again where it was only idle.

    False where a person closed it meanwhile: the message must be filed again.
    """
    if message.call and not _begins(message, filed):
        return sessions.touch_by_id(touch)
    if filed.session.is_open and not sessions.touch([touch]):
        if fresh := set(keys) - set(filed.session.keys):
            sessions.add_keys(filed.session.id, sorted(fresh))
            if filed.session.contact_id:
                _learn(filed.session.contact_id, message, shared, touch.now)
        return True
    # Only the sender's newest session wakes up again; an older one takes late messages as it is.
    sessions.reopen_idle(filed.session.id, keys, touch.now)
    return sessions.touch_closed(touch)


def _learn(contact_id: str, message: InboundMessage, shared: frozenset[str], now: datetime) -> None:
    """Note a second identity of a sender; one that another contact has makes them one person, which a worker does.

    Whose session was found by what many people write by is not known to be this sender.
    """
    if told_apart(message.sender, shared) != message.sender:
        return
    if others := contacts.learn(contact_id, message.sender, line=message.recipient.number):
        linking.note(contact_id, others, linking.SEEN_TOGETHER, now)


def count_ours(session_id: str, moment: datetime, now: datetime, *, messages: int, answers: int = 0) -> None:
    """Count messages of ours that came by themselves, opening their session again where it was only idle (T5)."""
    if not messages:
        return
    session = finding.get(session_id)
    if session and not session.is_open:
        sessions.reopen_idle(session_id, session.keys, now)
    sessions.touch_by_id(
        Touch(session_id, moment, now, messages=messages, inbound=False, answers=answers, slot=slot_of(moment))
    )
