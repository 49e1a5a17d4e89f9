"""What the worker does beside replies: close idle sessions, and put right what a crash left behind."""

from datetime import datetime, timedelta

from gateway.conversation.runtime import Runtime
from gateway.core.messages import Channel
from gateway.core.sessions import Anchor
from gateway.core.times import ms_between
from gateway.logs import log
from gateway.store import channels, messages, sessions, settling
from gateway.store.connection import deadline

# Idle sessions are closed for display only, so there is no hurry: a message may still be on its way.
SWEEP_GRACE_MS = 60_000

# How long a webhook may take between storing and counting, and how far back counts are looked at.
IN_FLIGHT = timedelta(seconds=12)
LOOK_BACK = timedelta(seconds=120)

# A worker's passes may take longer than a webhook.
PASS_SECONDS = 60


def sweep(runtime: Runtime) -> int:
    """Close sessions idle for longer than their threshold and a minute; gives how many."""
    now, anchor = runtime.clock.now(), Anchor(runtime.settings.sessions.anchor)
    closed = 0
    with deadline(PASS_SECONDS):
        known = channels.by_id()
        oldest_open = now - timedelta(milliseconds=SWEEP_GRACE_MS)
        for session, channel_id in sessions.open_and_older(anchor, oldest_open):
            channel = known.get(channel_id) or Channel(channel_id, session.communication_type)
            threshold = runtime.policy_for(channel).threshold_ms
            if threshold is None or session.has_live_call_at(now):
                continue
            if ms_between(session.anchored_at(anchor), now) > threshold + SWEEP_GRACE_MS:
                closed += sessions.close_idle(session, now, now)
    if closed:
        log.info("sessions_swept", closed=closed)
    return closed


class Settling:
    """Passes over recent messages; what one pass suspects the next one corrects."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._suspects: dict[str, int] = {}

    def run(self) -> int:
        """Make one pass; gives how many sessions were corrected."""
        now = self._runtime.clock.now()
        with deadline(PASS_SECONDS):
            since = settling.settled_until() or now - LOOK_BACK
            finished = self._finish_answers(since, now)
            corrected = self._correct(settling.drifting(since - LOOK_BACK))
            dropped = settling.drop_empty(now - timedelta(seconds=60))
            # What is only suspected must be in reach of the next pass.
            settling.set_settled_until(now - IN_FLIGHT)
        if finished or corrected or dropped:
            log.warning(
                "sessions_settled",
                message="A process stopped in the middle of a message; its sessions were put right.",
                corrected=corrected,
                answers=finished,
                dropped=dropped,
            )
        return corrected

    def _finish_answers(self, since: datetime, now: datetime) -> int:
        lost = settling.missing_answers(since, now - IN_FLIGHT)
        return sum(messages.finish_answer(message_id, now) for message_id in lost)

    def _correct(self, drift: dict[str, int]) -> int:
        """Correct what was seen twice with the same sign, by the smaller of the two differences."""
        certain = {
            session_id: min(difference, self._suspects[session_id], key=abs)
            for session_id, difference in drift.items()
            if difference * self._suspects.get(session_id, 0) > 0
        }
        for session_id, difference in certain.items():
            settling.correct(session_id, difference)
        self._suspects = {name: value for name, value in drift.items() if name not in certain}
        return len(certain)
