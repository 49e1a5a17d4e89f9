"""The first page of operations: whether anything is wrong, and where."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from gateway.admin.blueprint import bp
from gateway.admin.login import runtime
from gateway.admin.operations.rooms import operators, show
from gateway.conversation import migrating
from gateway.conversation.runtime import OFFSET_WARNING_MS, Runtime
from gateway.core.errors import SpoolUnavailable
from gateway.core.times import ms_between, spoken
from gateway.store import backlog, channels, connection, failures, health, heartbeats
from gateway.store.connection import deadline
from gateway.store.heartbeats import Heartbeat

# A process that missed so many heartbeats is not there any more.
MISSED = 3

# The oldest row may wait so long before somebody should look.
OUTBOX_PATIENCE = timedelta(minutes=1)

SET_ASIDE_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Process:
    """A process as it is shown: `silent` for how long nothing was heard, empty where it is there."""

    beat: Heartbeat
    up: str
    silent: str
    holds: tuple[str, ...]


@bp.get("/operations")
@operators
def operations() -> str:
    """Show how MongoDB, spool, outbox, broker and the processes are doing."""
    serving = runtime()
    now = serving.clock.now()
    mongo = health.mongodb()
    with deadline():
        beats, lines = heartbeats.every(), channels.listed()
        waiting, oldest, failed = failures.waiting(now), backlog.oldest(), failures.kinds()
    standing = migrating.standing()
    processes = [_process(beat, now) for beat in beats]
    spool = _spool(serving)
    lines.sort(key=lambda line: line.get("last_webhook_at") or datetime.min.replace(tzinfo=now.tzinfo), reverse=True)
    shown = {
        "mongo": mongo, "breaker_open": connection.breaker.is_open, "spool": spool, "processes": processes,
        "waiting": waiting, "oldest": oldest, "failed": sum(kind.count for kind in failed), "lines": lines,
        "broker": _broker(serving, beats, now), "migrations": standing.problem,
    }  # fmt: skip
    return show("health", problems=_problems(shown, now), **shown)


def _process(beat: Heartbeat, now: datetime) -> Process:
    silence = now - beat.seen_at
    is_there = silence <= timedelta(seconds=beat.every_seconds * MISSED)
    return Process(
        beat,
        up=_span(beat.started_at, beat.seen_at),
        silent="" if is_there else _span(beat.seen_at, now),
        holds=tuple(_holds(beat)),
    )


def _span(earlier: datetime, later: datetime) -> str:
    return spoken(max(0, ms_between(earlier, later)) // 1000 * 1000)


def _holds(beat: Heartbeat) -> list[str]:
    """Say what a process has in its hands, in a few words each."""
    facts = beat.facts
    if beat.kind == "worker":
        rows = [f"{row['step']} {row['id']}, try {row['tries']}" for row in facts.get("rows") or ()]
        return [f"{facts.get('held', 0)} of {facts.get('hands', 0)} hands busy", *rows]
    spool, seen = facts.get("spool"), facts.get("inspections") or {}
    told = [] if not isinstance(spool, dict) else [f"{spool.get('waiting', 0)} in its host's spool"]
    if seen.get("dropped"):
        told.append(f"{seen['dropped']:,} webhooks not inspected for want of room")
    return told


def _spool(serving: Runtime) -> dict[str, Any]:
    """Tell what this host's spool holds; `problem` where it cannot be read."""
    try:
        return {
            "path": str(serving.spool.path),
            "depth": serving.spool.depth(),
            "aside": serving.spool.oldest(SET_ASIDE_SHOWN, set_aside=True),
        }
    except SpoolUnavailable as error:
        return {"problem": str(error)[:300]}


def _broker(serving: Runtime, beats: Sequence[Heartbeat], now: datetime) -> dict[str, Any] | None:
    """Tell where the broker is, without its password, and how many workers are connected to it."""
    if not serving.settings.broker.url:
        return None
    url = urlsplit(serving.settings.broker.url)
    workers = [beat for beat in beats if beat.kind == "worker" and not _process(beat, now).silent]
    connected = sum(bool(beat.facts.get("broker")) for beat in workers)
    return {"where": f"{url.scheme}://{url.hostname}:{url.port or ''}".rstrip(":"), "connected": connected,
            "workers": len(workers)}  # fmt: skip


def _problems(shown: dict[str, Any], now: datetime) -> list[str]:
    """Say what somebody should look at, the worst first."""
    mongo, spool, broker = shown["mongo"], shown["spool"], shown["broker"]
    there = [one for one in shown["processes"] if not one.silent]
    checks = (
        (mongo.problem, f"MongoDB does not answer: {mongo.problem}"),
        (spool.get("problem"), f"This host's spool cannot be read: {spool.get('problem')}"),
        (
            not any(one.beat.kind == "worker" for one in there),
            "No worker runs: nothing is sent, and no slow answer is made. Start one: gateway worker",
        ),
        (shown["migrations"], shown["migrations"]),
        ("depth" in spool and spool["depth"].set_aside, "Events in this host's spool could not be filed."),
        (
            shown["oldest"] and now - shown["oldest"] > OUTBOX_PATIENCE,
            "The outbox is behind: its oldest row has waited for over a minute.",
        ),
        (shown["failed"], f"{shown['failed']:,} row{'s' if shown['failed'] != 1 else ''} of the outbox failed."),
        (
            mongo.offset_ms and abs(mongo.offset_ms) > OFFSET_WARNING_MS,
            f"This host's clock is {mongo.offset_ms} ms off MongoDB's. Check its time synchronisation.",
        ),
        (
            broker and broker["connected"] < broker["workers"],
            "Not all workers are connected to the broker. Replies go on without it.",
        ),
    )
    return [words for is_so, words in checks if is_so]
