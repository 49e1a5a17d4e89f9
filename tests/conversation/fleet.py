"""Several gateway processes over one database, posting webhooks at the same moment."""

import contextlib
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.connection import Connection
from typing import Any

from tests.conftest import StoppedClock, Twilio

PROCESSES, THREADS = 4, 16


@dataclass(frozen=True)
class Webhook:
    """One delivery: where, what, and when it is received."""

    path: str
    params: dict[str, str]
    at: datetime


def _serve(given: dict[str, Any], commands: Connection, start: Any) -> None:
    from gateway import settings
    from gateway.app import create_app

    clock = StoppedClock()
    app = create_app(settings.load(**given), clock=clock)

    def post(webhook: Webhook) -> tuple[int, str]:
        clock.moment = webhook.at
        answer = Twilio(app.test_client()).post(webhook.path, webhook.params)
        return answer.status_code, answer.get_data(as_text=True)

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(lambda _: app.test_client().get("/readyz"), range(THREADS)))
        while (webhooks := commands.recv()) is not None:
            start.wait(30)
            commands.send(list(threads.map(post, webhooks)))


class Fleet:
    """Four processes of sixteen threads each, kept over many rounds."""

    def __init__(self, given: dict[str, Any]) -> None:
        # One process imports everything once, and each of the fleet is forked from it before it has a connection.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["gateway.app", "tests.conftest"])
        self._start = context.Barrier(PROCESSES)
        self._pipes = []
        self._processes = []
        for _ in range(PROCESSES):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(given, theirs, self._start), daemon=True)
            process.start()
            self._pipes.append(ours)
            self._processes.append(process)

    def deliver(self, webhooks: Sequence[Webhook]) -> list[tuple[int, str]]:
        """Post all of them at once, dealt out over the processes; gives the answers in the same order."""
        for number, pipe in enumerate(self._pipes):
            pipe.send(list(webhooks[number::PROCESSES]))
        answers: list[Any] = [None] * len(webhooks)
        for number, pipe in enumerate(self._pipes):
            answers[number::PROCESSES] = pipe.recv()
        return answers

    def stop(self) -> None:
        for pipe in self._pipes:
            with contextlib.suppress(OSError):  # a process that failed has closed its end
                pipe.send(None)
        for process in self._processes:
            process.join(10)
            process.kill()
