"""One outbox, three ways to learn of its rows: looking, Redis and RabbitMQ. The same must hold on each.

The workers are processes of their own, the brokers real, Twilio a stand-in that remembers.
"""

import contextlib
import dataclasses
import itertools
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pymongo
import pytest

from gateway.conversation import runtime
from gateway.conversation.send import send_text
from gateway.core.replies import Reply
from gateway.store import connection
from tests.brokers import BROKERS, Server, wait_for
from tests.conftest import ACCOUNT, HOST, TOKEN, Twilio
from tests.conversation.worker import slow_responder
from tests.stand_ins.twilio import Fault, TwilioStandIn

ROOT = Path(__file__).resolve().parents[2]
LINE = "+15017122661"

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def brokers(tmp_path_factory):
    """Give a broker by name. All are started beforehand: RabbitMQ takes ten seconds, the other paths go first."""
    servers = {name: broker(tmp_path_factory.mktemp(name)) for name, broker in BROKERS.items()}
    with contextlib.ExitStack() as stack:
        for server in servers.values():
            if not server.missing():
                server.start()
                stack.callback(server.kill)

        def get(name: str) -> Server:
            if missing := servers[name].missing():
                (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{missing} is not installed; see .ci/run")
            servers[name].wait_until_ready()
            return servers[name]

        yield get


@pytest.fixture(scope="module")
def database(mongo):
    """A database of this module's own, with its indexes."""
    uri = mongo.uri.replace("/gateway?", "/paths?")
    with pymongo.MongoClient(uri, tz_aware=True) as client:
        yield uri, client.get_default_database()


class Worker:
    """A `gateway worker` as the Procfile starts it."""

    def __init__(self, log: Path, environ: dict[str, str]) -> None:
        self.log, self.read = log, 0
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway.worker"], cwd=ROOT, env=environ, stdout=out, stderr=subprocess.STDOUT
            )

    def lines(self, event: str = "") -> list[dict]:
        """List what it said in this test."""
        text = self.log.read_text()[self.read :]
        lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("}\n")]
        return [line for line in lines if not event or line["event"] == event]

    def wait_for(self, event: str) -> None:
        def said() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return bool(self.lines(event))

        wait_for(said, what=lambda: f"{event} in\n{self.log.read_text()}")


class Crew:
    """The workers of one path, kept from test to test and replaced when they are gone."""

    def __init__(self, uri: str, folder: Path, server: Server | None, url: str, twilio: TwilioStandIn) -> None:
        self.uri, self.folder, self.server, self.url, self.twilio = uri, folder, server, url, twilio
        self.workers: list[Worker] = []
        self._numbers = itertools.count()

    def settings(self) -> dict[str, Any]:
        return {
            "mongodb_uri": self.uri,
            "broker": {"url": self.url},
            "twilio": {"api_base_url": self.twilio.url},
            "reply": {"debounce_seconds": 0.2, "responder": "echo"},
        }

    def alive(self, count: int) -> list[Worker]:
        """Give so many workers that are ready; nobody else works."""
        self.workers = [worker for worker in self.workers if worker.process.poll() is None]
        fresh = [self.start() for _ in range(count - len(self.workers))]
        for worker in fresh:
            worker.wait_for("broker_connected" if self.server else "worker_started")
        for spare in self.workers[count:]:
            self.end(spare)
        for worker in self.workers[:count]:
            worker.read = len(worker.log.read_text())
        return self.workers[:count]

    def end(self, worker: Worker) -> None:
        worker.process.kill()
        worker.process.wait()

    def start(self) -> Worker:
        """Start a worker, ready or not."""
        self.workers.append(Worker(self.folder / f"worker-{next(self._numbers)}.log", self._environ()))
        return self.workers[-1]

    def _environ(self) -> dict[str, str]:
        names = ("GATEWAY_", "TWILIO_", "MONGODB_URI", "PUBLIC_URL", "SECRET_KEY", "PROMETHEUS_")
        return {name: value for name, value in os.environ.items() if not name.startswith(names)} | {
            "GATEWAY_ENV": "test",
            "GATEWAY_DATA_DIR": str(self.folder),
            "MONGODB_URI": self.uri,
            "SECRET_KEY": "test-secret-key",
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "PUBLIC_URL": HOST,
            "GATEWAY_BROKER__URL": self.url,
            "GATEWAY_TWILIO__API_BASE_URL": self.twilio.url,
            "GATEWAY_TWILIO__SEGMENTS_PER_SECOND": "1000",
            "GATEWAY_TWILIO__TIMEOUT_SECONDS": "1.5",
            "GATEWAY_OUTBOX__LEASE_SECONDS": "3",
            "GATEWAY_OUTBOX__LOOKUP_SECONDS": "1.5",
            "GATEWAY_OUTBOX__CONCURRENCY": "4",
        }


