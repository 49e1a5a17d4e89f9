"""Programs that are told of events, by a worker of this process that works at the test's word."""

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import mongoengine
import pytest

from gateway.conversation import subscriptions
from gateway.conversation.events import feed, hands
from gateway.conversation.runtime import Clock, Runtime
from gateway.core.access import Access
from gateway.store import outbox
from gateway.store import subscriptions as stored
from gateway.store.subscriptions import Subscription
from tests.conftest import Twilio
from tests.stand_ins.receiver import Receiver

OWNER = Access("key:test", "admin")


class MovedClock(Clock):
    """The real clock, moved on by tests: MongoDB's changes carry its own time."""

    ahead: Any = None

    def now(self) -> Any:
        return super().now() + (self.ahead or type(super().now() - super().now())())


def wait_for(true: Callable[[], Any], seconds: float = 30) -> Any:
    """Wait until something is so."""
    over = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < over, "it never came"
        time.sleep(0.02)
    return found


class Scene(SimpleNamespace):
    """An app, Twilio, a receiver, and the two halves of the worker."""

    runtime: Runtime

    def subscribe(self, *events: str, path: str = "/events", **given: Any) -> Subscription:
        self.subscription, self.secret = subscriptions.create(
            self.runtime, OWNER, url=self.receiver.url + path, events=events or ["*"], **given
        )
        return self.subscription

    @contextmanager
    def following(self) -> Iterator[None]:
        """Let a worker find out what happens meanwhile."""
        stop = threading.Event()
        thread = threading.Thread(target=feed.follow, args=(self.runtime, stop), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(10)

    def find_out(self, rows: int) -> None:
        """Let a worker find out what happened, until so many rows are queued in all."""
        with self.following():
            wait_for(lambda: self.queued() >= rows)

    def queued(self, **wanted: Any) -> int:
        return int(self.db.outbox.count_documents({"step": outbox.EVENT, **wanted}))

    def rows(self, **wanted: Any) -> list[dict[str, Any]]:
        return list(self.db.outbox.find({"step": outbox.EVENT, **wanted}).sort("due", 1))

    def deliver(self, *, after: Any = None) -> int:
        """Deliver everything that is due, `after` so long; gives how many tries that were."""
        if after:
            self.runtime.clock.ahead = (self.runtime.clock.ahead or type(after)()) + after  # type: ignore[attr-defined]
        tries = 0
        while True:
            now = self.runtime.clock.now()
            ready = [one.id for one in stored.listening() if one.held_until is None or one.held_until <= now]
            row = hands.claim(self.runtime, ready)
            if row is None:
                return tries
            hands.do(self.runtime, row)
            tries += 1

    def get(self) -> Subscription:
        found = stored.get(self.subscription.id)
        assert found
        return found


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def make_scene(make_app: Any, receiver: Receiver) -> Any:
    def make(**given: Any) -> Scene:
        app = make_app(**{"reply": {"responder": "echo"}} | given)
        app.extensions["gateway"] = dataclasses.replace(app.extensions["gateway"], clock=MovedClock())
        return Scene(
            app=app,
            runtime=app.extensions["gateway"],
            receiver=receiver,
            twilio=Twilio(app.test_client()),
            db=mongoengine.get_db(),
        )

    return make


@pytest.fixture
def scene(make_scene: Any) -> Scene:
    return make_scene()  # type: ignore[no-any-return]
