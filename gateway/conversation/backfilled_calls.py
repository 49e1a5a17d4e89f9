"""What is done about one call of Twilio's log, or a recording: put in if nobody told us of it, and the call ended."""

from gateway.channels import callbacks
from gateway.conversation import calls
from gateway.conversation.backfilled import BACKFILLED, Pass
from gateway.conversation.receive import receive
from gateway.core.drift import Drift, Tally
from gateway.core.logged import LoggedCall, LoggedRecording
from gateway.core.messages import Attachment, CallEnds, CallEvent, CallTurn, Delivery, InboundMessage
from gateway.core.participant import caller
from gateway.core.statuses import CALL_ENDS, CALL_RANK
from gateway.store import calls as store_calls
from gateway.store.backfilling import Known
from gateway.store.connection import deadline


def settle_call(run: Pass, entry: LoggedCall, known: Known | None, tally: Tally) -> None:
    """See to one call of the log; the end of a known one that nobody told us lets go of its session."""
    tally.in_log += 1
    run.lines[entry.sid] = entry.line
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


def settle_recording(run: Pass, entry: LoggedRecording, known: Known | None, drift: Drift, *, of_all: bool) -> None:
    """See to one recording, of a call in the log or, `of_all`, any that is here; those of other calls are not ours."""
    line = run.lines.get(entry.call_sid)
    if line is None and of_all:
        with deadline():
            ends = store_calls.ends(entry.call_sid)
        line = ends.line if ends else None
    if not line:
        return
    tally = drift.of(line)
    tally.in_log += 1
    if known and not known.is_announced:
        tally.here += 1
        return
    tally.inserted_recordings += 1
    if not run.dry_run:
        calls.apply_callback(run.runtime, _as_attachment(run, entry))


def _as_attachment(run: Pass, entry: LoggedRecording) -> Attachment:
    """Read a recording as its callback would have told of it."""
    told = {
        "CallSid": entry.call_sid,
        "RecordingSid": entry.sid,
        "RecordingUrl": entry.url,
        "RecordingDuration": entry.duration,
        "RecordingStatus": "completed",
        "AccountSid": entry.account_sid,
        "backfilledAt": run.runtime.clock.now(),
    }
    return Attachment(
        id=entry.sid,
        call_sid=entry.call_sid,
        received_at=entry.at,
        parameters={name: value for name, value in told.items() if value is not None},
        media=callbacks.recorded(entry.url, entry.duration or ""),
    )


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
