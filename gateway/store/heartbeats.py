"""What each process of the gateway says of itself, every some seconds; gone after a day of silence."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.store.connection import collection
from gateway.store.documents import HeartbeatDocument


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """One process, as it said of itself last. `facts` are what it holds, by kind."""

    id: str
    kind: str
    host: str
    pid: int
    version: str
    started_at: datetime
    seen_at: datetime
    every_seconds: int
    facts: Mapping[str, Any] = field(default_factory=dict)


def beat(heartbeat: Heartbeat) -> None:
    """Say what a process is and holds now."""
    document = {name: getattr(heartbeat, name) for name in Heartbeat.__slots__ if name != "id"}
    collection(HeartbeatDocument).replace_one({"_id": heartbeat.id}, document, upsert=True)


def leave(heartbeat_id: str) -> None:
    """Let go of a process that stops on purpose: nobody is to miss it."""
    collection(HeartbeatDocument).delete_one({"_id": heartbeat_id})


def every() -> list[Heartbeat]:
    """Give all processes that were heard of within a day, whoever spoke last first."""
    found = collection(HeartbeatDocument).find().sort("seen_at", -1)
    names = [name for name in Heartbeat.__slots__ if name != "id"]
    return [Heartbeat(row["_id"], **{name: row[name] for name in names}) for row in found]
