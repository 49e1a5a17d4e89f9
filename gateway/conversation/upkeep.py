"""What the worker does beside replies: close idle sessions, and put right what a crash left behind."""

from datetime import timedelta

from gateway.conversation import alerts, calls, merging, queue, regroup
from gateway.conversation.counting import IN_FLIGHT
from gateway.conversation.runtime import Runtime
from gateway.core.messages import Channel
from gateway.core.sessions import Anchor
from gateway.core.times import ms_between
from gateway.logs import log
from gateway.store import answers, channels, finding, sessions, settling
from gateway.store.connection import deadline
from gateway.store.writing import together

# Idle sessions are closed for display only, so there is no hurry: a message may still be on its way.
SWEEP_GRACE_MS = 60_000

# Who opens a session again wants it open, though it has been idle for long.
REOPENED_FOR = timedelta(hours=1)

# Hosts' clocks differ a little, and a first pass has to begin somewhere.
OVERLAP = timedelta(seconds=30)
FIRST_LOOK = timedelta(days=1)

# A session is opened just before its message is stored, so one that stays empty belongs to nobody.
EMPTY_FOR = timedelta(seconds=60)

# A worker's passes may take longer than a webhook.
PASS_SECONDS = 60


def sweep(runtime: Runtime) -> int:
    """Close sessions idle for longer than their threshold and a minute; gives how many."""
    now, anchor = runtime.clock.now(), Anchor(runtime.settings.sessions.anchor)
    closed = 0
    # What a failover takes back is closed by the next pass, so thousands are waited for once.
    with deadline(PASS_SECONDS), together():
        known = channels.by_id()
        oldest_open = now - timedelta(milliseconds=SWEEP_GRACE_MS)
        for session, channel_id in finding.open_and_older(anchor, oldest_open, reopened=now - REOPENED_FOR):
            channel = known.get(channel_id) or Channel(channel_id, session.communication_type)
            threshold = runtime.policy_for(channel).threshold_ms
            calls.release_ended(runtime, session)
            if threshold is None or session.has_live_call_at(now):
                continue
            if ms_between(session.anchored_at(anchor), now) > threshold + SWEEP_GRACE_MS:
                closed += sessions.close_idle(session, now, now)
    if closed:
        log.info("sessions_swept", closed=closed)
    return closed


def settle(runtime: Runtime) -> int:
    """Put right what crashes left in the messages stored since the last pass; gives how many sessions were wrong.

    A session in the middle of a conversation waits until nothing came for some seconds: then it is exact.
    """
    now = runtime.clock.now()
    with deadline(PASS_SECONDS):
        since = (settling.settled_until() or now - FIRST_LOOK) - OVERLAP
        quiet = now - IN_FLIGHT
        recent = settling.look_through(since, quiet)
        finished = sum(answers.finish(lost, now) for lost in settling.missing_answers(recent))
        corrected = sum(settling.correct(miscount) for miscount in settling.miscounts(recent))
        dropped = settling.drop_empty(now - EMPTY_FOR)
        requeued = queue.lost(runtime, recent) + alerts.lost(runtime, since, quiet)
        # A session that was too busy has a message after this, so the next pass looks at it again.
        settling.set_settled_until(quiet)
        regroup.settle(runtime)
        merging.settle(runtime)
    if finished or corrected or dropped or requeued:
        log.warning(
            "sessions_settled",
            message="A process stopped in the middle of a message; its sessions were put right.",
            corrected=corrected,
            answers=finished,
            dropped=dropped,
            requeued=requeued,
        )
    return corrected
