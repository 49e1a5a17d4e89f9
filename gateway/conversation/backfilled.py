"""What is done about one message of Twilio's log: found here, matched to a row of ours, repaired or inserted.

Nothing here answers anybody or sends anything again, whatever the log says.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum

from gateway.clients.twilio_log import TwilioLog
from gateway.conversation import filing, optouts, status
from gateway.conversation.receive import receive
from gateway.conversation.runtime import Runtime
from gateway.core.codes import reaction
from gateway.core.drift import Tally
from gateway.core.logged import ROW_AFTER, ROW_BEFORE, Candidate, LoggedMessage, choose
from gateway.core.messages import WHATSAPP, Delivery, InboundMessage, Media, StatusUpdate
from gateway.core.participant import address, participant
from gateway.core.sending import Reaction
from gateway.core.sessions import session_keys
from gateway.core.statuses import MESSAGE_FAILURES, MESSAGE_RANK, outranked
from gateway.logs import log
from gateway.store import backfilling, channels, delivery, outbound
from gateway.store.backfilling import Known
from gateway.store.connection import deadline
from gateway.store.outbound import Outbound, Place
from gateway.store.outbox import Address

BACKFILLED = "backfilled"
# Somebody of yours sent it, in the console or with another program: neither our bot nor the gateway itself.
ELSEWHERE, AUTHOR = "agent", "outside the gateway"


class How(Enum):
    """How an entry is a row of ours: by its id, taken just now, or not yet, since the outbox is at work on it.

    Who sends a message looks it up by itself, and must not find it taken.
    """

    HERE = 1
    TAKEN = 2
    BUSY = 3


class Stopped(Exception):
    """Whoever runs the process wants it to end; what was done stays done."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One run over the log. `taken` are the rows of ours that were matched, `lines` whom the calls in it called."""

    runtime: Runtime
    source: TwilioLog
    dry_run: bool
    is_stopping: Callable[[], bool]
    taken: set[str] = field(default_factory=set)
    lines: dict[str, str] = field(default_factory=dict)

    def go_on(self) -> None:
        """Raise Stopped where the process is to end; asked before each entry is read, and seen to."""
        if self.is_stopping():
            raise Stopped


def settle_message(run: Pass, entry: LoggedMessage, known: Known | None, tally: Tally) -> None:
    """See to one message of the log."""
    tally.in_log += 1
    if known is None:
        how, row = _matching(run, entry)
        if row is None:
            _insert(run, entry, tally)
            return
        match how:
            case How.BUSY:
                tally.left += 1
                return
            case How.TAKEN:
                tally.matched += 1
            case How.HERE:
                tally.here += 1
        known = Known(row.id, entry.inbound, row.status, row.contact_id)
    else:
        tally.here += 1
    if not entry.inbound:
        tally.repaired += _repair(run, entry, known)


def _matching(run: Pass, entry: LoggedMessage) -> tuple[How, Candidate | None]:
    """Find the row of ours an entry is, and take it; each row is one entry's.

    Where a run in another process was faster, all is looked at again.
    """
    while True:
        with deadline():
            rows = _candidates(run, entry)
            if named := next((row for row in rows if row.sid == entry.sid), None):
                return How.HERE, named
            chosen = choose([row for row in rows if row.id not in run.taken], entry.content, entry.at)
            if chosen and backfilling.is_being_sent(chosen.id):
                return How.BUSY, chosen
            if chosen is None or run.dry_run or backfilling.take(chosen.id, entry.sid):
                break
    if chosen:
        run.taken.add(chosen.id)
        log.info("backfill_matched", message_id=chosen.id, message_sid=entry.sid, dry_run=run.dry_run)
    if chosen and not run.dry_run and not entry.inbound:
        # What was called back before the SID was known may wait for it.
        status.apply_waiting(run.runtime, entry.sid)
    return How.TAKEN, chosen


def _candidates(run: Pass, entry: LoggedMessage) -> list[Candidate]:
    channel = channels.find(entry.communication_type, entry.ours)
    if channel is None:
        return []
    return backfilling.candidates(
        session_keys(_as_message(entry), run.runtime.policy_for(channel).scope),
        communication_type=entry.communication_type,
        channel_id=channel.id,
        inbound=entry.inbound,
        sid=entry.sid,
        since=entry.at - ROW_BEFORE,
        until=entry.at + ROW_AFTER,
    )


