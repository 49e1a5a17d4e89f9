"""Sessions opened together: for messages of one group whose senders have none, or whose last one is over.

Each would take the same steps alone, in the order of rule T2 (`filing`): is it stored already, has the last session a
message that was not counted, who is its sender, close the last one, open the next. Here each step is taken once for all
of them; what that buys: benchmarks/webhooks/README.md. What is stored is the same, and so is what keeps racers apart:
unique indexes, and that a session is closed only as it was seen.

Only what is plain comes along. Whoever says a keyword, has a flow to take with them, was merged with somebody or is to
be, or meets a racer at any step, is left to `filing`, which looks at everything again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.conversation import filing, optouts
from gateway.conversation.filing import Filed
from gateway.conversation.runtime import Runtime
from gateway.conversation.storing import Arrival
from gateway.core.identifiers import told_apart
from gateway.core.sessions import CarryOver, Neighbours, Rule, SessionDecision, SessionView, decide
from gateway.store import messages, senders, sessions
from gateway.store.contacts import Contact, Sender

_RULES = frozenset({Rule.FIRST_MESSAGE, Rule.PAST_THRESHOLD, Rule.CLOSED_FOR_GOOD})


@dataclass(frozen=True, slots=True)
class _Opening:
    """A message that needs a session of its own, behind `before` where its sender had one."""

    arrival: Arrival
    sender: Sender
    before: SessionView | None
    decision: SessionDecision


_Openings = Mapping[int, _Opening]


def open_all(runtime: Runtime, arrivals: Mapping[int, tuple[Arrival, Neighbours]]) -> dict[int, Filed]:
    """Open the sessions that messages need whose senders' sessions are known; gives where they go, by position.

    Whoever is missing in what it gives is to be filed alone. No two of them are found by the same key.
    """
    plain = {number: one for number, seen in arrivals.items() if (one := _opening(*seen))}
    if not plain:
        return {}
    now = runtime.clock.now()
    unstored = _unstored(plain)
    contacts = _contacts(runtime, unstored, now)
    ready = _closed({number: unstored[number] for number in contacts}, now)
    new = {number: _session(one, contacts[number], now) for number, one in ready.items()}
    taken = sessions.open_each(list(new.values())) if new else set()
    return {
        number: Filed(
            filing.as_opened(session, plain[number].arrival.message, now),
            plain[number].decision.as_stored(),
            session.first_message_at,
            opened=True,
        )
        for number, session in new.items()
        if session.id not in taken
    }


def _opening(arrival: Arrival, neighbours: Neighbours) -> _Opening | None:
    """Tell which session a message needs; None where it goes on in one, or there is more to it."""
    message, before = arrival.message, neighbours.before
    if neighbours.after or (before and (before.opened_by == message.id or _carries(before, arrival.policy.carry_over))):
        return None
    decision = decide(neighbours, message.received_at, arrival.policy)
    if decision.rule not in _RULES:
        return None
    sender = Sender(told_apart(message.sender, arrival.policy.shared), message.recipient.number)
    return _Opening(arrival, sender, before, decision)


def _carries(before: SessionView, carry_over: CarryOver) -> bool:
    """Tell whether a session may have something for the next one."""
    return carry_over is CarryOver.ALL or (carry_over is CarryOver.FLOW and before.flow is not None)


def _unstored(openings: _Openings) -> _Openings:
    """Leave out what is stored already, and whose last session has a message that its writer did not come to count."""
    stored = messages.stored_among([one.arrival.message.id for one in openings.values()])
    befores = [one.before for one in openings.values() if one.before]
    uncounted = messages.received_since({one.id: one.last_inbound_at or one.first_message_at for one in befores})
    return {
        number: one
        for number, one in openings.items()
        if one.arrival.message.id not in stored and (one.before is None or one.before.id not in uncounted)
    }


def _contacts(runtime: Runtime, openings: _Openings, now: datetime) -> dict[int, Contact]:
    """Find the contacts of those who had a session, and make those of others; leaves out who is to be met alone."""
    shared = runtime.settings.contacts.shared
    here = senders.known({one.sender for one in openings.values() if one.before}, shared, quick=True)
    here |= senders.make({one.sender for one in openings.values() if not one.before}, now, shared=shared, quick=True)
    return {
        number: here[one.sender]
        for number, one in openings.items()
        if one.sender in here and not optouts.read(runtime, one.arrival.message, here[one.sender].opted_out)
    }


def _closed(openings: _Openings, now: datetime) -> _Openings:
    """Close the sessions that are left behind, and leave out whose has had another message since."""
    left = [(one.before, one.arrival.message.received_at) for one in openings.values() if one.before]
    still_open = [(before, moment) for before, moment in left if before.is_open]
    moved = sessions.close_each(still_open, now) if still_open else set()
    return {number: one for number, one in openings.items() if one.before is None or one.before.id not in moved}


def _session(one: _Opening, contact: Contact, now: datetime) -> sessions.NewSession:
    arrival = one.arrival
    keys = filing.all_keys(arrival.keys, contact, arrival.policy)
    neighbours = Neighbours(before=one.before)
    return filing.new_session(arrival.message, arrival.channel, contact, keys, keys, neighbours, one.decision, now)
