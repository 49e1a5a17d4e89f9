"""One message filed, answered, stored and counted, each in the order that survives kill -9 (rule T2)."""

import dataclasses
from dataclasses import dataclass, field

from gateway.conversation import counting, filing, guards, optouts, respond
from gateway.conversation.filing import Filed
from gateway.conversation.runtime import Runtime
from gateway.core.errors import StoreUnavailable
from gateway.core.messages import Channel, Delivery, InboundMessage
from gateway.core.optout import Keyword
from gateway.core.sessions import Neighbours, Policy, session_keys
from gateway.core.times import ms_between
from gateway.store import messages
from gateway.store.answers import Answer
from gateway.store.messages import StoredTurn
from gateway.store.sessions import Touch


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that came in on a channel, and how it is to be judged and answered there.

    `keys` are what its sender's sessions are found by.
    """

    message: InboundMessage
    channel: Channel
    policy: Policy
    delivery: Delivery
    keys: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Derive what is looked at several times."""
        object.__setattr__(self, "keys", session_keys(self.message, self.policy.scope))

    @property
    def is_later_turn(self) -> bool:
        """Tell whether a call goes on with this, in the session of its first webhook (I7)."""
        return self.message.call is not None and self.message.call.number != 0


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of an arrival: where it was filed, its turn, and the ids that were new."""

    filed: Filed
    turn: StoredTurn
    ids: frozenset[str]


def store(runtime: Runtime, arrival: Arrival, *, seen: Neighbours | None = None) -> Stored | None:
    """Store and count one message by itself; None where it, or what it says as a keyword, was taken already.

    `seen` are its sender's sessions where they were just looked up.
    """
    message = arrival.message
    filed = _file(runtime, arrival, seen)
    if filed is None:
        return None
    word = optouts.read(runtime, message, filed.session.opted_out)
    if word:
        if messages.find_claimed(message.id):
            return None
        optouts.record(runtime, dataclasses.replace(message, received_at=filed.moment), filed.session, word)
    turn = answered(runtime, arrival, filed, word)
    ids = messages.insert([turn])
    return count(runtime, arrival, Stored(filed, turn, frozenset(ids))) if message.id in ids else None


def _file(runtime: Runtime, arrival: Arrival, seen: Neighbours | None) -> Filed | None:
    """Find the message's session; None where the message is stored already."""
    message, policy = arrival.message, arrival.policy
    if arrival.is_later_turn and (filed := filing.file_turns([message], [policy])[0]):
        return filed
    anew = guards.asks_for_new_session(runtime, message)
    return filing.find_session(message, arrival.channel, policy, runtime.clock.now(), anew=anew, seen=seen)


def answered(runtime: Runtime, arrival: Arrival, filed: Filed, word: Keyword | None = None) -> StoredTurn:
    """Answer a message in its session, as it is to be stored; writes nothing. Keywords are not ours to answer."""
    delivery, message = arrival.delivery, arrival.message
    if message.received_at != filed.moment:
        message = dataclasses.replace(message, received_at=filed.moment)
    if not delivery.waiting:
        waited = ms_between(message.received_at, runtime.clock.now()) / 1000
        message = dataclasses.replace(message, metadata={**message.metadata, "spooledSeconds": waited})
    if word:
        message = dataclasses.replace(message, metadata={**message.metadata, "keyword": str(word)})
    silent = delivery.unanswered or optouts.why_silent(message, filed.session.opted_out, word)
    answer = (
        respond.silence(runtime, message, filed.session.id, reason=silent)
        if silent
        else respond.compose(runtime, message, arrival.channel, filed, delivery)
    )
    return StoredTurn(
        message,
        session_id=filed.session.id,
        channel_id=arrival.channel.id,
        contact_id=filed.session.contact_id,
        decision=filed.decision,
        answer=_from(delivery, answer),
        now=runtime.clock.now(),
    )


def _from(delivery: Delivery, answer: Answer) -> Answer:
    """Note on an answer which webhook is to tell it; should that fail, it is known to be untold."""
    if not delivery.webhooks or not (answer.pieces or delivery.unanswered):
        return answer
    return dataclasses.replace(answer, webhook=delivery.webhooks[0])


def touch_of(stored: Stored) -> Touch:
    """Give what a stored turn does to its session."""
    answer = stored.turn.answer
    return counting.touch_of(
        stored.turn.message,
        stored.filed,
        stored=len(stored.ids),
        now=stored.turn.now,
        answers=int(bool(answer.pieces)),
        notice=answer.reason if answer.pieces else "",
    )


def count(runtime: Runtime, arrival: Arrival, stored: Stored) -> Stored:
    """Count a stored turn in its session; file it again if a person closed that at this very moment."""
    channel, policy = arrival.channel, arrival.policy
    for _ in range(filing.ATTEMPTS):
        turn, message = stored.turn, stored.turn.message
        if counting.count(message, stored.filed, touch_of(stored), arrival.keys, policy.shared):
            return stored
        filed = filing.find_session(message, channel, policy, runtime.clock.now(), claimed=True)
        if filed is None:
            break
        answer = respond.rewrite(runtime, message, channel, turn.answer, filed.session.id)
        moved = dataclasses.replace(turn, session_id=filed.session.id, decision=filed.decision, answer=answer)
        messages.relink(moved, away_from=turn.session_id)
        stored = Stored(filed, moved, stored.ids)
    raise StoreUnavailable("the message's session is closed faster than it can be counted in one")