@pytest.fixture(scope="module")
def crew(request, database, tmp_path_factory, brokers):
    """The crew of a path: poll, redis, amqp, or a broker's scheme and how it is away."""
    path, _, absence = request.param.partition(" ")
    with contextlib.ExitStack() as stack:
        server, url = None, ""
        if absence:
            nobody = stack.enter_context(socket.socket())
            nobody.bind(("127.0.0.1", 0))
            if absence == "is silent":
                nobody.listen()
            url = f"{path}://127.0.0.1:{nobody.getsockname()[1]}/"
        elif path in BROKERS:
            server = brokers(path)
            url = server.url
        twilio = stack.enter_context(TwilioStandIn())
        crew = Crew(database[0], tmp_path_factory.mktemp("crew"), server, url, twilio)
        yield crew
        for worker in crew.workers:
            crew.end(worker)


class Scene:
    """A gateway on one of the paths: messages are queued in this process, the crew sends them."""

    def __init__(self, crew: Crew, db: Any, make_settings: Any) -> None:
        self.crew, self.db, self.twilio = crew, db, crew.twilio
        settings = make_settings(**crew.settings())
        connection.connect(settings)
        connection.create_indexes()
        self._runtime = runtime.build(settings)

    def write(self, *texts: str) -> None:
        """Queue texts, each to a person of its own."""
        for number, text in enumerate(texts):
            send_text(
                self._runtime, communication_type="sms", to=f"+1555867{number:04}", line=LINE,
                text=text, message_id=f"m-{text}",
            )  # fmt: skip

    def say_nothing_to_the_broker(self) -> None:
        """Let what is queued from now on be known to MongoDB alone."""
        self._runtime = dataclasses.replace(self._runtime, notify=lambda _row_id, _due: None)

    def sent(self, count: int, seconds: float = 20) -> Counter:
        """Wait until so many are sent and nothing is left to do; gives how often Twilio took each text."""
        rows = self.db.outbox

        def is_done() -> bool:
            return not rows.count_documents({"state": "waiting"}) and rows.count_documents({"step": "send"}) == count

        logs = [worker.log for worker in self.crew.workers]
        wait_for(is_done, seconds, lambda: f"{count} messages\n" + "\n".join(log.read_text() for log in logs))
        return Counter(message["body"] for message in self.twilio.messages)


@pytest.fixture
def scene(crew, database, make_settings):
    for remembered in (crew.twilio.messages, crew.twilio.faults, crew.twilio.requests):
        remembered.clear()
    if crew.server:
        crew.server.flush()
    yield Scene(crew, database[1], make_settings)
    for name in database[1].list_collection_names():
        database[1][name].delete_many({})


