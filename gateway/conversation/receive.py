"""The first use case: take one inbound message, at most once, and say what its sender is answered."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from gateway.channels import CHANNELS
from gateway.conversation import (
    actions,
    calls,
    claims,
    counting,
    flow_turns,
    group_commit,
    linking,
    queue,
    unheard,
)
from gateway.conversation.flow_turns import Told
from gateway.conversation.runtime import Runtime
from gateway.conversation.storing import Arrival
from gateway.conversation.telling import tell_answer, tell_decision, tell_stored
from gateway.core.errors import StoreUnavailable
from gateway.core.messages import AT_ONCE, CallTurn, Delivery, InboundMessage
from gateway.core.replies import FLOW, answer_id
from gateway.core.statuses import CALL_ENDS
from gateway.core.webhooks import is_retry
from gateway.store import answers, audit, messages, sessions, writing
from gateway.store import calls as store_calls
from gateway.store.answers import PENDING, QUEUED
from gateway.store.connection import deadline
from gateway.store.messages import Claimed, StoredTurn
from gateway.store.outbound import Place


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message: `twiml` goes back to Twilio, the rest explains it."""

    message_id: str
    session_id: str
    twiml: str
    decision: Mapping[str, Any]
    received_at: datetime
    answer: str
    duplicate: bool = False
    responder: str = ""


def receive(runtime: Runtime, message: InboundMessage, delivery: Delivery = AT_ONCE) -> Outcome:
    """File, answer and store a message; a redelivery gets the first delivery's answer and changes nothing.

    What cannot be answered at once is queued for the worker, after the message is stored and counted; so is all
    that nobody waits for any more. A flow answers what is stored.

    StoreUnavailable if MongoDB did not confirm in time; then it may be stored or not, and a redelivery tells.
    """
    if message.call:
        with deadline():
            message = _numbered(message, message.call)
    outcome = _receive(runtime, message, delivery)
    if not delivery.waiting or outcome.responder != FLOW:
        return outcome
    told = runtime.aside(_tell_flow, runtime, message, delivery)
    return dataclasses.replace(outcome, twiml=told.twiml, answer=told.state)


def _tell_flow(runtime: Runtime, message: InboundMessage, delivery: Delivery) -> Told:
    channel = runtime.channels.resolve(message.communication_type, message.recipient, message.account_sid)
    return flow_turns.tell(runtime, message, channel, webhook=delivery.webhooks[0] if delivery.webhooks else "")


def _receive(runtime: Runtime, message: InboundMessage, delivery: Delivery) -> Outcome:
    channel = runtime.channels.known(message.communication_type, message.recipient)
    if channel is None or message.id in runtime.recent:
        with deadline():
            if message.id in runtime.recent and (claimed := messages.find_claimed(message.id)):
                return _redelivered(runtime, message, delivery, claimed)
            channel = runtime.channels.resolve(message.communication_type, message.recipient, message.account_sid)
    runtime.channels.hear(channel.id, message.received_at)
    arrival = Arrival(message, channel, runtime.policy_for(channel), delivery)
    stored = group_commit.store(runtime, arrival)
    if stored is None:
        return runtime.aside(_find_redelivered, runtime, message, delivery)
    runtime.recent.add(message.id)
    if steps := list(_follow_up(runtime, stored.turn, delivery)):
        runtime.aside(_take_steps, steps)
    filed, turn = stored.filed, stored.turn
    if filed.to_merge:
        runtime.aside(linking.link_now, runtime, filed.to_merge)
    claims.said_in(runtime, message, turn.contact_id, filed.session.id)
    tell_decision(runtime, message, filed, channel.id)
    tell_stored(message, stored.ids, filed.session.id, channel.id)
    answer = turn.answer
    if delivery.waiting and answer.pieces:
        tell_answer(answer_id(message.id), filed.session.id)
    waits_for = _waits_for(answer.state, answer.reply.responder)
    return Outcome(
        message.id, filed.session.id, answer.twiml, turn.decision, filed.moment, answer.state, responder=waits_for
    )


def _waits_for(state: str, responder: str) -> str:
    """Name who is to answer a message still; nobody where that is done."""
    return responder if state in (PENDING, QUEUED) else ""


def _numbered(message: InboundMessage, call: CallTurn) -> InboundMessage:
    turn = calls.numbered(call)
    return dataclasses.replace(message, id=f"{turn.sid}:{turn.number}", call=turn)


def _follow_up(runtime: Runtime, turn: StoredTurn, delivery: Delivery) -> Iterator[Callable[[], object]]:
    """Give what is to be done about a stored message: queue, fetch, and what its answer asked for beside words."""
    message, answer = turn.message, turn.answer
    if message.call and message.call.number == 0:
        yield partial(calls.apply_waiting, runtime, message.call.sid)
        yield partial(calls.let_go_if_over, runtime, message.call.sid)
    if (answer.state == PENDING or answer.due) and (answer.reply.responder != FLOW or not delivery.waiting):
        yield partial(_queue_answer, runtime, turn)
    if message.media:
        yield partial(queue.download, runtime, turn.session_id, message.id)
    place = Place(turn.session_id, turn.channel_id, message.communication_type, turn.contact_id)
    if answer.asks_for_more:
        yield partial(actions.follow, runtime, place, message.id, answer.reply.actions, answer.person)
    if not delivery.waiting and not message.call:
        yield partial(unheard.answer, runtime, message, place, delivery, pieces=len(answer.pieces))


