"""MongoDB that may be killed: one member as `make run` starts it, or a replica set of three on loopback."""

import contextlib
import subprocess
import time
from pathlib import Path
from typing import Any, Protocol

import pymongo
from pymongo.errors import PyMongoError

from gateway.store.embedded import EmbeddedMongo, die_with_parent, find_mongod, free_port

REPLICA_SET = "three"
START_SECONDS = 60


class Cluster(Protocol):
    """What a fault may do to MongoDB. `kill` is -9 of whichever member takes the writes; `start` brings it back."""

    @property
    def uri(self) -> str:
        """Give the connection string."""

    def start(self) -> None:
        """Start what does not run, and wait until there is a primary."""

    def kill(self) -> None:
        """Kill the primary."""

    def stop(self) -> None:
        """Stop all of it."""


def single(folder: Path) -> Cluster:
    """Give one mongod, a replica set of one."""
    return EmbeddedMongo(folder)


class ReplicaSet:
    """Three mongods that vote. `election_ms` is MongoDB's electionTimeoutMillis, 10 s unless one says otherwise."""

    def __init__(self, folder: Path, *, election_ms: int = 10_000) -> None:
        self.folder = folder.resolve()
        self.election_ms = election_ms
        self.ports = [free_port() for _ in range(3)]
        self.members: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def uri(self) -> str:
        """Give the connection string, with all members."""
        return f"mongodb://{','.join(self._hosts())}/gateway?replicaSet={REPLICA_SET}"

    def start(self) -> None:
        """Start the members that do not run, tell them of each other the first time, and wait for a primary."""
        first = not self.members
        for port in self.ports:
            if port not in self.members:
                self.members[port] = self._start_member(port)
        if first:
            self._initiate()
        self._wait_for_primary()

    def kill(self) -> None:
        """Kill the primary with -9."""
        port = self._wait_for_primary()
        member = self.members.pop(port)
        member.kill()
        member.wait()

    def stop(self) -> None:
        """Kill all members: nobody reads their data again."""
        for member in self.members.values():
            member.kill()
        for member in self.members.values():
            member.wait()
        self.members.clear()

    def _hosts(self) -> list[str]:
        return [f"127.0.0.1:{port}" for port in self.ports]

    def _start_member(self, port: int) -> subprocess.Popen[bytes]:
        data = self.folder / str(port)
        data.mkdir(parents=True, exist_ok=True)
        return subprocess.Popen(
            [
                str(find_mongod()), "--dbpath", str(data), "--port", str(port), "--bind_ip", "127.0.0.1",
                "--replSet", REPLICA_SET, "--oplogSize", "256", "--wiredTigerCacheSizeGB", "0.25", "--nounixsocket",
                "--logpath", str(self.folder / f"{port}.log"), "--logappend",
                "--setParameter", "diagnosticDataCollectionEnabled=false",
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )  # fmt: skip

    def _initiate(self) -> None:
        config = {
            "_id": REPLICA_SET,
            "members": [{"_id": number, "host": host} for number, host in enumerate(self._hosts())],
            "settings": {"electionTimeoutMillis": self.election_ms},
        }
        # The set is refused where a member does not listen yet.
        for port in reversed(self.ports):
            with _ask(port, patience=START_SECONDS) as client:
                client.admin.command("hello")
        with _ask(self.ports[0]) as client:
            client.admin.command("replSetInitiate", config)

    def _wait_for_primary(self) -> int:
        """Give the port of the primary that a majority follows."""
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            for port in self.members:
                with contextlib.suppress(PyMongoError), _ask(port) as client:
                    if client.admin.command("hello").get("isWritablePrimary"):
                        return port
            time.sleep(0.05)
        raise SystemExit(f"The replica set has no primary; see the logs in {self.folder}.")


def _ask(port: int, *, patience: float = 1) -> pymongo.MongoClient[dict[str, Any]]:
    return pymongo.MongoClient(
        "127.0.0.1", port, directConnection=True, serverSelectionTimeoutMS=int(patience * 1000), socketTimeoutMS=30_000
    )
