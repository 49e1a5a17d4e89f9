"""How MongoDB is doing, as this process sees it: who is in the set, how far away it is, and whose clock is off."""

import statistics
import time
from dataclasses import dataclass

from gateway.core.errors import StoreUnavailable
from gateway.store.connection import client, clock_offset_ms, deadline

PINGS = 3


@dataclass(frozen=True, slots=True)
class Member:
    """One mongod; `round_trip_ms` is None where it was not reached."""

    address: str
    role: str
    round_trip_ms: float | None


@dataclass(frozen=True, slots=True)
class MongoDB:
    """What is known of the database. `problem` says why it was not reached; then the rest may be old."""

    version: str = ""
    set_name: str = ""
    primary: str = ""
    members: tuple[Member, ...] = ()
    write_concern: str = ""
    round_trip_ms: float | None = None
    offset_ms: int | None = None
    problem: str = ""


def mongodb() -> MongoDB:
    """Ask MongoDB how it is; what it does not say in time is a `problem`, and no error."""
    members = tuple(_members())
    try:
        with deadline():
            asked = client()
            trips = [_trip() for _ in range(PINGS)]
            hello, version = asked.admin.command("hello"), asked.server_info()["version"]
        offset = clock_offset_ms()
    except StoreUnavailable as error:
        return MongoDB(members=members, problem=str(error)[:300])
    concern = ", ".join(f"{name}: {str(value).lower()}" for name, value in asked.write_concern.document.items())
    return MongoDB(
        version=version,
        set_name=hello.get("setName", ""),
        primary=hello.get("primary", ""),
        members=tuple(_members()),
        write_concern=concern,
        round_trip_ms=round(statistics.median(trips) * 1000, 1),
        offset_ms=offset,
    )


def _trip() -> float:
    started = time.perf_counter()
    client().admin.command("ping")
    return time.perf_counter() - started


def _members() -> list[Member]:
    """Give what the driver knows of each mongod; it asks them all every ten seconds."""
    known = client().topology_description.server_descriptions()
    return [
        Member(
            f"{host}:{port}" if port else host,
            _ROLES.get(one.server_type_name, "not reached"),
            None if one.round_trip_time is None else round(one.round_trip_time * 1000, 1),
        )
        for (host, port), one in sorted(known.items())
    ]


_ROLES = {
    "RSPrimary": "primary",
    "RSSecondary": "secondary",
    "RSArbiter": "arbiter",
    "RSOther": "not ready",
    "Standalone": "standalone",
    "Mongos": "mongos",
}
