"""One real MongoDB for the whole run, an app with a clock that tests move, and Twilio's side of a webhook."""

import contextlib
import gc
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import mongoengine
import pymongo
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from gateway import settings as settings_module
from gateway.app import create_app
from gateway.channels.signature import sign
from gateway.conversation.runtime import Clock
from gateway.settings import Settings
from gateway.store import connection
from gateway.store.embedded import EmbeddedMongo
from tests import shortcuts
from tests.browser import browser, open_page, serve, spare_pages

__all__ = ["browser", "open_page", "serve", "spare_pages"]

FIXTURES = Path(__file__).parent / "fixtures"
ACCOUNT, TOKEN, HOST = "AC" + "a" * 32, "test-token", "https://gateway.example.com"
# A test that forgets its stand-in must not reach Twilio.
NOWHERE = {"api_base_url": "http://127.0.0.1:9"}
USUAL: dict[str, Any] = {
    "env": "test",
    "public_url": HOST,
    "twilio_account_sid": ACCOUNT,
    "twilio_auth_token": [TOKEN],
    "secret_key": "test-secret-key",
    "twilio": NOWHERE,
}
TEN = datetime(2026, 3, 1, 10, tzinfo=UTC)

shortcuts.take()

# A machine that runs tests may stand still for two seconds, and a webhook that gave up would be seen as a wrong one.
# Where waiting is the subject, `real_deadline` puts back what the gateway has.
_REAL_DEADLINE, connection.DEADLINE_SECONDS = connection.DEADLINE_SECONDS, 20


def pytest_collection_finish() -> None:
    """Spare the garbage collector what was imported and collected: it stays to the end."""
    gc.collect()
    gc.freeze()


class StoppedClock(Clock):
    """A clock that stands still until a test moves it."""

    def __init__(self, moment: datetime = TEN) -> None:
        super().__init__()
        self.moment = moment

    def now(self) -> datetime:
        return self.moment

    def move_to(self, *, minutes: float = 0, seconds: float = 0) -> None:
        self.moment = TEN + timedelta(minutes=minutes, seconds=seconds)

    def tick(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


@pytest.fixture(scope="session")
def mongo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedMongo]:
    """A real mongod, started once; in memory where that is possible, since every write waits for its journal."""
    memory = Path("/dev/shm")
    with contextlib.ExitStack() as stack:
        if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 4 * 2**30:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=memory)))
        else:
            folder = tmp_path_factory.mktemp("mongo")
        server = EmbeddedMongo(folder)
        server.start()
        with pymongo.MongoClient[dict[str, Any]](server.uri) as client:
            # What tests store is of a day long past, and would be gone whenever the minute of mongod's sweep comes.
            client.admin.command("setParameter", 1, ttlMonitorEnabled=False)
        yield server
        connection.disconnect()
        server.stop()


@pytest.fixture(scope="module")
def own_mongo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedMongo]:
    """Run a mongod for one module, which may stop and kill it."""
    server = EmbeddedMongo(tmp_path_factory.mktemp("own-mongo"))
    server.start()
    yield server
    server.stop()
    connection.disconnect()


@pytest.fixture(scope="session")
def cleaner(mongo: EmbeddedMongo) -> Iterator[Any]:
    """A connection that no test closes."""
    with pymongo.MongoClient[dict[str, Any]](mongo.uri, tz_aware=True) as client:
        yield client


@pytest.fixture
def make_settings(mongo: EmbeddedMongo, cleaner: Any, tmp_path: Path) -> Iterator[Any]:
    """Make settings over a database of this test's own; sections are given as dictionaries."""
    uri = mongo.uri.replace("/gateway?", "/test?")

    def make(**given: Any) -> Settings:
        return settings_module.load(**(USUAL | {"data_dir": tmp_path, "mongodb_uri": uri} | given))

    yield make
    # Emptied rather than dropped: making a dozen indexes takes longer than most tests.
    shortcuts.empty(cleaner["test"])


@pytest.fixture
def real_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for MongoDB as long as the gateway does."""
    monkeypatch.setattr(connection, "DEADLINE_SECONDS", _REAL_DEADLINE)


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture(scope="session")
def indexed() -> set[str]:
    """The databases whose indexes are in place: they stay when a test's documents go."""
    return set()


@pytest.fixture
def make_app(make_settings: Any, clock: StoppedClock, indexed: set[str]) -> Any:
    """Make an app with indexes in place."""

    def make(**given: Any) -> Flask:
        configured = make_settings(**given)
        app = create_app(configured, clock=clock)
        if configured.mongodb_uri not in indexed:
            connection.create_indexes()
            indexed.add(configured.mongodb_uri)
        return app

    return make


@pytest.fixture
def start_app() -> Iterator[Any]:
    """Make apps as a process does, with the jobs they do in the background; those end with the test."""
    apps = []

    def start(configured: Settings) -> Flask:
        apps.append(create_app(configured))
        return apps[-1]

    yield start
    for app in apps:
        app.extensions["background"].stop()


@pytest.fixture(autouse=True)
def no_job_goes_on() -> Iterator[None]:
    """Fail a test that leaves a job behind: it would work on the databases of all that follow."""
    yield
    for thread in shortcuts.jobs_at_work():
        thread.join(5)
        assert not thread.is_alive(), f"the job {thread.name} goes on; use start_app"


@pytest.fixture
def app(make_app: Any) -> Flask:
    return make_app()


@pytest.fixture
def db(app: Flask) -> Any:
    """The database of this test, to look at what was stored."""
    return mongoengine.get_db()


def fixture(name: str) -> dict[str, str]:
    """Read the parameters of a captured payload, e.g. `sms/text`."""
    return dict(json.loads((FIXTURES / f"{name}.json").read_text())["params"])


class Twilio:
    """Twilio's side: posts signed forms to an app."""

    def __init__(self, client: FlaskClient, *, token: str = TOKEN, base: str = HOST) -> None:
        self.client, self.token, self.base = client, token, base
        self._sids = itertools.count(1)

    def post(self, path: str, params: dict[str, Any], **headers: str) -> TestResponse:
        headers.setdefault("X-Twilio-Signature", sign(self.token, self.base + path, params))
        return self.client.post(path, data=params, headers=headers)

    def sid(self, kind: str = "SM") -> str:
        return f"{kind}{next(self._sids):032x}"

    def sms(self, body: str = "Hello", **changes: str) -> TestResponse:
        return self.post("/webhooks/sms", fixture("sms/text") | {"MessageSid": self.sid(), "Body": body} | changes)

    def whatsapp(self, body: str = "Hello", **changes: str) -> TestResponse:
        sid = {"MessageSid": self.sid(), "Body": body}
        return self.post("/webhooks/whatsapp", fixture("whatsapp/text") | sid | changes)

    def call(self, **changes: str) -> TestResponse:
        return self.post("/webhooks/voice", fixture("voice/incoming") | {"CallSid": self.sid("CA")} | changes)


@pytest.fixture
def twilio(app: Flask) -> Twilio:
    return Twilio(app.test_client())
