"""One fault from beginning to end: start everything, load it, break it, wait until it is at rest, judge it."""

import contextlib
import multiprocessing
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pymongo
from pymongo.errors import PyMongoError

from benchmarks.reliability import load, plan
from benchmarks.reliability.cluster import Cluster
from benchmarks.reliability.faults import Fault, Scene
from benchmarks.reliability.gateway import ACCOUNT, TOKEN, Gateway
from benchmarks.reliability.judge import Verdict, judge, miscounted
from benchmarks.reliability.load import Delivery
from benchmarks.reliability.plan import Load
from tests.stand_ins.twilio import TwilioStandIn

# Counts are right within a minute of a crash (I5); a spool may take its time on top.
REST_SECONDS = 180
STEADY_LOOKS = 4


@dataclass
class Outcome:
    """What a trial showed. `depths` are the spool's, by the moment."""

    fault: Fault
    scene: Scene
    deliveries: list[Delivery]
    verdict: Verdict
    depths: list[tuple[float, int]] = field(default_factory=list)
    rested: bool = False


def run(fault: Fault, amount: Load, *, responder: str = "echo", folder: Path | None = None) -> Outcome:
    """Run one fault; everything it makes is in a folder that is removed, unless one is given."""
    amount = replace(amount, copies=fault.copies, spread=fault.spread)
    with contextlib.ExitStack() as stack:
        home = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="reliability-")))
        twilio = stack.enter_context(TwilioStandIn(tokens={ACCOUNT: [TOKEN]}))
        mongo = fault.make_cluster(home / "mongo")
        stack.callback(mongo.stop)
        mongo.start()
        gateway = Gateway(
            home / "gateway",
            mongodb_uri=mongo.uri,
            twilio_url=twilio.url,
            responder=responder,
            idle_seconds=amount.idle_seconds,
        )
        stack.enter_context(fault.prepared(gateway))
        gateway.migrate()
        stack.callback(gateway.stop)
        gateway.start()
        return _under_load(fault, amount, mongo, gateway, twilio if responder != "none" else None)


def _under_load(fault: Fault, amount: Load, mongo: Cluster, gateway: Gateway, twilio: TwilioStandIn | None) -> Outcome:
    sendings = [(one.at, one.sid, one.sender, one.request) for one in plan.write(amount, gateway.port)]
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as generator, _depths(gateway) as seen:
        generator.submit(time.time).result()  # its process takes a moment to be there
        scene = Scene(mongo, gateway, amount, start=time.time() + 0.5)
        sent = generator.submit(load.run, sendings, gateway.port, scene.start)
        fault.run(scene)
        deliveries = sent.result()
        with pymongo.MongoClient[dict[str, Any]](mongo.uri, tz_aware=True, readConcernLevel="majority") as client:
            db = client.get_default_database()
            rested = _wait_for_rest(db, gateway)
            sends = None if twilio is None else Counter(str(message["body"]) for message in list(twilio.messages))
            verdict = judge(db, deliveries, round(amount.idle_seconds * 1000), sends)
    return Outcome(fault, scene, deliveries, verdict, seen, rested)


@contextlib.contextmanager
def _depths(gateway: Gateway) -> Iterator[list[tuple[float, int]]]:
    """Look at the spool's depth twice a second."""
    depths: list[tuple[float, int]] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(0.5):
            if (depth := gateway.spool_depth()) is not None:
                depths.append((time.time(), depth))

    watching = threading.Thread(target=look, daemon=True)
    watching.start()
    try:
        yield depths
    finally:
        stop.set()
        watching.join()


def _wait_for_rest(db: Any, gateway: Gateway) -> bool:
    """Wait until nothing waits, nothing changes and every session counts what it has; False where that never comes."""
    looks: list[tuple[object, ...]] = []
    until = time.monotonic() + REST_SECONDS
    while time.monotonic() < until:
        with contextlib.suppress(PyMongoError):
            waiting = db.outbox.count_documents({"state": "waiting"})
            depth, wrong = gateway.spool_depth(), len(miscounted(db))
            looks.append((db.messages.count_documents({}), depth, waiting, wrong))
            if looks[-1][1:] == (0, 0, 0) and looks[-STEADY_LOOKS:] == [looks[-1]] * STEADY_LOOKS:
                return True
        time.sleep(0.5)
    return False
