"""Writes that wait together: only the last of them does, and it answers for those before it or says that it cannot."""

import subprocess
import threading
import time

import pytest
from pymongo.database import Database
from pymongo.errors import PyMongoError, WriteError

from gateway.core.errors import StoreUnavailable
from gateway.store import connection, embedded, writing
from gateway.store.connection import collection
from gateway.store.documents import JobDocument
from gateway.store.embedded import EmbeddedMongo
from gateway.store.writing import Written, together

WAITS, AT_ONCE = {"w": "majority", "j": True}, {"w": 1, "j": False}


@pytest.fixture(scope="module")
def own_mongo(tmp_path_factory):
    server = EmbeddedMongo(tmp_path_factory.mktemp("own-mongo"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def connect(make_settings):
    yield lambda uri: connection.connect(make_settings(mongodb_uri=uri))
    collection(JobDocument).delete_many({})
    connection.disconnect()


@pytest.fixture
def connected(connect, own_mongo):
    connect(own_mongo.uri)
    count_up("nobody")  # whose reply says that there are terms here


@pytest.fixture
def concerns(monkeypatch):
    """Collect what each write waits for."""
    collected, command = [], Database.command

    def collecting(database, given, *rest, **named):
        collected.append(given["writeConcern"])
        return command(database, given, *rest, **named)

    monkeypatch.setattr(Database, "command", collecting)
    return collected


def add(*ids, ordered=True):
    return writing.insert(JobDocument, [{"_id": one} for one in ids], ordered=ordered)


def change(*ids, to, last):
    return writing.update(JobDocument, [({"_id": one}, {"$set": {"done": to}}) for one in ids], last=last).number


def count_up(*ids):
    return writing.update(JobDocument, [({"_id": one}, {"$inc": {"n": 1}}) for one in ids], last=True).number


def stored():
    return {row["_id"] for row in collection(JobDocument).find()}


def test_a_write_by_itself_waits_for_the_majority(connected, concerns):
    add("a")
    change("a", to=1, last=False)
    assert concerns == [WAITS, WAITS]


def test_of_writes_together_the_last_one_waits(connected, concerns):
    with together():
        add("a", "b")
        change("a", to=1, last=False)
        assert count_up("a", "b") == 2
    assert concerns == [AT_ONCE, AT_ONCE, WAITS]
    add("c")
    assert concerns[-1] == WAITS, "it is over"


def test_writes_together_without_a_last_one_are_waited_for_all_the_same(connected, concerns):
    with together():
        count_up("nobody")
        add("a")
    assert concerns == [WAITS, AT_ONCE, WAITS]
    assert stored() == {"a"}


def test_nothing_is_waited_for_where_nothing_was_written(connected, concerns):
    add("a")
    with together():
        assert add("a") == Written(0, [0])
        assert change("nobody", to=1, last=False) == 0
    assert concerns == [WAITS, AT_ONCE, AT_ONCE]


def test_threads_wait_each_for_their_own(connected, concerns):
    with together():
        other = threading.Thread(target=add, args=("a",))
        other.start()
        other.join()
    assert concerns == [WAITS]


def test_what_is_there_is_told_by_its_position(connected):
    add("b")
    assert add("a", "b", "c") == Written(1, [1])
    assert add("c", "b", "d", ordered=False) == Written(2, [1])


def test_another_error_is_raised_without_what_people_wrote(connected):
    collection(JobDocument).insert_one({"_id": "a", "n": "a secret"})
    with pytest.raises(WriteError, match=r"^code 14$"):
        count_up("a")


def test_an_error_leaves_nothing_to_be_waited_for(connected, concerns):
    with pytest.raises(ZeroDivisionError), together():
        add("a")
        raise ZeroDivisionError
    add("b")
    assert concerns == [AT_ONCE, WAITS]


def as_soon_as_it_is_back(do):
    until = time.monotonic() + 20
    while True:
        try:
            return do()
        except PyMongoError:
            assert time.monotonic() < until
            time.sleep(0.05)


def test_i4_a_primary_that_lost_a_write_does_not_confirm_it(connected, own_mongo):
    add("session")
    with pytest.raises(StoreUnavailable, match="another primary"), together():
        add("message")
        own_mongo.kill()
        own_mongo.start()
        assert as_soon_as_it_is_back(lambda: count_up("session")) == 1


def test_i4_a_primary_that_had_stepped_down_does_not_confirm_what_was_before(connected):
    with pytest.raises(StoreUnavailable, match="another primary"), together():
        add("message")
        step_down()
        as_soon_as_it_is_back(lambda: count_up("message"))


def step_down():
    collection(JobDocument).database.client.admin.command("replSetStepDown", 1, force=True)


def test_i4_without_a_last_write_a_new_primary_confirms_nothing_either(connected):
    with pytest.raises(StoreUnavailable), connection.deadline(20), together():
        add("message")
        step_down()
        as_soon_as_it_is_back(stored)


@pytest.fixture
def alone(tmp_path):
    """Run a mongod that is no member of a replica set; gives its address."""
    port = embedded.free_port()
    command = [str(embedded.find_mongod()), "--dbpath", str(tmp_path), "--port", str(port), "--bind_ip", "127.0.0.1"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        yield f"mongodb://127.0.0.1:{port}/gateway"
        process.kill()


def test_a_mongodb_without_terms_is_waited_for_each_time(alone, connect, concerns):
    connect(alone)
    with together():
        add("a")
        count_up("a")
        add("b")
        count_up("b")
    assert concerns == [WAITS] * 4
