"""The tunnel through which a gateway is reached for a while: one of each environment, as long as its lease lasts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo.errors import DuplicateKeyError

from gateway.store.connection import collection
from gateway.store.documents import TunnelDocument


@dataclass(frozen=True, slots=True)
class Tunnel:
    """Where a tunnel leads from, and who holds it: the process `owner`, on a host, until the lease ends."""

    url: str
    owner: str
    host: str
    pid: int
    until: datetime


def of(env: str) -> Tunnel | None:
    """Give the tunnel of the gateways of an environment, also one whose lease has ended."""
    row = collection(TunnelDocument).find_one({"_id": env})
    return _tunnel(row) if row else None


def others(env: str) -> list[Tunnel]:
    """Give the tunnels of the gateways of other environments, also those whose lease has ended."""
    return [_tunnel(row) for row in collection(TunnelDocument).find({"_id": {"$ne": env}})]


def _tunnel(row: Mapping[str, Any]) -> Tunnel:
    return Tunnel(**{name: row[name] for name in Tunnel.__slots__})


def hold(env: str, tunnel: Tunnel, now: datetime) -> bool:
    """Take the lease, or renew it; False where somebody else's has not ended."""
    fields = {name: getattr(tunnel, name) for name in Tunnel.__slots__}
    free = {"_id": env, "$or": [{"owner": tunnel.owner}, {"until": {"$lte": now}}]}
    try:
        collection(TunnelDocument).update_one(free, {"$set": fields}, upsert=True)
    except DuplicateKeyError:
        return False
    return True


def let_go(env: str, owner: str) -> bool:
    """End the lease of an owner; False where it has none any more."""
    return collection(TunnelDocument).delete_one({"_id": env, "owner": owner}).deleted_count == 1
