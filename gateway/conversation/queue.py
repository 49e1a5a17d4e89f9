"""What is put into the outbox, and when it is due."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from gateway.conversation.runtime import Runtime
from gateway.core.replies import answer_id
from gateway.core.segments import segments
from gateway.core.times import MILLISECOND
from gateway.store import asked, backlog, media, outbound, outbox
from gateway.store.outbound import Outbound
from gateway.store.outbox import Address, Row
from gateway.store.settling import Recent

# Somebody who writes on and on is answered after so long, whatever else comes.
PATIENCE = timedelta(seconds=20)

# A caller hears silence meanwhile, so a call goes before everything that has been due for less than this.
CALLS_FIRST = timedelta(hours=1)

BATCH = 100


def answer_call(
    runtime: Runtime, session_id: str, contact_id: str | None, message_id: str, metadata: Mapping[str, Any]
) -> bool:
    """Queue the answer to a turn of a call; once, however often it is asked for."""
    now = runtime.clock.now()
    return _put(
        runtime, _answering(runtime, session_id, contact_id, message_id, metadata, due=now - CALLS_FIRST, now=now)
    )


def untold(runtime: Runtime, message_ids: Sequence[str], to: Address) -> None:
    """Queue the sending of an answer's pieces that are stored, and that no webhook told; once."""
    outbound.make_sendable(message_ids, runtime.clock.now())
    for number, message in enumerate(filter(None, map(outbound.get, message_ids))):
        if message.status == "queued":
            row = row_of(message, with_service(runtime, to), runtime.clock.now())
            in_order = row.queued_at + number * MILLISECOND
            _put(runtime, replace(row, segments=segments(message.text).count, queued_at=in_order))


def answers(runtime: Runtime) -> int:
    """Queue the answers to messages that have waited long enough for further ones; gives how many.

    A message says itself that it is to be answered, and when: so it is stored in one write, and nothing is lost
    between two. Its row is written here, by any worker, and by several only once.
    """
    now = runtime.clock.now()
    over, seen = asked.due(now, PATIENCE, limit=BATCH)
    rows = [
        _answering(
            runtime, message.place.session_id, message.place.contact_id, message.id, message.metadata, due=now, now=now
        )
        for message in over
    ]
    if rows:
        outbox.put_answers(rows)
        asked.taken(seen)
    for row in rows:
        runtime.notify(row.id, row.due)
    return len(rows)


def _answering(
    runtime: Runtime,
    session_id: str,
    contact_id: str | None,
    message_id: str,
    metadata: Mapping[str, Any],
    *,
    due: datetime,
    now: datetime,
) -> Row:
    return Row(
        id=answer_id(message_id),
        step=outbox.ANSWER,
        about=message_id,
        due=due,
        queued_at=now,
        session_id=session_id,
        contact_id=contact_id,
        address=with_service(runtime, address_of(metadata)),
    )


def row_of(message: Outbound, to: Address, now: datetime) -> Row:
    """Give the row that sends a stored message. People get what is sent to them in the order it was written."""
    return Row(
        id=message.id,
        step=outbox.SEND,
        about=message.id,
        due=now,
        queued_at=message.at,
        session_id=message.place.session_id,
        contact_id=message.place.contact_id,
        address=to,
        lane="" if "resendOf" in message.facts else f"{to.sender}|{to.to}",
        segments=int(message.facts.get("segments") or 1),
    )


def sending(runtime: Runtime, message: Outbound, to: Address) -> bool:
    """Queue the sending of a stored message; once."""
    return _put(runtime, row_of(message, to, runtime.clock.now()))


def lost(runtime: Runtime, recent: Recent) -> int:
    """Queue what was stored lately and is in no row, because its writer died between the two."""
    since, until, found = recent.since, recent.until, _overlooked(recent.until)
    for waiting in asked.unqueued(since, until) if recent.pending else ():
        place = waiting.place
        found += answer_call(runtime, place.session_id, place.contact_id, waiting.id, waiting.metadata)
    for message, to in outbound.unsent(since, until) if recent.queued else ():
        found += sending(runtime, message, to)
    for session_id, message_id in media.unqueued(since, until) if recent.with_files else ():
        found += download(runtime, session_id, message_id)
    return found


def _overlooked(until: datetime) -> int:
    """Look again for messages that wait for an answer and that no row asks about; gives how many."""
    waiting = asked.overlooked(until - PATIENCE, limit=BATCH)
    ways = [asked.burst(message) for message in waiting]
    rows = {answer_id(one.id) for way in ways for one in way}
    held = backlog.being_answered(sorted(rows))
    lost = [way for way in ways if held.isdisjoint(answer_id(one.id) for one in way)]
    for way in lost:
        asked.look_again(way[-1], until)
    return len(lost)


def download(runtime: Runtime, session_id: str, message_id: str) -> bool:
    """Queue the download of a message's files, once, unless they are to stay at the provider."""
    if runtime.settings.media.keep == "twilio":
        return False
    now = runtime.clock.now()
    row = Row(f"media:{message_id}", outbox.FETCH, message_id, due=now, queued_at=now, session_id=session_id)
    return _put(runtime, row)


def deletion(runtime: Runtime, session_id: str, message_id: str, due: datetime) -> bool:
    """Queue the deletion of a message's files at the provider; what is to wait until then is not late before."""
    row = Row(f"delete:{message_id}", outbox.DELETE, message_id, due=due, queued_at=due, session_id=session_id)
    return _put(runtime, row)


def _put(runtime: Runtime, row: Row) -> bool:
    fresh = outbox.put(row)
    if fresh:
        runtime.notify(row.id, row.due)
    return fresh


def address_of(metadata: Mapping[str, Any]) -> Address:
    """Turn round whom a message came from and where it went."""
    return Address(
        to=str(metadata.get("From", "")),
        sender=str(metadata.get("To", "")),
        account_sid=metadata.get("AccountSid") or None,
        service_sid=metadata.get("MessagingServiceSid") or None,
    )


def with_service(runtime: Runtime, to: Address) -> Address:
    """Name the Messaging Service a message will go out with, so that an opt-out from it is seen."""
    service = to.service_sid or runtime.settings.service_for(to.account_sid, to.sender)
    return replace(to, service_sid=service or None)
