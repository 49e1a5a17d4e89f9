"""What is done about one call of Twilio's log: put in if nobody told us of it, and ended if nobody told us that."""

from gateway.conversation import calls
from gateway.conversation.backfilled import BACKFILLED, Pass
from gateway.conversation.receive import receive
from gateway.core.drift import Tally
from gateway.core.logged import LoggedCall
from gateway.core.messages import CallEnds, CallEvent, CallTurn, Delivery, InboundMessage
from gateway.core.participant import caller
from gateway.core.statuses import CALL_ENDS, CALL_RANK
from gateway.store.backfilling import Known


def settle_call(run: Pass, entry: LoggedCall, known: Known | None, tally: Tally) -> None:
    """See to one call of the log; the end of a known one that nobody told us lets go of its session."""
    tally.in_log += 1
    if known:
        tally.here += 1
        if entry.status in CALL_ENDS and known.status not in CALL_ENDS:
            tally.ended += 1
            _apply_call_status(run, entry)
        return
    if run.dry_run:
        tally.inserted_calls += 1
        return
    if receive(run.runtime, _as_turn(run, entry), Delivery(unanswered=BACKFILLED)).duplicate:
        tally.here += 1
    else:
        tally.inserted_calls += 1
    _apply_call_status(run, entry)


def _as_turn(run: Pass, entry: LoggedCall) -> InboundMessage:
    """Read a call as its first webhook would have told of it."""
    told = {
        "From": entry.person,
        "To": entry.line,
        "AccountSid": entry.account_sid,
        "CallerName": entry.caller_name,
        "Direction": "inbound",
        "backfilledAt": run.runtime.clock.now(),
    }
    return InboundMessage(
        id=f"{entry.sid}:0",
        communication_type=entry.communication_type,
        sender=caller(entry.person, entry.sid, name=entry.caller_name),
        recipient=entry.ours,
        content="",
        received_at=entry.at,
        provider_sid=entry.sid,
        account_sid=entry.account_sid,
        metadata={name: value for name, value in told.items() if value is not None},
        call=CallTurn(entry.sid, 0),
    )


def _apply_call_status(run: Pass, entry: LoggedCall) -> None:
    """Tell a call's status and length; its end is when it ended, for one that nobody took when it came."""
    if run.dry_run or entry.status not in CALL_RANK:
        return
    told = {"CallStatus": entry.status, "CallDuration": entry.duration}
    parameters = {name: value for name, value in told.items() if value}
    ends = CallEnds("", entry.person, entry.line, entry.account_sid)
    event = CallEvent(entry.sid, entry.status, entry.ended_at or entry.at, BACKFILLED, parameters, ends)
    calls.apply_callback(run.runtime, event)
