"""Messages filed by the real rules in the order they were said: stored ones again, or bare ones for the first time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gateway.core.sessions import (
    Kind,
    Neighbours,
    Policy,
    Rule,
    SessionDecision,
    SessionView,
    decide,
    decide_anew,
)

# How long a call is taken to be on if its end was never told; the same as when it was filed.
CALL = timedelta(hours=4)


@dataclass(frozen=True, slots=True)
class Said:
    """A stored message as far as it is filed by: `rule` and `pause` (seconds) are those of its decision, None
    on what we sent.

    `activity` is false on what keeps no session alive, such as notices. A call's first message carries its
    `call` and, once it is over, when that was.
    """

    id: str
    at: datetime
    rule: str | None = None
    pause: float | None = None
    activity: bool = True
    call: str | None = None
    call_ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """A session as another threshold draws it: all its messages, in order."""

    messages: tuple[str, ...]


def rethread(said: Iterable[Said], policy: Policy) -> list[Piece]:
    """File messages of one sender again. What a person decided stays: asked for, or closed, is a new session."""
    pieces: list[list[str]] = []
    view: SessionView | None = None
    ends: list[datetime] = []
    for message in sorted(said, key=lambda one: (one.at, one.rule is None)):
        view = view and _hung_up(view, message.at, ends)
        if message.rule is not None:
            decision = _decide(view, message, policy)
            if view is None or decision.session_id is None:
                view, ends = SessionView(str(len(pieces)), message.at, message.at, message.at), []
                pieces.append([])
            view = _received(view, message, ends)
        elif view is None:
            continue  # What we sent before anything came belongs to a session that is not looked at.
        elif message.activity:
            view = replace(view, last_message_at=max(view.last_message_at, message.at))
        pieces[-1].append(message.id)
    return [Piece(tuple(messages)) for messages in pieces]


def _decide(view: SessionView | None, message: Said, policy: Policy) -> SessionDecision:
    if view is not None and message.rule == Rule.SAME_CALL:
        return SessionDecision(Kind.REUSED, Rule.SAME_CALL, policy, session_id=view.id)
    by_hand = message.rule in (Rule.ASKED_FOR, Rule.CLOSED_FOR_GOOD)
    return (decide_anew if by_hand else decide)(Neighbours(before=view), message.at, policy)


def _received(view: SessionView, message: Said, ends: list[datetime]) -> SessionView:
    """Count an inbound message; a call that begins with it keeps the session open until it ends."""
    view = _active_at(view, message.at)
    if message.call is None:
        return view
    if message.call_ended_at:
        ends.append(message.call_ended_at)
    until = message.call_ended_at or message.at + CALL
    return replace(view, live=(*view.live, message.call), live_until=max(view.live_until or until, until))


def _hung_up(view: SessionView, moment: datetime, ends: list[datetime]) -> SessionView:
    """Count the calls that ended by then: a call's end is activity."""
    over = [end for end in ends if end <= moment]
    ends[:] = [end for end in ends if end > moment]
    return _active_at(view, max(over)) if over else view


def _active_at(view: SessionView, moment: datetime) -> SessionView:
    return replace(
        view,
        last_message_at=max(view.last_message_at, moment),
        last_inbound_at=max(view.last_inbound_at or moment, moment),
    )


def cuts(pieces: Sequence[Piece]) -> list[str]:
    """Give the messages that begin all sessions but the first."""
    return [piece.messages[0] for piece in pieces[1:]]


@dataclass(frozen=True, slots=True)
class Bare:
    """A message that was in no session yet."""

    id: str
    at: datetime
    inbound: bool


@dataclass(frozen=True, slots=True)
class Threaded:
    """Where a bare message belongs: the session, and the decision that said so."""

    message: Bare
    session_id: str
    decision: SessionDecision


def thread(messages: Iterable[Bare], policy: Policy, named: Callable[[Bare], str]) -> Iterator[Threaded]:
    """File the messages of one sender, given in the order they were said, as they would have been had they come here.

    What we sent is judged like what was received, as when it is read from the provider's log. `named` gives the id of
    the session that begins with a message.
    """
    view: SessionView | None = None
    for message in messages:
        decision = decide(Neighbours(before=view), message.at, policy)
        if view is None or decision.session_id is None:
            view = SessionView(named(message), message.at, message.at, message.at)
        if message.inbound:
            view = _active_at(view, message.at)
        else:
            view = replace(view, last_message_at=max(view.last_message_at, message.at))
        yield Threaded(message, view.id, decision)