def paths(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("crew", names, indirect=True, scope="module")


every_path = paths("poll", "redis", "amqp")
every_broker = paths("redis", "amqp")


@every_path
def test_a_slow_answer_is_sent_once(scene, crew, make_app):
    crew.alive(2)
    app = make_app(**crew.settings())
    with slow_responder(app, lambda turn: Reply(turn.content)):
        for _ in range(3):
            assert Twilio(app.test_client()).sms("Hello", MessageSid="SM" + "1" * 32).status_code == 200
    assert scene.sent(1) == {"Hello": 1}


@every_path
def test_two_workers_share_fifty_messages_and_send_each_once(scene, crew):
    workers = crew.alive(2)
    texts = [f"text {number}" for number in range(50)]
    scene.twilio.faults.extend(Fault(wait=0.05) for _ in texts)
    scene.write(*texts)
    assert scene.sent(50) == dict.fromkeys(texts, 1)

    def done():
        return [len(worker.lines("reply_sent")) for worker in workers]

    # A worker says so a moment after Twilio has it.
    wait_for(lambda: sum(done()) == 50, what=lambda: str(done()))
    assert min(done()) >= 5, done()


@every_path
def test_what_a_killed_worker_was_doing_is_done_once_by_another(scene, crew):
    heir, doomed = crew.alive(2)
    os.kill(heir.process.pid, signal.SIGSTOP)
    scene.twilio.faults.append(Fault(wait=1.5))
    scene.write("Hello")
    wait_for(lambda: scene.twilio.messages, what="the request to Twilio")
    doomed.process.kill()
    os.kill(heir.process.pid, signal.SIGCONT)
    time.sleep(0.5)
    assert scene.db.outbox.find_one()["state"] == "waiting", "another worker took what was still leased"
    assert scene.sent(1) == {"Hello": 1}
    assert scene.db.messages.find_one()["provider_sid"] == scene.twilio.messages[0]["sid"]


@every_broker
def test_a_broker_brings_what_is_due_before_anybody_looks(scene, crew):
    crew.alive(1)
    took = []
    for number in range(5):
        started = time.perf_counter()
        scene.write(f"text {number}")
        scene.sent(number + 1)
        took.append(time.perf_counter() - started)
    assert min(took) < 0.8, took


@every_broker
def test_a_broker_that_dies_and_comes_back_loses_nothing(scene, crew):
    (worker,) = crew.alive(1)
    scene.write("before")
    scene.sent(1)
    crew.server.kill()
    scene.write("meanwhile")
    assert scene.sent(2, seconds=15) == {"before": 1, "meanwhile": 1}
    crew.server.start()
    crew.server.wait_until_ready()
    worker.wait_for("broker_connected")
    scene.write("after")
    assert scene.sent(3, seconds=15) == {"before": 1, "meanwhile": 1, "after": 1}


@pytest.mark.parametrize(
    ("crew", "number"),
    [("poll", signal.SIGTERM), ("redis", signal.SIGTERM), ("redis", signal.SIGINT), ("amqp", signal.SIGTERM)],
    indirect=["crew"],
    scope="module",
)
def test_a_signal_ends_the_worker_after_what_it_has_in_hand(scene, crew, number):
    (worker,) = crew.alive(1)
    scene.twilio.faults.append(Fault(wait=1))
    scene.write("Hello")
    wait_for(lambda: scene.twilio.messages, what="the request to Twilio")
    worker.process.send_signal(number)
    assert worker.process.wait(5) == 0
    assert worker.lines()[-1]["event"] == "worker_stopped"
    assert "Traceback" not in worker.log.read_text()
    assert scene.db.outbox.find_one()["state"] == "done"


@every_broker
def test_what_a_broker_lost_is_published_again(scene, crew):
    crew.alive(0)
    texts = [f"text {number}" for number in range(10)]
    scene.write(*texts)
    wait_for(lambda: crew.server.waiting() == 10, what="ten ids in the broker")
    crew.server.flush()
    (worker,) = crew.alive(1)
    assert scene.sent(10, seconds=15) == dict.fromkeys(texts, 1)
    scene.say_nothing_to_the_broker()
    scene.write("text 10")
    assert scene.sent(11, seconds=15) == dict.fromkeys([*texts, "text 10"], 1)
    assert worker.lines("outbox_republished")


@paths("redis is silent", "amqp refuses", "amqp is silent")
def test_with_the_broker_away_webhooks_stay_fast_and_answers_come(scene, crew, make_app):
    app = make_app(**crew.settings())
    took = []
    with slow_responder(app, lambda turn: Reply(turn.content)):
        twilio = Twilio(app.test_client())
        for number in range(10):
            started = time.perf_counter()
            twilio.sms("Hello", From=f"+1555867000{number}")
            took.append(time.perf_counter() - started)
    assert statistics.median(took) < 0.2, took
    worker = crew.start()
    assert scene.sent(10, seconds=30) == {"Hello": 10}
    worker.process.terminate()
    assert worker.process.wait(8) == 0
