"""One mongod with a database of each size, so that all sizes take turns in one run, and the time it spends on them."""

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pymongo

from benchmarks.console.filling import LINES
from benchmarks.measuring import fill_once, mongod, serve
from gateway.store.embedded import EmbeddedMongo

SIZES = {"10k": 10_000, "1M": 1_000_000, "2M": 2_000_000, "5M": 5_000_000}

_CONFIGURED, _ALMOST_NONE = "wiredTigerEngineRuntimeConfig", 40 << 20

BUSY = f"sms:{LINES[0][1]}"


class Mongo:
    """A mongod with these databases; tells how long it has worked for them."""

    def __init__(self, server: EmbeddedMongo, folder: Path) -> None:
        self.server, self.folder = server, folder
        self._client: Any = pymongo.MongoClient(server.uri)
        self._pid = server.process.pid if server.process else 0

    def database(self, size: str) -> Any:
        """Give a database as the driver has it."""
        return self._client[name_of(size)]

    def spent_us(self) -> int:
        """Give the microseconds that MongoDB says it has spent on reads and writes, as `opLatencies` counts them."""
        latencies: Mapping[str, Any] = self._client.admin.command("serverStatus")["opLatencies"]
        return int(sum(latencies[kind]["latency"] for kind in ("reads", "writes")))

    def warm(self, size: str) -> None:
        """Read every session by the finder's index, so that the cache has both, as far as there is room."""
        longest = {"$group": {"_id": None, "longest": {"$max": "$title"}}}
        list(self.database(size).sessions.aggregate([longest], hint="sender_timeline"))

    def forget(self) -> None:
        """Leave next to nothing in the cache: what is asked for after this is read from the disk, or its own cache."""
        before = self._cache("maximum bytes configured")
        self._client.admin.command({"setParameter": 1, _CONFIGURED: f"cache_size={_ALMOST_NONE}"})
        while self._cache("bytes currently in the cache") > _ALMOST_NONE:
            time.sleep(0.1)
        self._client.admin.command({"setParameter": 1, _CONFIGURED: f"cache_size={before}"})

    def _cache(self, what: str) -> int:
        return int(self._client.admin.command("serverStatus")["wiredTiger"]["cache"][what])

    def cpu_us(self) -> dict[str, float]:
        """Give the processor time that this process and mongod have used."""
        ticks = sum(map(int, Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
        return {"gateway": time.process_time() * 1e6, "mongod": ticks * 1e6 / os.sysconf("SC_CLK_TCK")}

    def close(self) -> None:
        """Close this connection."""
        self._client.close()


def name_of(size: str) -> str:
    """Name the database of a size."""
    return f"sessions_{size.lower()}"


@contextlib.contextmanager
def filled(folder: Path, sizes: Mapping[str, int], *, cache_gb: float) -> Iterator[Mongo]:
    """Start a mongod over the databases in a folder; what is missing is filled first, which takes its time."""
    with mongod(folder, cache_gb=cache_gb) as server:
        for size, sessions in sizes.items():
            serve(server, folder, name_of(size))
            fill_once(sessions)
        mongo = Mongo(server, folder)
        try:
            yield mongo
        finally:
            mongo.close()
