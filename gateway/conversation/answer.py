"""Answers that take their time: what a sender said since the last answer, put to a responder by the worker.

Several messages in a row get one answer: the last of them is answered for all, and an answer that was thought
about while another one came is thrown away.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from gateway.conversation import actions, counting, earlier, flow_steps, flow_waits, guards, optouts, queue, respond
from gateway.conversation.actions import On
from gateway.conversation.flow_steps import NotYet
from gateway.conversation.optouts import has_opted_out
from gateway.conversation.release import finish, postpone
from gateway.conversation.runtime import Runtime
from gateway.core.limits import slot_of
from gateway.core.messages import HOSTED, Channel
from gateway.core.participant import address
from gateway.core.replies import FLOW, Reply, Turn
from gateway.logs import log
from gateway.store import answers, asked, finding, outbound, outbox, outbox_claims, sessions
from gateway.store.answers import PENDING, QUEUED
from gateway.store.asked import Asked
from gateway.store.connection import deadline
from gateway.store.outbox import Row

# How soon it is looked again whether a flow has answered what came before.
IN_TURN = timedelta(seconds=0.3)


def answer(runtime: Runtime, row: Row) -> None:
    """Answer the message a row is about; what was stored of it before a crash is kept and only sent."""
    with deadline():
        message, stored = asked.with_answer(row.about, row.id)
    if stored:
        _send(runtime, row, message, (stored,))
    elif message is None or message.state not in (QUEUED, PENDING):
        if message and message.said:
            # A call was told its answer, and whoever told it died before that was a message of its own.
            keep_said(runtime, message)
        finish(runtime, row, outbox.DONE)
    elif message.responder == FLOW:
        _answer_by_flow(runtime, row, message)
    elif message.state == PENDING:
        _answer_call(runtime, row, message)
    else:
        _answer_burst(runtime, row, message)


def give_up(runtime: Runtime, row: Row, error: str) -> None:
    """Apologise for an answer that failed again and again in a way nobody foresaw."""
    with deadline():
        message = asked.get(row.about)
        if message is None or message.state not in (QUEUED, PENDING):
            finish(runtime, row, outbox.FAILED, error=error)
            return
        reply = respond.apology(runtime, message.responder, error)
        if message.state == PENDING:
            _say_on_call(runtime, row, message, reply, 0.0)
        else:
            _commit(runtime, row, _up_to(message, asked.burst(message)), reply, 0.0)


def _answer_burst(runtime: Runtime, row: Row, message: Asked) -> None:
    with deadline():
        burst = asked.burst(message)
        if not burst or _is_overtaken(runtime, message, burst):
            # A later message of the burst will have a row of its own, which answers this one too.
            finish(runtime, row, outbox.DONE)
            return
        burst = _up_to(message, burst)
        if reason := _reason_for_silence(runtime, row, message):
            asked.mark_answered([one.id for one in burst], row.id, says_something=False, reason=reason)
            finish(runtime, row, outbox.CANCELED)
            return
        name, turn = turn_of(runtime, burst)
    reply, milliseconds = respond.ask(runtime, name, turn)
    with deadline():
        latest = asked.burst(message)
        if message.id not in {one.id for one in latest} or _is_overtaken(runtime, message, latest):
            _discard(runtime, row, message, name)
        elif not asked.claim([one.id for one in burst], row.id):
            outbox_claims.postpone(row, runtime.clock.now())  # a part of it is answered by somebody else: asked anew
        else:
            _commit(runtime, row, burst, reply, milliseconds)


def _answer_by_flow(runtime: Runtime, row: Row, message: Asked) -> None:
    """Give the next answer of a flow, or that which the state kept when whoever took the step died."""
    with deadline():
        if message.state == QUEUED and (reason := _reason_for_silence(runtime, row, message)):
            asked.mark_answered([message.id], row.id, says_something=False, reason=reason)
            finish(runtime, row, outbox.CANCELED)
            return
        try:
            said = flow_steps.answer(runtime, message)
        except NotYet as not_yet:
            flow_waits.hurry(runtime, not_yet)
            postpone(runtime, row, runtime.clock.now() + IN_TURN)
            return
        if said is None:
            flow_waits.hand_on(runtime, message)
            _let_go(runtime, row, message)
        elif message.state == PENDING:
            _say_on_call(runtime, row, message, said.reply, 0.0)
        elif not asked.claim([message.id], row.id):
            postpone(runtime, row, runtime.clock.now())  # its own webhook is answering it: looked at anew
        else:
            _commit(runtime, row, [message], said.reply, 0.0, reason=said.reason)


def _let_go(runtime: Runtime, row: Row, message: Asked) -> None:
    """Let go of a row whose message another responder answers: on a call at once, else with whatever else is said."""
    if message.state == PENDING:
        postpone(runtime, row, runtime.clock.now())
    else:
        finish(runtime, row, outbox.DONE)


def _reason_for_silence(runtime: Runtime, row: Row, message: Asked) -> str | None:
    """Look once more for a reason not to answer: much may have happened while a message waited."""
    if has_opted_out(message.place.contact_id, row.address):
        return "opted_out"
    session_id = message.place.session_id
    reason = guards.rule_again(runtime, finding.get(session_id), runtime.clock.now())
    if reason:
        actions.ask_for_person(runtime, session_id, reason)
    return reason


def _is_overtaken(runtime: Runtime, message: Asked, burst: Sequence[Asked]) -> bool:
    """Tell whether something later is to be answered instead; not for ever, where somebody writes on and on."""
    return burst[-1].id != message.id and runtime.clock.now() - burst[0].stored_at < queue.PATIENCE


def _up_to(message: Asked, burst: Sequence[Asked]) -> list[Asked]:
    """Give what is answered with a message: everything that waits before it, and itself."""
    return [one for one in burst if (one.at, one.id) < (message.at, message.id)] + [message]


def _discard(runtime: Runtime, row: Row, message: Asked, name: str) -> None:
    """Throw an answer away that came too late. It was paid for, so it counts towards the hourly limit."""
    session_id, now = message.place.session_id, runtime.clock.now()
    log.info("reply_discarded", message_id=row.id, session_id=session_id, responder=name)
    sessions.touch_by_id(sessions.Touch(session_id, message.at, now, messages=0, answers=1, slot=slot_of(message.at)))
    finish(runtime, row, outbox.DONE)


def turn_of(runtime: Runtime, burst: Sequence[Asked]) -> tuple[str, Turn]:
    """Give who is to answer some messages, and what they are told of them and of what was said before."""
    last = burst[-1]
    channel = runtime.channels.get(last.place.channel_id) or Channel(
        last.place.channel_id, last.place.communication_type
    )
    name, responder = runtime.responder_beside_flows(channel)
    history = earlier.history(runtime, last, limit=responder.history, without=[message.id for message in burst])
    contact_id, contact_name = asked.person_of(last.place.contact_id)
    sender = address(str(last.metadata.get("From", "")))
    line = address(str(last.metadata.get("To", "")))
    return name, Turn(
        content="\n".join(message.content for message in burst if message.content),
        communication_type=last.place.communication_type,
        received_at=last.at,
        media=tuple(file for message in burst for file in message.media),
        message_id=last.id,
        session_id=last.place.session_id,
        channel_id=last.place.channel_id,
        channel_name=channel.name or line.label,
        line=line.label,
        contact_id=contact_id,
        contact_name=contact_name,
        number=sender.number,
        fragments=tuple(message.content for message in burst),
        history=history,
    )


def _commit(
    runtime: Runtime, row: Row, burst: Sequence[Asked], reply: Reply, milliseconds: float, *, reason: str = ""
) -> None:
    """Store an answer and go on to send it. Its own message is the claim: stored once, whoever else answers."""
    message, now = burst[-1], runtime.clock.now()
    ids = [one.id for one in burst]
    reply = actions.apply(runtime, On(message.place, message.id), reply)
    said = respond.pieces(message.place.communication_type, reply)
    if not said:
        asked.mark_answered(ids, row.id, says_something=False, reason=reason)
        asked.look_again(message, now)
        finish(runtime, row, outbox.DONE)
        return
    documents = _documents(message, ids, reply, said, milliseconds, now)
    fresh = outbound.insert(documents)
    moment = documents[-1]["createdAt"]
    counting.count_ours(message.place.session_id, moment, now, messages=fresh, answers=1)
    stored = tuple(filter(None, (outbound.get(document["_id"]) for document in documents)))
    _send(runtime, row, message, stored)


def _documents(
    message: Asked, ids: Sequence[str], reply: Reply, said: Sequence[str], milliseconds: float, now: datetime
) -> list[dict[str, Any]]:
    kind = message.place.communication_type
    documents = outbound.spoken(
        message.id, reply, said, milliseconds, texted=outbound.is_texted(kind), total=len(said), answers=list(ids)
    )
    for document, at in zip(documents, outbound.piece_times(now, len(documents)), strict=True):
        document |= message.place.stored() | {"createdAt": at, "storedAt": now}
        if reply.says_something:
            queued = {"status": "queued", "status_history": [{"status": "queued", "at": at}]}
            document |= outbound.on_arrival(kind, at) or queued
    return documents


def _send(runtime: Runtime, row: Row, message: Asked | None, stored: Sequence[outbound.Outbound]) -> None:
    """Queue the sending of stored messages, the later pieces before the row itself turns into the first one's."""
    first = stored[0]
    total = int(first.facts.get("total") or 1)
    rest = (outbound.get(f"{row.id}:{number}") for number in range(len(stored) + 1, total + 1))
    pieces = [*stored, *filter(None, rest)]
    if row.address is None or first.status is None or first.place.communication_type in HOSTED:
        _mark(runtime, message, first)
        finish(runtime, row, outbox.DONE)
        return
    rows = [queue.row_of(piece, row.address, runtime.clock.now()) for piece in pieces]
    for later in rows[1:]:
        outbox.put(later)
    _mark(runtime, message, first)
    if not outbox_claims.go_on_sending(row, rows[0]) and has_opted_out(first.place.contact_id, row.address):
        for piece in pieces:
            optouts.call_off(runtime, piece.id)
    for queued in rows:
        runtime.notify(queued.id, queued.due)


