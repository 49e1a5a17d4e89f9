"""What goes wrong, one class a fault: what it needs, what it does and when, and which refusals it may cost."""

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.reliability import cluster
from benchmarks.reliability.cluster import Cluster, ReplicaSet
from benchmarks.reliability.gateway import Gateway
from benchmarks.reliability.load import BROKEN, REFUSED, Delivery
from benchmarks.reliability.plan import Load

# A connection to a process that was killed is found broken a little later, where everything is busy.
IN_FLIGHT_SECONDS = 0.5

NOTHING_SPOOLED = "nothing was acknowledged while MongoDB was away"


class Impossible(Exception):
    """This machine cannot do that; the message says what it would take."""


@dataclass
class Scene:
    """A running gateway under load. `marks` are the moments at which something was killed or came back."""

    cluster: Cluster
    gateway: Gateway
    load: Load
    start: float
    marks: list[tuple[str, float]] = field(default_factory=list)

    def wait_until(self, seconds: float) -> None:
        """Wait until so many seconds after the start."""
        time.sleep(max(0, self.start + seconds - time.time()))

    def mark(self, name: str, done: Callable[[], None]) -> None:
        """Do something and note when it began and ended."""
        self.marks.append((name, time.time()))
        done()
        self.marks.append((f"{name}, done", time.time()))


class Fault:
    """One row of the table. `permitted` says in words what it may cost, `permits` says it of one delivery."""

    name = ""
    title = ""
    permitted = "0"
    copies, spread = 1, 0.0

    def make_cluster(self, folder: Path) -> Cluster:
        """Make the MongoDB it is done to."""
        return cluster.single(folder)

    @contextlib.contextmanager
    def prepared(self, _gateway: Gateway) -> Iterator[None]:
        """Hold what it needs for as long as it runs."""
        yield

    def run(self, scene: Scene) -> None:
        """Do it, in time with the load."""

    def permits(self, _delivery: Delivery, _scene: Scene) -> bool:
        """Tell whether a delivery that was not acknowledged is one it may cost."""
        return False

    def doubts(self, _deliveries: Sequence[Delivery], _scene: Scene) -> str:
        """Say why the figures prove nothing, where what the fault is about did not happen."""
        return ""


class KillWebProcess(Fault):
    """A gunicorn worker dies, again and again."""

    name = "web-process"
    title = "kill -9 of a gunicorn worker every 5 s"
    permitted = "only connections in flight"

    def run(self, scene: Scene) -> None:
        """Kill one of them every five seconds; shorter loads see at least two die."""
        pause = min(5.0, scene.load.seconds / 3)
        for number in range(1, round(scene.load.seconds / pause)):
            scene.wait_until(number * pause)
            scene.mark("web process killed", scene.gateway.kill_one_web_process)

    def permits(self, delivery: Delivery, scene: Scene) -> bool:
        """Allow what was in flight when one was killed."""
        kills = [at for name, at in scene.marks if not name.endswith("done")]
        return delivery.outcome == BROKEN and any(
            delivery.sent - IN_FLIGHT_SECONDS <= at <= delivery.answered for at in kills
        )


class KillMongod(Fault):
    """MongoDB is gone for a while."""

    name = "mongod"
    title = "kill -9 of mongod, back after 20 s"

    def run(self, scene: Scene) -> None:
        """Kill it after a quarter of the time, and start it again after 20 s (a third of a shorter load)."""
        begin = scene.load.seconds / 4
        scene.wait_until(begin)
        scene.mark("mongod killed", scene.cluster.kill)
        scene.wait_until(begin + min(20.0, scene.load.seconds / 3))
        scene.mark("mongod started", scene.cluster.start)


class KillPrimary(KillMongod):
    """The primary dies, another is elected, and the old one comes back with what nobody else has."""

    name = "primary"
    title = "kill -9 of the primary of three"

    def __init__(self, *, election_ms: int = 10_000) -> None:
        self.election_ms = election_ms

    def make_cluster(self, folder: Path) -> Cluster:
        """Make a replica set, with MongoDB's own election timeout unless another was asked for."""
        return ReplicaSet(folder, election_ms=self.election_ms)


