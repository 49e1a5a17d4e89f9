"""What waited in the spool, applied when MongoDB is back: oldest first, decided on as it would have been on time.

One drainer a host. A record leaves the spool only after MongoDB has confirmed what it says, and applying repeats
well, so whoever dies in between leaves nothing undone and nothing doubled.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field

from gateway import jobs
from gateway.conversation import intake
from gateway.conversation.respond import TOO_LATE
from gateway.conversation.runtime import Runtime
from gateway.core.errors import SpoolUnavailable, StoreRefused, StoreUnavailable
from gateway.core.events import Event, chains
from gateway.core.messages import Delivery, InboundMessage
from gateway.core.times import ms_between
from gateway.logs import log, where
from gateway.store import connection
from gateway.store.connection import DEADLINE_SECONDS
from gateway.store.spool import Record

BATCH = 400

# A write waits for the journal most of its time, so several people are seen to at once.
HANDS = 16

# Whatever was under way when MongoDB failed is in the spool after this, so nothing older can come behind.
QUIET_SECONDS = DEADLINE_SECONDS + 0.55

# An event that MongoDB does not take although it takes others is set aside after so many tries, some half a minute.
TRIES = 20


@dataclass(frozen=True, slots=True)
class Drained:
    """What a run did. `elsewhere` says that another process of this host was at it."""

    applied: int = 0
    set_aside: int = 0
    elsewhere: bool = False


@dataclass(slots=True)
class _Chain:
    """Records about the same person or call, and what became of them."""

    records: list[Record]
    applied: list[Record] = field(default_factory=list)
    set_aside: int = 0
    problem: StoreUnavailable | None = None


def drain(runtime: Runtime, tell: Callable[[int], object] = lambda _done: None) -> Drained:
    """Apply what waits until nothing does or this process is to end, and tell how many are through.

    StoreUnavailable or SpoolUnavailable where that stops being possible.
    """
    with runtime.spool.draining() as mine:
        if not mine:
            return Drained(elsewhere=True)
        applied = aside = 0
        problem: StoreUnavailable | None = None
        with ThreadPoolExecutor(HANDS, "drain") as hands:
            while problem is None and (records := _next(runtime)) and jobs.is_serving():
                for chain in _apply_all(runtime, records, hands):
                    applied, aside = applied + len(chain.applied), aside + chain.set_aside
                    problem = problem or chain.problem
                tell(applied + aside)
        if applied or aside:
            log.info("spool_drained", applied=applied, set_aside=aside, waiting=runtime.spool.depth().waiting)
        if problem:
            raise problem
        if applied or aside:
            runtime.spool.shrink()
        return Drained(applied, aside)


def drain_if_needed(runtime: Runtime) -> None:
    """Do so in the background: nothing while there is nothing to do, or MongoDB is away."""
    try:
        if not runtime.spool.is_empty() and not connection.breaker.is_open:
            drain(runtime)
    except StoreUnavailable as error:
        connection.breaker.trip(str(error))
    except SpoolUnavailable as error:
        log.error("spool_unavailable", message=str(error)[:300])
    except Exception:
        log.exception("job_failed")


def _next(runtime: Runtime) -> list[Record]:
    """Give what was received first, once nothing older can be on its way."""
    since = runtime.spool.seconds_since_refused()
    if since is not None and 0 <= since < QUIET_SECONDS:
        time.sleep(QUIET_SECONDS - since)
    return runtime.spool.oldest(BATCH)


def _apply_all(runtime: Runtime, records: Sequence[Record], hands: Executor) -> list[_Chain]:
    """Apply records side by side, but what is about the same person or call in its order; then let go of them."""
    readable = [(record, record.event) for record in records if record.event]
    done = [_Chain([readable[position][0] for position in chain]) for chain in chains([event for _, event in readable])]
    done += [_Chain([record]) for record in records if record.event is None]
    list(hands.map(lambda chain: _apply_chain(runtime, chain), done))
    runtime.spool.remove([record for chain in done for record in chain.applied])
    return done


def _apply_chain(runtime: Runtime, chain: _Chain) -> None:
    for record in chain.records:
        try:
            if _apply(runtime, record):
                chain.applied.append(record)
            else:
                chain.set_aside += 1
        except StoreUnavailable as problem:
            chain.problem = problem
            return


def _apply(runtime: Runtime, record: Record) -> bool:
    """Apply a record; False where it was set aside, for somebody to look at."""
    if record.event is None:
        _set_aside(runtime, record, record.error)
        return False
    try:
        intake.apply(runtime, record.event, _delivery(runtime, record, record.event))
    except StoreRefused as error:
        _set_aside(runtime, record, str(error))
        return False
    except StoreUnavailable as error:
        connection.ping()
        return _try_again(runtime, record, str(error))
    except Exception as error:
        _set_aside(runtime, record, where(error))
        return False
    return True


def _delivery(runtime: Runtime, record: Record, event: Event) -> Delivery:
    waited = ms_between(record.received_at, runtime.clock.now()) / 1000
    calling = isinstance(event, InboundMessage) and event.call
    late = waited > runtime.settings.reply.max_age_seconds and not calling
    return Delivery(
        record.webhooks,
        waiting=False,
        told=record.told,
        unanswered=TOO_LATE if late else "",
        # What failed once is tried by itself: it may be what failed the others of its group.
        grouped=not record.tries,
    )


def _try_again(runtime: Runtime, record: Record, error: str) -> bool:
    """Note that MongoDB takes writes, and did not take this one."""
    if record.tries + 1 >= TRIES:
        _set_aside(runtime, record, error)
        return False
    runtime.spool.note_failure(record, error, set_aside=False)
    raise StoreUnavailable(error)


def _set_aside(runtime: Runtime, record: Record, error: str) -> None:
    runtime.spool.note_failure(record, error, set_aside=True)
    log.error("event_set_aside", kind=record.kind, key=record.key, message=error[:300])