def _take_steps(steps: Sequence[Callable[[], object]]) -> None:
    with deadline():
        for step in steps:
            step()


def _queue_answer(runtime: Runtime, turn: StoredTurn) -> None:
    if turn.answer.state == PENDING:
        queue.answer_call(runtime, turn.session_id, turn.contact_id, turn.message.id, turn.message.metadata)
    elif turn.answer.due:
        runtime.notify(answer_id(turn.message.id), turn.answer.due)


def _find_redelivered(runtime: Runtime, message: InboundMessage, delivery: Delivery) -> Outcome:
    with deadline():
        writing.confirm()
        return _redelivered(runtime, message, delivery, messages.find_claimed(message.id, confirmed=True))


def _redelivered(runtime: Runtime, message: InboundMessage, delivery: Delivery, claimed: Claimed | None) -> Outcome:
    """Answer from what is stored, and finish what its writer may have left undone."""
    if claimed is None:
        raise StoreUnavailable(f"{message.id} is being stored by somebody else and not readable yet")
    now = runtime.clock.now()
    lacking = claimed.answered and not answers.is_whole(claimed.id, claimed.pieces)
    if lacking and (missing := answers.finish(claimed.id, now)):
        sessions.touch_by_id(sessions.Touch(claimed.session_id, claimed.received_at, now, messages=missing))
    if not message.call:
        claimed = _tell_again(runtime, message, claimed, delivery)
    if claimed.state == PENDING and claimed.responder != FLOW:
        queue.answer_call(runtime, claimed.session_id, claimed.contact_id, claimed.id, message.metadata)
    if message.media:
        queue.download(runtime, claimed.session_id, claimed.id)
    if message.call and message.call.number == 0:
        if claimed.call_status not in CALL_ENDS:
            sessions.touch_by_id(_still_on(claimed, message.call.sid, runtime))
        calls.apply_waiting(runtime, message.call.sid)
        calls.let_go_if_over(runtime, message.call.sid)
    if claimed.actions or claimed.person:
        _follow_late(runtime, message, claimed)
    # A fallback URL is asked after a later turn failed, so it goes on from there.
    latest = store_calls.latest_turn(message.call.sid) if message.again and message.call else None
    twiml = (latest or claimed).twiml
    return Outcome(
        claimed.id,
        claimed.session_id,
        twiml,
        claimed.decision,
        claimed.received_at,
        claimed.state,
        duplicate=True,
        responder=_waits_for(claimed.state, claimed.responder),
    )


def _follow_late(runtime: Runtime, message: InboundMessage, claimed: Claimed) -> None:
    """Do what the answer asked for beside its words, where its writer may have died before that, or failed.

    What was done is noted with the message, so nothing is done again that a person settled since. The note costs a
    write only where something was asked for. To go by whether this is the newest message would not do: often nobody
    writes after it, and what it asked for is to be done though somebody does.

    Where a person looked after the session since it was stored, they know of it: all is left as they have it.
    """
    if audit.has(claimed.session_id, actions.LOOKED_AFTER, since=claimed.stored_at or claimed.received_at):
        answers.followed(claimed.id)
    else:
        place = Place(claimed.session_id, claimed.channel_id, message.communication_type, claimed.contact_id)
        actions.follow(runtime, place, claimed.id, claimed.actions, claimed.person)


def _tell_again(runtime: Runtime, message: InboundMessage, claimed: Claimed, delivery: Delivery) -> Claimed:
    """Tell an answer that was not told: by a retry, while that waits for it, else through the outbox; never by both.

    Not told is what the failed webhook had stored itself, and what Twilio asks for once more (I9). What another one
    stored, that one has told.
    """
    teller = next((one for one in delivery.webhooks if _is_to_tell(message, claimed, one)), None)
    silence = CHANNELS[message.communication_type].no_answer
    if teller is None or (delivery.waiting and claimed.twiml == silence):
        return claimed
    twiml = claimed.twiml if delivery.waiting else silence
    if not answers.hand_on(message.id, claimed.webhook, teller, twiml):
        return messages.find_claimed(message.id) or claimed
    if not delivery.waiting:
        place = Place(claimed.session_id, claimed.channel_id, message.communication_type, claimed.contact_id)
        unheard.answer(runtime, message, place, delivery, pieces=claimed.pieces)
    return claimed


def _is_to_tell(message: InboundMessage, claimed: Claimed, webhook: str) -> bool:
    told_by = claimed.webhook
    return bool(told_by) and (webhook == told_by or is_retry(webhook, told_by, fallback=message.again))


def _still_on(claimed: Claimed, call_sid: str, runtime: Runtime) -> sessions.Touch:
    return sessions.Touch(
        claimed.session_id,
        claimed.received_at,
        runtime.clock.now(),
        messages=0,
        call=call_sid,
        call_until=claimed.received_at + counting.LIVE_CALL,
    )