class KillEverything(Fault):
    """The host dies while MongoDB is away and the spool holds what came since."""

    name = "everything"
    title = "kill -9 of the whole gateway while the spool is full, restart"
    permitted = "while it is down"

    def run(self, scene: Scene) -> None:
        """Kill mongod, let the spool fill, kill all the rest, and start all again three seconds later."""
        seconds = scene.load.seconds
        scene.wait_until(seconds / 6)
        scene.mark("mongod killed", scene.cluster.kill)
        scene.wait_until(seconds / 2)
        scene.mark("gateway killed", scene.gateway.kill)
        scene.wait_until(seconds / 2 + 3)
        scene.mark("mongod started", scene.cluster.start)
        scene.mark("gateway started", scene.gateway.start)

    def permits(self, delivery: Delivery, scene: Scene) -> bool:
        """Allow what could not reach it, or was in flight, between its end and its return."""
        at = dict(scene.marks)
        down, up = at["gateway killed"], at["gateway started, done"]
        return delivery.outcome in (REFUSED, BROKEN) and delivery.answered >= down and delivery.sent <= up

    def doubts(self, deliveries: Sequence[Delivery], scene: Scene) -> str:
        """Want webhooks that only the spool can have taken."""
        return "" if _spooled(deliveries, scene, until="gateway killed") else NOTHING_SPOOLED


class DiskFull(Fault):
    """MongoDB is away and the spool has no room left."""

    name = "disk-full"
    title = "disk full on the spool volume with MongoDB down (2 MB tmpfs)"
    permitted = "503"
    size = "2m"

    @contextlib.contextmanager
    def prepared(self, gateway: Gateway) -> Iterator[None]:
        """Make the spool's folder a small volume of its own."""
        gateway.spool_dir.mkdir(parents=True)
        folder = str(gateway.spool_dir)
        command = ["mount", "-t", "tmpfs", "-o", f"size={self.size}", "tmpfs", folder]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
            raise Impossible("only root may mount a tmpfs: run it as root, or under `unshare -rm`")
        try:
            yield
        finally:
            subprocess.run(["umount", "-l", folder], check=True)

    def run(self, scene: Scene) -> None:
        """Take MongoDB away for most of the time, so that two megabytes are not enough."""
        seconds = scene.load.seconds
        scene.wait_until(seconds / 6)
        scene.mark("mongod killed", scene.cluster.kill)
        scene.wait_until(seconds * 5 / 6)
        scene.mark("mongod started", scene.cluster.start)

    def permits(self, delivery: Delivery, scene: Scene) -> bool:
        """Allow 503 from when MongoDB went until it is back."""
        at = dict(scene.marks)
        down, up = at["mongod killed"], at["mongod started, done"]
        return delivery.outcome == "503" and delivery.answered >= down and delivery.sent <= up + IN_FLIGHT_SECONDS

    def doubts(self, deliveries: Sequence[Delivery], scene: Scene) -> str:
        """Want webhooks that the spool took, and others that found it full."""
        if not _spooled(deliveries, scene, until="mongod started"):
            return NOTHING_SPOOLED
        return "" if any(one.outcome == "503" for one in deliveries) else "the volume never was full"


class ThreeTimes(Fault):
    """Nothing dies, but Twilio delivers everything three times, in any order."""

    name = "three-times"
    title = "every webhook three times, shuffled by up to 10 s"
    copies, spread = 3, 10.0


def _spooled(deliveries: Sequence[Delivery], scene: Scene, *, until: str) -> bool:
    at = dict(scene.marks)
    down, end = at["mongod killed, done"], at[until]
    return any(one.acknowledged and one.sent > down and one.answered < end for one in deliveries)


FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (KillWebProcess(), KillMongod(), KillPrimary(), KillEverything(), DiskFull(), ThreeTimes())
}
