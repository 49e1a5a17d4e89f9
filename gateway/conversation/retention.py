"""Old conversations: closed, archived and deleted, in batches and by one process at a time.

`gateway.store.retention` says in which steps, and why nothing that arrives meanwhile gets lost.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.conversation import redaction
from gateway.conversation.emptying import GRACE, STEP_SECONDS, Busy, Session, empty, held
from gateway.conversation.redaction import TwilioRefuses
from gateway.conversation.runtime import Runtime
from gateway.logs import log
from gateway.store import deletions, removal, retention
from gateway.store.archive import Archive, ArchiveFailed
from gateway.store.connection import deadline
from gateway.store.retention import AGE, DELETED, FORGOTTEN, Amount

# So many sessions share one wait of GRACE.
ROUND = 5000

# No session is older: none is deleted for its age.
_EVER = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class Order:
    """What is to be deleted and how. `wait` sleeps some seconds and says True to stop; `progress` hears what went.

    With `deleted_before` also what somebody deleted until then: that goes for good, into no archive.
    """

    older_than: datetime
    archive: Archive | None = None
    at_twilio: bool = False
    wait: Callable[[float], object] = time.sleep
    progress: Callable[[Amount], object] = lambda _gone: None
    deleted_before: datetime | None = None


@dataclass
class Cleaned:
    """What became of the old sessions: how much went, how many were open, how many stay because something came."""

    gone: Amount = field(default_factory=Amount)
    closed: int = 0
    stayed: int = 0
    not_redacted: int = 0

    def as_counts(self) -> dict[str, int]:
        """Give it as numbers by name."""
        gone = {name: getattr(self.gone, name) for name in Amount.__slots__}
        return gone | {name: getattr(self, name) for name in ("closed", "stayed", "not_redacted")}


def preview(older_than: datetime, now: datetime) -> Amount:
    """Tell what `clean` would delete now."""
    amount = Amount()
    pages = retention.old(older_than)
    while True:
        with deadline(STEP_SECONDS):
            page = next(pages, None)
            if page is None:
                return amount
            amount += removal.measure(retention.may_go(page, older_than, now))


def count(older_than: datetime) -> int:
    """Count the old sessions, those that will stay included."""
    with deadline(STEP_SECONDS):
        return retention.count_old(older_than)


def clean_by_settings(runtime: Runtime, wait: Callable[[float], object]) -> None:
    """Delete what is older than the settings say, if that was not done within the hour, and tell it in a line."""
    kept, now = runtime.settings.retention, runtime.clock.now()
    order = Order(
        older_than=now - timedelta(days=kept.days) if kept.days else _EVER,
        deleted_before=now - timedelta(days=kept.deleted_days),
        at_twilio=kept.redact_at_twilio,
        wait=wait,
    )
    try:
        done = clean(runtime, order, hourly=True)
    except Busy:
        return
    except TwilioRefuses as error:
        log.error("retention_failed", message=str(error)[:300])
        return
    if kept.days or any(done.as_counts().values()):
        log.info("retention_done", days=kept.days, **done.as_counts())


def clean(runtime: Runtime, order: Order, *, hourly: bool = False) -> Cleaned:
    """Close, archive and delete what is old. Busy where another process does; with `hourly` also where it was done.

    ArchiveFailed, TwilioRefuses and StoreUnavailable stop it; what is left is gone on with the next time.
    """
    with held(runtime, if_due=hourly) as hold:
        done = Cleaned()
        pages = retention.old(order.older_than)
        if order.deleted_before:
            _retire_deleted(runtime, order.deleted_before)
        while True:
            found = _retire(runtime, order, pages, done)
            with deadline(STEP_SECONDS):
                if not found and not retention.left():
                    return done
            if order.wait(GRACE.total_seconds()):
                return done
            with deadline(STEP_SECONDS):
                retention.drop(runtime.clock.now() - GRACE)
            try:
                _empty(runtime, order, done, hold)
            except (ArchiveFailed, TwilioRefuses):
                _let_stay(runtime)
                raise


def _let_stay(runtime: Runtime) -> None:
    """Bring back what was hidden and will not be deleted now."""
    for why in (DELETED, AGE):
        while True:
            with deadline(STEP_SECONDS):
                batch = retention.retired(runtime.clock.now(), why=why)
            if not batch:
                break
            _bring_back(batch)


def _retire_deleted(runtime: Runtime, before: datetime) -> None:
    """Take what somebody deleted out of the finder's sight too, so that it may go."""
    pages = deletions.deleted_before(before)
    while True:
        with deadline(STEP_SECONDS):
            page = next(pages, None)
            if page is None:
                return
            retention.retire(page, runtime.clock.now(), why=DELETED)


def _retire(runtime: Runtime, order: Order, pages: Iterator[list[Any]], done: Cleaned) -> int:
    """Close and hide a round of old sessions; gives how many there were."""
    found, bound = 0, order.older_than
    while found < ROUND:
        now = runtime.clock.now()
        with deadline(STEP_SECONDS):
            page = next(pages, None)
            if page is None:
                break
            going = retention.may_go(page, bound, now)
            done.closed += retention.close(going, bound, now)
            found += retention.retire(going, now, bound=bound)
    return found


def _empty(runtime: Runtime, order: Order, done: Cleaned, hold: Callable[[], None]) -> None:
    """Archive and delete what the sessions hold that were hidden long enough."""
    for why in (FORGOTTEN, DELETED, AGE):
        while True:
            now = runtime.clock.now()
            with deadline(STEP_SECONDS):
                batch = retention.retired(now - GRACE, why=why)
            if not batch or order.wait(0):
                break
            if why == AGE:
                batch = _still_old(batch, order, now, done)
            if why != FORGOTTEN and order.at_twilio:
                batch = _redacted(runtime, batch, done)
            done.gone += empty(batch, now, order.archive if why == AGE else None)
            order.progress(done.gone)
            hold()


def _still_old(batch: Sequence[Session], order: Order, now: datetime, done: Cleaned) -> list[Session]:
    """Leave out, and bring back, what got a message just before it was hidden."""
    with deadline(STEP_SECONDS):
        going = set(retention.may_go([session["_id"] for session in batch], order.older_than, now))
    staying = [session for session in batch if session["_id"] not in going]
    _bring_back(staying)
    done.stayed += len(staying)
    return [session for session in batch if session["_id"] in going]


def _redacted(runtime: Runtime, batch: list[Session], done: Cleaned) -> list[Session]:
    """Leave out, and bring back, what Twilio still keeps."""
    redacted = redaction.redact(runtime, batch)
    kept = [session for session in batch if session["_id"] not in redacted]
    _bring_back(kept)
    done.not_redacted += len(kept)
    return [session for session in batch if session["_id"] in redacted]


def _bring_back(sessions: Sequence[Session]) -> None:
    for session in sessions:
        with deadline(STEP_SECONDS):
            retention.come_back(session)