def _mark(runtime: Runtime, message: Asked | None, answer: outbound.Outbound) -> None:
    """Note what an answer is to, as it says itself, and look again for what waits beside that."""
    asked.mark_answered(answer.facts.get("answers") or [], answer.id, says_something=True)
    if message and message.state == QUEUED:
        asked.look_again(message, runtime.clock.now())


def _answer_call(runtime: Runtime, row: Row, message: Asked) -> None:
    with deadline():
        name, turn = turn_of(runtime, [message])
    reply, milliseconds = respond.ask(runtime, name, turn)
    with deadline():
        _say_on_call(runtime, row, message, reply, milliseconds)


def _say_on_call(runtime: Runtime, row: Row, message: Asked, reply: Reply, milliseconds: float) -> None:
    """Give a call its answer, unless it has waited too long; the answer's own message follows from it."""
    reply = actions.apply(runtime, On(message.place, message.id), reply)
    if asked.say_on_call(message.id, reply, milliseconds):
        keep_said(runtime, message)
    else:
        log.info("reply_discarded", message_id=row.id, session_id=message.place.session_id, responder=reply.responder)
    finish(runtime, row, outbox.DONE)


def keep_said(runtime: Runtime, message: Asked) -> None:
    """Store and count what a waiting call was answered; whoever stores it counts it, so it may be done again."""
    now = runtime.clock.now()
    if missing := answers.finish(message.id, now):
        touch = sessions.Touch(
            message.place.session_id, message.at, now, messages=missing, inbound=False, answers=1, slot=slot_of(now)
        )
        sessions.touch_by_id(touch)
