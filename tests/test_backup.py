"""A copy of a running gateway's database, restored elsewhere: nothing acknowledged before it is missing.

Made as docs/backup.md says for hosts without mongodump: the files of a mongod whose writes are held for a moment.
"""

import itertools
import shutil
import tempfile
import threading
import time
from pathlib import Path

import mongoengine
import pymongo
import pytest

from gateway.app import create_app
from gateway.conversation import upkeep
from gateway.conversation.runtime import Clock, build
from gateway.store import connection
from gateway.store.embedded import EmbeddedMongo
from tests.brokers import wait_for
from tests.conftest import Twilio, fixture

PEOPLE, WRITERS = 20, 4


class HostClock(Clock):
    """This host's clock, which needs no MongoDB: here one is taken away under the app."""

    def correct(self):
        pass


class Load:
    """People who text all the time; a webhook that is not taken comes again, as Twilio's do."""

    def __init__(self, app):
        self.app, self.acknowledged, self.refused = app, {}, 0
        self._stop, self._numbers = threading.Event(), itertools.count(1)
        self._threads = [threading.Thread(target=self._write) for _ in range(WRITERS)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self):
        twilio = Twilio(self.app.test_client())
        while not self._stop.is_set():
            number = next(self._numbers)
            while (answer := deliver(twilio, number)).status_code != 200:
                self.refused += 1
                time.sleep(0.05)
            self.acknowledged[number] = answer.data


def deliver(twilio, number):
    sid, who = {"MessageSid": f"SM{number:032x}", "Body": f"message {number}"}, f"+1555867{number % PEOPLE:04d}"
    return twilio.post("/webhooks/sms", fixture("sms/text") | sid | {"From": who})


def copy_of(running, folder):
    """Copy the files of a mongod that goes on running; its writes wait meanwhile."""
    with pymongo.MongoClient(running.uri) as client:
        client.admin.command("fsync", lock=True)
        try:
            shutil.copytree(running.folder / "data", folder / "data", ignore=shutil.ignore_patterns("mongod.lock"))
        finally:
            client.admin.command("fsyncUnlock")


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as path:
        yield Path(path)


def test_a_restored_backup_of_a_running_gateway_has_all_that_was_acknowledged(folder, make_settings):
    running, restored = EmbeddedMongo(folder / "running"), EmbeddedMongo(folder / "restored")
    running.start()
    try:
        app = create_app(make_settings(mongodb_uri=running.uri, reply={"responder": "echo"}), clock=HostClock())
        indexes = set(connection.create_indexes())
        with Load(app) as load:
            wait_for(lambda: len(load.acknowledged) > 150)
            before = dict(load.acknowledged)
            copy_of(running, folder / "restored")
            wait_for(lambda: len(load.acknowledged) > len(before) + 50)
    finally:
        connection.disconnect()
        running.stop()
    restored.start()
    try:
        _look_at(make_settings(mongodb_uri=restored.uri, reply={"responder": "echo"}), before, indexes)
    finally:
        connection.disconnect()
        restored.stop()


def _look_at(settings, before, indexes):
    app = create_app(settings, clock=HostClock())
    db = mongoengine.get_db()
    stored = {row["_id"] for row in db.messages.find({}, {"_id": 1})}
    missing = [number for number in before if not {f"SM{number:032x}", f"re:SM{number:032x}"} <= stored]
    assert missing == []
    names = db.list_collection_names()
    assert {f"{name}.{index}" for name in names for index in db[name].index_information()} >= indexes
    runtime = build(settings)
    # As a gateway that is started a minute later.
    runtime.clock.now = lambda now=runtime.clock.now: now() + upkeep.EMPTY_FOR
    upkeep.settle(runtime)
    for session in db.sessions.find():
        assert session["message_count"] == db.messages.count_documents({"session_id": session["_id"]})
        assert session["previous_session_id"] is None or db.sessions.find_one({"_id": session["previous_session_id"]})
    assert db.messages.count_documents({"session_id": {"$nin": db.sessions.distinct("_id")}}) == 0

    twilio, count = Twilio(app.test_client()), db.messages.count_documents({})
    for number in list(before)[-20:]:
        assert deliver(twilio, number).data == before[number]
    assert db.messages.count_documents({}) == count
    assert deliver(twilio, 10**6).status_code == 200
    assert db.messages.count_documents({}) == count + 2