def _repair(run: Pass, entry: LoggedMessage, known: Known) -> bool:
    """Let the log's status take effect where ours is behind; a message that failed long ago is not sent again."""
    behind = known.status is None or known.status in outranked(entry.status, MESSAGE_RANK)
    if not behind or entry.status not in MESSAGE_RANK:
        return False
    if run.dry_run:
        return True
    update = StatusUpdate(entry.sid, entry.status, run.runtime.clock.now(), {}, entry.error_code)
    with deadline():
        applied = delivery.apply_status(update)
        _note_refusal(run, entry, known)
    return applied is not None


def _note_refusal(run: Pass, entry: LoggedMessage, known: Known) -> None:
    """Take "this person opted out" for their STOP, unless they have said otherwise since."""
    failed = entry.status in MESSAGE_FAILURES and reaction(entry.error_code) is Reaction.OPT_OUT
    if not failed or known.contact_id is None:
        return
    covered = (entry.ours.identity, *([entry.service_sid] if entry.service_sid else []))
    if not optouts.has_said_since(known.contact_id, address(entry.person).identity, covered, entry.at):
        to = Address(entry.person, entry.line, entry.account_sid, entry.service_sid)
        optouts.record_refusal(run.runtime, known.contact_id, to, known.id)


def _insert(run: Pass, entry: LoggedMessage, tally: Tally) -> None:
    """Store a message nobody told us of, at its own time and by the rules of all messages."""
    if run.dry_run:
        fresh = True
    else:
        media = run.source.files(entry.account_sid, entry.sid) if entry.files else ()
        fresh = _receive(run, entry, media) if entry.inbound else _store_sent(run, entry, media)
    if not fresh:
        tally.here += 1
    elif entry.inbound:
        tally.inserted_inbound += 1
    else:
        tally.inserted_outbound += 1


def _receive(run: Pass, entry: LoggedMessage, media: tuple[Media, ...]) -> bool:
    message = replace(_as_message(entry), media=media)
    metadata = {**message.metadata, "backfilledAt": run.runtime.clock.now()}
    return not receive(run.runtime, replace(message, metadata=metadata), Delivery(unanswered=BACKFILLED)).duplicate


def _store_sent(run: Pass, entry: LoggedMessage, media: tuple[Media, ...]) -> bool:
    """Store what somebody sent past us, in the session of its time; like our own messages it opens one if needed."""
    runtime, pretended = run.runtime, _as_message(entry)
    with deadline():
        channel = runtime.channels.resolve(entry.communication_type, entry.ours, entry.account_sid)
        now = runtime.clock.now()
        filed = filing.find_session(pretended, channel, runtime.policy_for(channel), now)
        if filed is None:
            return False
        message = Outbound(
            id=entry.sid,
            place=Place(filed.session.id, channel.id, entry.communication_type, filed.session.contact_id),
            text=entry.content,
            at=filed.moment,
            sender=ELSEWHERE,
            media=tuple(file.url for file in media),
            status=entry.status,
            facts={**pretended.metadata, "author": AUTHOR, "backfilledAt": now},
        )
        document = outbound.document_of(message, now) | {"provider_sid": entry.sid}
        if entry.error_code:
            document["error_code"] = entry.error_code
        if not outbound.insert([document]):
            return False
        backfilling.count_sent(filed.session.id, filed.moment, now)
    log.info("backfill_inserted", message_sid=entry.sid, session_id=filed.session.id, direction="outbound")
    return True


def _as_message(entry: LoggedMessage) -> InboundMessage:
    """Read an entry as the message a webhook would have brought, as far as the log tells.

    One of ours is filed under whom it went to, so it is read as if they had written it.
    """
    person = participant(entry.person)
    ends = (entry.person, entry.line) if entry.inbound else (entry.line, entry.person)
    told = {"From": ends[0], "To": ends[1], "AccountSid": entry.account_sid, "MessagingServiceSid": entry.service_sid}
    if person.prefix and person.prefix != WHATSAPP:
        told["prefix"] = person.prefix
    return InboundMessage(
        id=entry.sid,
        communication_type=entry.communication_type,
        sender=person,
        recipient=entry.ours,
        content=entry.content,
        received_at=entry.at,
        provider_sid=entry.sid,
        account_sid=entry.account_sid,
        service_sid=entry.service_sid,
        metadata={name: value for name, value in told.items() if value},
    )
