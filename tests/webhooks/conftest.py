"""One database for all webhook tests, emptied after each, and one app for the usual settings."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

import mongoengine
import pytest
import structlog
from flask import Flask
from werkzeug.test import TestResponse

from gateway import logs
from gateway import settings as settings_module
from gateway.app import create_app
from gateway.settings import Settings
from gateway.store import connection
from gateway.store.channels import Channels
from gateway.store.embedded import EmbeddedMongo
from tests import shortcuts
from tests.conftest import HOST, USUAL, StoppedClock, Twilio, fixture

DATABASE = "test_webhooks"
Events = list[dict[str, Any]]


def shared_uri(mongo: EmbeddedMongo) -> str:
    return mongo.uri.replace("/gateway?", f"/{DATABASE}?")


@pytest.fixture(scope="package")
def database(cleaner: Any) -> Iterator[Any]:
    """The database of these tests."""
    yield cleaner[DATABASE]
    cleaner.drop_database(DATABASE)


@pytest.fixture
def make_settings(mongo: EmbeddedMongo, database: Any, tmp_path: Any) -> Iterator[Callable[..., Settings]]:
    """Make settings over the shared database."""

    def make(**given: Any) -> Settings:
        return settings_module.load(**(USUAL | {"data_dir": tmp_path, "mongodb_uri": shared_uri(mongo)} | given))

    yield make
    shortcuts.empty(database)


@pytest.fixture
def make_app(make_settings: Any, indexes: None, clock: StoppedClock) -> Callable[..., Flask]:
    """Make an app over the shared database, its indexes in place."""

    def make(**given: Any) -> Flask:
        return create_app(make_settings(**given), clock=clock)

    return make


@pytest.fixture(scope="package")
def indexes(mongo: EmbeddedMongo) -> None:
    """Make the indexes of the shared database, once."""
    connection.connect(settings_module.load(env="test", mongodb_uri=shared_uri(mongo)))
    connection.create_indexes()


@dataclass
class Shared:
    """The app most tests are served by. Making one costs more than a webhook does."""

    app: Flask | None = None
    client: Any = None


def connected() -> Any:
    """Give the client in use, None where there is none."""
    try:
        return mongoengine.get_connection()
    except mongoengine.ConnectionFailure:
        return None


@pytest.fixture(scope="package")
def shared() -> Shared:
    return Shared()


@pytest.fixture
def app(shared: Shared, make_app: Any, clock: StoppedClock) -> Flask:
    """The shared app, its clock at ten and nothing remembered; a new one where its connection is gone."""
    if shared.app is None or shared.client is not connected():
        shared.app = make_app()
        shared.client = connected()
    runtime = dataclasses.replace(shared.app.extensions["gateway"], clock=clock, channels=Channels())
    shared.app.extensions["gateway"] = runtime
    return shared.app


@pytest.fixture
def db(database: Any) -> Any:
    """The database of this test, to look at what was stored."""
    return database


@contextlib.contextmanager
def captured() -> Iterator[Events]:
    """Collect what is logged meanwhile. The gateway's logger is cached, so it is told to look again."""
    logs.forget_configuration()
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as events:
        yield events
    logs.forget_configuration()


@pytest.fixture
def logged(app: Flask) -> Iterator[Events]:
    """What the app logs during the test."""
    with captured() as events:
        yield events


def named(events: Events, name: str) -> Events:
    """Pick the events of one name."""
    return [event for event in events if event["event"] == name]


def twiml(response: TestResponse) -> ElementTree.Element:
    """Parse an answer, which must be TwiML and say so."""
    assert response.status_code == 200, (response.status, response.data)
    assert response.content_type == "text/xml; charset=utf-8"
    root = ElementTree.fromstring(response.data)
    assert root.tag == "Response"
    return root


def texts(response: TestResponse) -> list[str]:
    """Give the messages of an answer."""
    return [message.text or "" for message in twiml(response).iter("Message")]


def said(response: TestResponse) -> list[str]:
    """Give what an answer says aloud."""
    return [say.text or "" for say in twiml(response).iter("Say")]


def is_empty(response: TestResponse) -> bool:
    """Tell whether an answer is an empty `<Response/>`."""
    return len(twiml(response)) == 0


def contents(db: Any) -> dict[str, int]:
    """Count the documents of every collection that has some, but for what processes say of themselves meanwhile."""
    counts = {name: db[name].count_documents({}) for name in db.list_collection_names() if name != "heartbeats"}
    return {name: count for name, count in counts.items() if count}


@dataclass
class Call:
    """A phone call as Twilio leads it: it follows the address each answer names."""

    twilio: Twilio
    params: dict[str, str] = field(default_factory=dict)
    base: str = HOST
    sid: str = ""
    action: str = ""
    answer: TestResponse | None = None

    def __post_init__(self) -> None:
        self.sid = self.sid or self.params.get("CallSid") or self.twilio.sid("CA")

    def begin(self, name: str = "voice/incoming", **changes: str) -> TestResponse:
        return self._post("/webhooks/voice", fixture(name) | changes)

    def say(self, words: str) -> TestResponse:
        return self._post(self.action, fixture("voice/gather_speech") | {"SpeechResult": words})

    def key(self, digits: str) -> TestResponse:
        return self._post(self.action, fixture("voice/gather_dtmf") | {"Digits": digits})

    def stay_silent(self) -> TestResponse:
        return self._post(self.action, fixture("voice/gather_empty"))

    def post(self, path: str, name: str, **changes: str) -> TestResponse:
        """Post a callback of this call."""
        return self.twilio.post(path, fixture(name) | self.params | {"CallSid": self.sid} | changes)

    def _post(self, path: str, params: dict[str, str]) -> TestResponse:
        self.answer = self.twilio.post(path, params | self.params | {"CallSid": self.sid})
        gather = twiml(self.answer).find("Gather")
        self.action = "" if gather is None else gather.attrib["action"].removeprefix(self.base)
        return self.answer


@pytest.fixture
def call(twilio: Twilio) -> Call:
    return Call(twilio)
