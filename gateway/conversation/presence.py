"""A process that tells that it is there: what it is, since when, and what it has in its hands."""

import contextlib
import os
import secrets
import socket
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from gateway import __version__
from gateway.conversation.runtime import Runtime
from gateway.core.errors import SpoolUnavailable, StoreUnavailable
from gateway.logs import log
from gateway.store import channels, heartbeats
from gateway.store.connection import deadline
from gateway.store.heartbeats import Heartbeat

EVERY_SECONDS = 10

# A process that missed so many heartbeats is not there any more.
MISSED = 3

# A process that stops must not hang on a MongoDB that stopped before it.
GOODBYE_SECONDS = 0.5


class Presence:
    """The heartbeat of one process; `facts` tell what it holds at the moment, in a few short values."""

    def __init__(self, runtime: Runtime, kind: str, facts: Callable[[], Mapping[str, Any]]) -> None:
        self._runtime, self._kind, self._facts = runtime, kind, facts
        self._host, self._pid = socket.gethostname(), os.getpid()
        self._started_at = runtime.clock.now()
        self._id = f"{self._host}:{self._kind}:{self._pid}:{secrets.token_hex(4)}"

    def beat(self) -> None:
        """Say that the process is there, and which channels it heard of; while MongoDB is away nobody is told."""
        heard = self._runtime.channels.take_heard()
        try:
            with deadline():
                channels.note_heard(heard, self._runtime.clock.now())
                heartbeats.beat(self._now())
        except StoreUnavailable:
            self._runtime.channels.heard_again(heard)
        except Exception:
            log.exception("heartbeat_failed")

    def _now(self) -> Heartbeat:
        return Heartbeat(
            id=self._id,
            kind=self._kind,
            host=self._host,
            pid=self._pid,
            version=__version__,
            started_at=self._started_at,
            seen_at=self._runtime.clock.now(),
            every_seconds=EVERY_SECONDS,
            facts=dict(self._facts()),
        )

    def leave(self) -> None:
        """Say that the process stops on purpose, if MongoDB listens."""
        with contextlib.suppress(StoreUnavailable), deadline(GOODBYE_SECONDS):
            heartbeats.leave(self._id)


def is_there(heartbeat: Heartbeat, now: datetime) -> bool:
    """Tell whether a process that said this last can be taken to be there."""
    return now - heartbeat.seen_at <= timedelta(seconds=heartbeat.every_seconds * MISSED)


def spool_facts(runtime: Runtime) -> dict[str, Any]:
    """Tell what waits on this host's disk, for those who look from another host."""
    try:
        depth = runtime.spool.depth()
    except SpoolUnavailable:
        return {"spool": "unreadable"}
    return {"spool": {"waiting": depth.waiting, "set_aside": depth.set_aside}}
