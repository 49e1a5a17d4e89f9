"""Who is at work, and what is left lying: processes, outbox and broker."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from gateway.clients import broker
from gateway.conversation import presence
from gateway.conversation.doctor.findings import Finding, Patient, ok, warning, wrong
from gateway.core.times import ms_between, spoken
from gateway.store import backlog, failures, heartbeats
from gateway.store.connection import deadline
from gateway.store.heartbeats import Heartbeat

# The oldest row may wait so long before somebody should look.
OUTBOX_PATIENCE = timedelta(minutes=1)


def processes_are_there(patient: Patient) -> Iterator[Finding]:
    """Check that web and worker run, by what each says every ten seconds."""
    with deadline():
        beats = heartbeats.every()
    now = patient.clock.now()
    there = [beat for beat in beats if presence.is_there(beat, now)]
    web, workers = (sum(beat.kind == kind for beat in there) for kind in ("web", "worker"))
    if not web:
        yield wrong("No web process runs: Twilio gets no answer.", "Start one: `make run`, or what the Procfile says.")
    yield from judged(there)
    if web and workers:
        hosts = len({beat.host for beat in there})
        yield ok(f"{web} web and {workers} worker on {hosts} host{'s' if hosts > 1 else ''}.")


def judged(there: Sequence[Heartbeat]) -> Iterator[Finding]:
    """Say what is wrong with those processes that are there."""
    if not any(beat.kind == "worker" for beat in there):
        yield wrong("No worker runs: nothing is sent, and no slow answer is made.", "Start one: gateway worker")
    versions = sorted({beat.version for beat in there})
    if len(versions) > 1:
        yield warning(f"Processes of different versions run: {', '.join(versions)}.", "Restart the older ones.")


def outbox_is_worked_off(patient: Patient) -> Iterator[Finding]:
    """Check that what is to be sent is sent."""
    with deadline():
        oldest, failed = backlog.oldest(), sum(kind.count for kind in failures.kinds())
    yield from left_lying(oldest, failed, patient.clock.now())


def left_lying(oldest: datetime | None, failed: int, now: datetime) -> Iterator[Finding]:
    """Say what of the outbox waits too long, and what failed this week."""
    if oldest and now - oldest > OUTBOX_PATIENCE:
        waited = spoken(ms_between(oldest, now) // 1000 * 1000)
        yield warning(f"The outbox is behind: its oldest row has waited for over a minute ({waited}).",
                      "Start more workers, or see docs/outbox.md.")  # fmt: skip
    if failed:
        yield warning(
            f"{failed:,} row{'s' if failed != 1 else ''} of the outbox failed.",
            "The console says why, for a week, and tries again: Operations, Outbox.",
        )
    if not failed and not (oldest and now - oldest > OUTBOX_PATIENCE):
        yield ok("Nothing in the outbox waits for long, and nothing failed.")


def broker_carries(patient: Patient) -> Iterator[Finding]:
    """Check that the broker of the settings is reached."""
    configured = patient.settings
    if not configured.broker.url:
        yield ok("No broker is set: the outbox works alone.")
    elif problem := broker.reach(configured):
        yield warning(
            f"{broker.label(configured)} is not reached: {problem.rstrip('.')}.",
            "Start it, or correct GATEWAY_BROKER__URL. Replies go on without it, a little later.",
        )
    else:
        yield ok(f"{broker.label(configured)} takes connections.")
