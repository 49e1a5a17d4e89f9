"""A worker for tests: does what is due at the stopped clock's time, in this process, one row after another."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask

from gateway.clients import Sender
from gateway.clients.loopback import Loopback
from gateway.conversation import work
from gateway.conversation.runtime import Runtime
from gateway.core.replies import Reply, Turn
from gateway.responders import Responder
from tests.conftest import StoppedClock

LIMIT = 500


class Worker:
    """Works off the outbox of an app, whose messages go to nobody unless a sender is given."""

    def __init__(self, app: Flask, clock: StoppedClock, *, sender: Sender | None = None) -> None:
        self.app, self.clock = app, clock
        app.extensions["gateway"] = dataclasses.replace(self.runtime, sender=sender or Loopback())

    @property
    def runtime(self) -> Runtime:
        return self.app.extensions["gateway"]

    def run(self, *, after: float = 0) -> int:
        """Do everything that is due, `after` so many seconds; gives how many rows were done."""
        self.clock.tick(after)
        done = 0
        while work.do_one(self.runtime):
            done += 1
            assert done < LIMIT, "the outbox never ends"
        return done


@contextmanager
def slow_responder(app: Flask, respond: Callable[[Turn], Reply], *, history: int = 20) -> Iterator[None]:
    """Let a function answer as a model would: in the worker."""
    responders: Any = app.extensions["gateway"].responders
    before = dict(responders)
    responders["echo"] = Responder(respond, history=history)
    try:
        yield
    finally:
        responders.clear()
        responders.update(before)
