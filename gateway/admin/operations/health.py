"""The first page of operations: whether anything is wrong, and where."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.admin.blueprint import bp
from gateway.admin.login import runtime
from gateway.admin.operations.rooms import operators, show
from gateway.clients import broker
from gateway.conversation import migrating, presence
from gateway.conversation.doctor import database, spooling, working
from gateway.conversation.doctor.findings import Finding, State, warning, wrong
from gateway.conversation.runtime import Runtime
from gateway.core.errors import SpoolUnavailable
from gateway.core.times import ms_between, spoken
from gateway.store import backlog, channels, connection, failures, health, heartbeats
from gateway.store.connection import deadline
from gateway.store.heartbeats import Heartbeat

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
        spoken_on = channels.spoken_on([line["id"] for line in lines if not line.get("last_webhook_at")])
    processes = [_process(beat, now) for beat in beats]
    spool = _spool(serving)
    lines.sort(key=lambda line: line.get("last_webhook_at") or datetime.min.replace(tzinfo=now.tzinfo), reverse=True)
    shown = {
        "mongo": mongo, "breaker_open": connection.breaker.is_open, "spool": spool, "processes": processes,
        "waiting": waiting, "oldest": oldest, "failed": sum(kind.count for kind in failed), "lines": lines,
        "spoken_on": spoken_on,
        "broker": _broker(serving, beats, now), "standing": migrating.standing(),
    }  # fmt: skip
    return show("health", problems=_problems(shown, now), **shown)


def _process(beat: Heartbeat, now: datetime) -> Process:
    return Process(
        beat,
        up=_span(beat.started_at, beat.seen_at),
        silent="" if presence.is_there(beat, now) else _span(beat.seen_at, now),
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
            "path": serving.spool.path,
            "depth": serving.spool.depth(),
            "aside": serving.spool.oldest(SET_ASIDE_SHOWN, set_aside=True),
        }
    except SpoolUnavailable as error:
        return {"problem": str(error)[:300]}


def _broker(serving: Runtime, beats: Sequence[Heartbeat], now: datetime) -> dict[str, Any] | None:
    """Tell where the broker is, without its password, and how many workers are connected to it."""
    if not serving.settings.broker.url:
        return None
    workers = [beat for beat in beats if beat.kind == "worker" and not _process(beat, now).silent]
    connected = sum(bool(beat.facts.get("broker")) for beat in workers)
    return {"where": broker.label(serving.settings), "connected": connected, "workers": len(workers)}


def _problems(shown: dict[str, Any], now: datetime) -> list[str]:
    """Say what somebody should look at and do, as `gateway doctor` does."""
    spool, carrier = shown["spool"], shown["broker"]
    found = [
        *database.judged(shown["mongo"]),
        *_spool_problems(spool, now),
        *working.judged([one.beat for one in shown["processes"] if not one.silent]),
        *database.judged_documents(shown["standing"]),
        *working.left_lying(shown["oldest"], shown["failed"], now),
    ]
    if carrier and carrier["connected"] < carrier["workers"]:
        found.append(warning("Not all workers are connected to the broker. Replies go on without it."))
    return [" ".join([one.what, *one.remedies]) for one in found if one.state is not State.OK]


def _spool_problems(spool: dict[str, Any], now: datetime) -> list[Finding]:
    if "problem" in spool:
        return [wrong(f"This host's spool cannot be read: {spool['problem']}")]
    return list(spooling.judged(spool["depth"], spool["path"], now))
