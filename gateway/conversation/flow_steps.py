"""A session's flow taken one step further by a message, once, whoever asks for it and however often.

The state says which message led to it and what that was answered. So a process that dies after the update that moved
it costs nothing: whoever comes next finds the message's own id there, and gives the very same answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from gateway.conversation import flow_effects
from gateway.conversation.counting import IN_FLIGHT
from gateway.conversation.runtime import Runtime
from gateway.core import flows
from gateway.core.errors import GatewayError, StoreUnavailable
from gateway.core.flows import Flow, Kind, State
from gateway.core.messages import VOICE, Channel, InboundMessage
from gateway.core.replies import ANYTHING, FLOW, Listening, Reply
from gateway.core.sessions import SessionView
from gateway.store import asked, flow_states, sessions
from gateway.store import flows as store_flows
from gateway.store.asked import Asked
from gateway.store.flows import Held
from gateway.store.outbound import Place

# Each attempt that fails means that another message moved the flow, so many in a row are a fault.
ATTEMPTS = 64

# Why a message got no answer of a flow that asks something: it was written before that was asked.
BEFORE_QUESTION = "before_question"

# What one of a few answers is chosen for; and what is said in several breaths.
_CHOSEN = frozenset({Kind.CHOICE, Kind.YES_NO})
_LONG = frozenset({Kind.ITEMS, Kind.TEXT, Kind.EMAIL, Kind.PHONE})


class NotYet(GatewayError):
    """What a flow has to answer first is not answered; `ahead` is that."""

    def __init__(self, ahead: list[Asked]) -> None:
        super().__init__(f"{ahead[0].id} is to be answered first")
        self.ahead = ahead


@dataclass(frozen=True, slots=True)
class Said:
    """What a flow answers to a message; nothing, for a reason."""

    reply: Reply
    reason: str = ""


def takes(runtime: Runtime, message: InboundMessage, channel: Channel, session: SessionView) -> bool:
    """Tell from what is known already whether a flow is to answer a message: the one that runs, or one it begins."""
    if running(runtime, session.flow, message.received_at):
        return True
    return runtime.has_flows(channel) and flows.starts(runtime.flows.values(), message.content) is not None


def running(runtime: Runtime, stored: Mapping[str, Any] | None, at: datetime) -> tuple[Flow, State] | None:
    """Give the flow that a session is in at a moment, and how far; None where there is none, or its time is over."""
    state = flow_states.read(stored)
    flow = runtime.flows.get(state.flow) if state else None
    if state is None or flow is None or not state.is_active or flows.is_over(flow, state, at):
        return None
    return flow, state


def answer(runtime: Runtime, message: Asked) -> Said | None:
    """Take a message's step and give what is said to it; None where no flow answers it. NotYet where others go first.

    All of it may be done again, by several at once.
    """
    for _ in range(ATTEMPTS):
        held = at_hand(runtime, message.place.session_id)
        state = flow_states.read(held.state)
        place = replace(message.place, session_id=held.session_id)
        if state and state.advanced_by == message.id:
            flow_effects.follow(runtime, place, runtime.flows.get(state.flow), None, state)
            return Said(reply_of(runtime, state, spoken=_is_spoken(message)))
        # Looked up after the state: what led to that was stored before it, so it is found if it waits.
        if first := asked.ahead(message, _sessions(message, held), state.advanced_by if state else ""):
            raise NotYet(first)
        if not held.is_open:
            return None
        if _is_late(runtime, message, held):
            return Said(Reply(), BEFORE_QUESTION)
        taken = _next(runtime, message, held)
        if taken is None:
            return None
        flow, after = taken
        if store(runtime, place, held, flow, after) and after.advanced_by == message.id:
            return Said(reply_of(runtime, after, spoken=_is_spoken(message)))
    raise StoreUnavailable(f"the flow of {message.place.session_id} moved {ATTEMPTS} times meanwhile")


def at_hand(runtime: Runtime, session_id: str) -> Held:
    """Look at where a session's flow is by now: there, or in the session that goes on with it.

    One that was closed for idleness meanwhile is opened again, for it is about to be answered in.
    """
    held = store_flows.going_on(session_id)
    if held and not held.is_open and sessions.reopen_idle(held.session_id, held.keys, runtime.clock.now()):
        held = store_flows.held(held.session_id)
    return held or Held(session_id, is_open=False, keys=(), state=None)


def _sessions(message: Asked, held: Held) -> set[str]:
    """Give where messages may wait that were said before this one, in the same flow."""
    earlier = (held.state or {}).get(store_flows.CARRIED_FROM)
    return {message.place.session_id, held.session_id} | ({earlier} if earlier else set())


def _is_late(runtime: Runtime, message: Asked, held: Held) -> bool:
    """Tell whether a message is from before the question, so that it cannot be an answer to that."""
    at_it = running(runtime, held.state, message.at)
    return at_it is not None and message.at < at_it[1].waiting_since - IN_FLIGHT


def _next(runtime: Runtime, message: Asked, held: Held) -> tuple[Flow | None, State] | None:
    """Give the state a message leads to, or the end of a flow that is over by then; None where there is no flow."""
    at, by, spoken = message.at, message.id, _is_spoken(message)
    if at_it := running(runtime, held.state, at):
        keyed = message.metadata.get("input") == "dtmf"
        return at_it[0], flows.step(*at_it, message.content, at=at, by=by, spoken=spoken, digits=keyed).state
    before = flow_states.read(held.state)
    if before and before.is_active:
        return expired(runtime, before, at, spoken=spoken)
    if before and (before.run == by or at < before.waiting_since - IN_FLIGHT):
        return None  # what it began or asked for is over since
    if begun := _begun_by(runtime, message):
        return begun, flows.begin(begun, run=by, at=at, by=by, text=message.content, spoken=spoken).state
    return None


def expired(runtime: Runtime, state: State, at: datetime, *, spoken: bool) -> tuple[Flow | None, State]:
    """End a flow whose time is over, or whose file is gone; on a call without a word."""
    flow, by = runtime.flows.get(state.flow), flow_effects.by_itself(state.run, "timeout")
    if flow is None:
        return None, state.ended(flows.Outcome.EXPIRED, at=at, by=by)
    after = flows.expire(flow, state, at=at, by=by).state
    return flow, replace(after, reply="", spoken="") if spoken else after


def store(runtime: Runtime, place: Place, held: Held, flow: Flow | None, after: State) -> bool:
    """Let a state follow on the one that was seen; False where that moved on meanwhile, or its session was closed."""
    before, now = flow_states.read(held.state), runtime.clock.now()
    if before and before.run != after.run and (held.state or {}).get("due"):
        # Whoever ended that one may have died before what follows from it was queued.
        flow_effects.follow(runtime, place, runtime.flows.get(before.flow), None, before)
    if not store_flows.advance(held.session_id, held.state, flow_effects.kept(flow, after, now), now):
        return False
    flow_effects.follow(runtime, place, flow, before if before and before.run == after.run else None, after)
    return True


def _begun_by(runtime: Runtime, message: Asked) -> Flow | None:
    """Find the flow that a message begins, where its channel has flows at all."""
    place = message.place
    channel = runtime.channels.get(place.channel_id) or Channel(place.channel_id, place.communication_type)
    return flows.starts(runtime.flows.values(), message.content) if runtime.has_flows(channel) else None


def _is_spoken(message: Asked) -> bool:
    return message.place.communication_type == VOICE


def reply_of(runtime: Runtime, state: State, *, spoken: bool) -> Reply:
    """Give what a state says, in writing or on a call."""
    if not spoken:
        return Reply(state.reply, FLOW)
    flow = runtime.flows.get(state.flow)
    return Reply(state.spoken or state.reply, FLOW, listening=_listening(flow, state) if flow else ANYTHING)


def _listening(flow: Flow, state: State) -> Listening:
    """Tell what a caller is likely to answer."""
    if not state.is_active:
        return ANYTHING
    options, known = flows.offered(flow, state), flow.field(state.asking)
    hints = tuple(dict.fromkeys(word for one in options for word in (one.value, *one.words)))
    one_key = known is not None and known.kind in _CHOSEN and all(len(one.key) == 1 for one in options)
    return Listening(hints, keys=int(one_key and bool(options)), long=known is not None and known.kind in _LONG)
