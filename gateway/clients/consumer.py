"""The worker's end of the broker: takes the ids it brings, and knows whether it brings any."""

import threading
from collections.abc import Callable
from typing import Any

from gateway.clients.broker import OUTBOX, Broker
from gateway.logs import log


class Consumer:
    """Takes ids from the broker and does something with each, on threads. `is_connected` while it can."""

    def __init__(self, broker: Broker, take: Callable[[str], None], *, hands: int) -> None:
        from celery.worker import WorkController

        self._connected = threading.Event()

        def outbox(row_id: str) -> None:
            take(row_id)

        broker.app.task(outbox, name=OUTBOX)
        broker.app.steps["consumer"].add(_connection_step(self._connected))
        # The controller and not `celery worker`, which would take over signals, logging and standard output.
        self._controller = WorkController(
            app=broker.app, pool="threads", concurrency=hands, loglevel="WARNING",
            without_gossip=True, without_mingle=True, without_heartbeat=True,
        )  # fmt: skip
        self._thread = threading.Thread(target=self._controller.start, name="celery", daemon=True)
        self._thread.start()

    @property
    def is_connected(self) -> bool:
        """Tell whether ids arrive, as far as anybody can know."""
        return self._connected.is_set() and self._thread.is_alive()

    def stop(self) -> None:
        """Take no more ids; what has been taken goes on."""
        from celery.worker import state

        state.should_stop = 0

    def join(self, seconds: float) -> None:
        """Wait until everything taken is done, or so long."""
        self._thread.join(seconds)


def _connection_step(connected: threading.Event) -> Any:
    """Make the step that Celery starts once it consumes, and stops whenever the connection is lost."""
    from celery import bootsteps

    class Connected(bootsteps.StartStopStep):  # type: ignore[misc]
        requires = ("celery.worker.consumer.tasks:Tasks",)

        def start(self, _consumer: Any) -> None:
            connected.set()
            log.info("broker_connected")

        def stop(self, _consumer: Any) -> None:
            connected.clear()

    return Connected
