"""A HubSpot, people who text, and the two halves of a worker that synchronises them at the test's word."""

import dataclasses
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import mongoengine
import pytest

from gateway.conversation import operators, upkeep, work
from gateway.conversation.crm import follow
from gateway.conversation.runtime import Runtime
from gateway.store import outbox
from gateway.worker.chores import start
from tests.conftest import Twilio
from tests.conversation.events.conftest import MovedClock, wait_for
from tests.stand_ins.hubspot import TOKEN, HubSpot

NUMBER = "+15558675310"


class Scene(SimpleNamespace):
    """An app, Twilio, HubSpot, and a worker of this process."""

    runtime: Runtime
    hubspot: HubSpot

    def move(self, **time: float) -> None:
        clock = self.runtime.clock
        clock.ahead = (clock.ahead or timedelta()) + timedelta(**time)  # type: ignore[attr-defined]

    @contextmanager
    def following(self) -> Iterator[None]:
        """Let a worker find out what ends meanwhile."""
        stop = threading.Event()
        thread = start(lambda: follow.follow(self.runtime, stop), 0.2, stop)
        try:
            yield
        finally:
            stop.set()
            thread.join(10)

    def text(self, body: str = "Hello", number: str = NUMBER, **more: str) -> None:
        assert self.twilio.sms(body, From=number, **more).status_code == 200

    def close_all(self) -> None:
        """Let operators close every open session, and a worker find that out."""
        ids = [str(one["_id"]) for one in self.db.sessions.find({"status": "active"})]
        with self.following():
            for session_id in ids:
                operators.close(self.runtime, session_id, by="ada")
            wait_for(lambda: self.waiting() >= 1)

    def idle(self) -> None:
        self.move(minutes=10)
        upkeep.sweep(self.runtime)

    def waiting(self, **wanted: Any) -> int:
        return int(self.db.outbox.count_documents({"step": "crm", "state": "waiting"} | wanted))

    def work(self, **time: float) -> int:
        """Do what is due for the CRM, after so long; gives how many rows were done."""
        if time:
            self.move(**time)
        done = 0
        while row := work.claim(self.runtime, steps=[outbox.CRM]):
            work.do(self.runtime, row)
            done += 1
            assert done < 500, "it never ends"
        return done

    def contact(self, number: str = NUMBER) -> dict[str, Any]:
        return dict(self.db.contacts.find_one({"phones": number}))

    def state(self, number: str = NUMBER) -> dict[str, Any]:
        return self.contact(number)["crm"].get("hubspot", {})  # type: ignore[no-any-return]


@pytest.fixture
def hubspot() -> Iterator[HubSpot]:
    with HubSpot(unseen=10) as hubspot:
        yield hubspot


@pytest.fixture
def make_scene(make_app: Any, hubspot: HubSpot) -> Any:
    def make(**given: Any) -> Scene:
        crm = {
            "provider": "hubspot", "access_token": TOKEN, "base_url": hubspot.url, "timeout_seconds": 1,
            "min_interval_seconds": 0,
        }  # fmt: skip
        app = make_app(crm=crm | given.pop("crm", {}), **given)
        runtime = dataclasses.replace(app.extensions["gateway"], clock=MovedClock())
        app.extensions["gateway"] = runtime
        twilio = Twilio(app.test_client())
        return Scene(app=app, runtime=runtime, hubspot=hubspot, twilio=twilio, db=mongoengine.get_db())

    return make


@pytest.fixture
def scene(make_scene: Any) -> Scene:
    return make_scene()  # type: ignore[no-any-return]
