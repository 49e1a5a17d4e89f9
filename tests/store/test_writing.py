"""Writes that wait together: only the last of them does, and it answers for those before it or says that it cannot."""

import contextlib
import subprocess
import threading
import time
import uuid
from types import SimpleNamespace

import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError, WriteError

from gateway.core.errors import StoreUnavailable
from gateway.store import connection, embedded, held, writing
from gateway.store.connection import collection
from gateway.store.documents import JobDocument
from gateway.store.writing import together

WAITS, AT_ONCE = {"w": "majority", "j": True}, {"w": 1, "j": False}


@pytest.fixture
def connect(make_settings):
    yield lambda uri: connection.connect(make_settings(mongodb_uri=uri))
    collection(JobDocument).delete_many({})
    connection.disconnect()


@pytest.fixture
def connected(connect, own_mongo):
    connect(own_mongo.uri)
    with together():
        count_up("nobody")  # whose reply says that there are terms here


@pytest.fixture
def concerns(monkeypatch):
    """Collect what each write waits for."""
    collected, command = [], held.command

    def collecting(found, given):
        collected.append(given["writeConcern"])
        return command(found, given)

    monkeypatch.setattr(held, "command", collecting)
    return collected


def add(*ids, ordered=True):
    return writing.insert(JobDocument, [{"_id": one} for one in ids], ordered=ordered)


def change(one, to, *, last):
    return writing.update(JobDocument, {"_id": one}, {"$set": {"done": to}}, last=last)


def count_up(one):
    return writing.update(JobDocument, {"_id": one}, {"$inc": {"n": 1}}, last=True)


def stored():
    return {row["_id"] for row in collection(JobDocument).find()}


def test_a_write_by_itself_is_left_to_the_driver(connected, concerns):
    assert add("a", "b") == []
    assert change("a", 1, last=False)
    assert not change("nobody", 1, last=False)
    assert concerns == []
    assert collection(JobDocument).write_concern.document == WAITS


def test_of_writes_together_the_last_one_waits(connected, concerns):
    with together():
        add("a", "b")
        assert change("a", 1, last=False)
        assert count_up("a")
    assert concerns == [AT_ONCE, AT_ONCE, WAITS]


def test_many_changes_are_one_that_waits(connected, concerns):
    changes = [({"_id": one}, {"$inc": {"n": 1}, "$setOnInsert": {"_id": ""}}) for one in ("a", "nobody", "b")]
    with together():
        add("a", "b")
        assert writing.upsert_each(JobDocument, changes, last=True) == [1]
    assert concerns == [AT_ONCE, WAITS]


def test_writes_together_without_a_last_one_are_waited_for_all_the_same(connected, concerns):
    with together():
        count_up("nobody")
        add("a")
    assert concerns == [WAITS, AT_ONCE, WAITS]
    assert stored() == {"a"}


def test_nothing_is_waited_for_where_nothing_was_written(connected, concerns):
    add("a")
    with together():
        assert add("a") == [0]
        assert not change("nobody", 1, last=False)
    assert concerns == [AT_ONCE, AT_ONCE]


def test_whoever_answers_for_others_waits_for_all_of_them(connected, concerns):
    writing.confirm()
    assert concerns == [WAITS]


def test_threads_wait_each_for_their_own(connected, concerns):
    with together():
        other = threading.Thread(target=add, args=("a",))
        other.start()
        other.join()
        assert stored() == {"a"}
    assert concerns == []


@pytest.mark.parametrize("where", [together, contextlib.nullcontext])
def test_what_is_there_is_told_by_its_position(connected, where):
    add("b")
    with where():
        assert add("a", "b", "c") == [1]
        assert stored() == {"a", "b"}
        assert add("c", "b", "d", ordered=False) == [1]
        assert stored() == {"a", "b", "c", "d"}


def test_another_error_is_raised_without_what_people_wrote(connected):
    collection(JobDocument).insert_one({"_id": "a", "n": "a secret"})
    with pytest.raises(WriteError, match=r"^code 14$"), together():
        count_up("a")


def test_ids_of_any_kind_are_stored_as_the_driver_does(connected):
    one = uuid.uuid4()
    with together():
        add(one)
    assert stored() == {one}


def test_an_error_leaves_nothing_to_be_waited_for(connected, concerns):
    with pytest.raises(ZeroDivisionError), together():
        add("a")
        raise ZeroDivisionError
    with together():
        pass
    assert concerns == [AT_ONCE]


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
    uri = f"mongodb://127.0.0.1:{port}/gateway"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process, MongoClient(uri) as client:
        client.admin.command("ping")
        yield uri
        process.kill()


def test_a_mongodb_without_terms_is_waited_for_each_time(alone, connect, concerns):
    connect(alone)
    with together():
        add("a")
        count_up("a")
        add("b")
        count_up("b")
    assert concerns == [WAITS] * 4


def test_a_mongodb_without_members_says_what_it_has(alone, connect):
    connect(alone)
    with together():
        add("a")
        assert writing.find_all(JobDocument, {}) == [{"_id": "a"}]


def test_a_mongodb_that_names_no_terms_any_more_confirms_nothing(connected, monkeypatch):
    command = held.command

    def nameless(found, given):
        reply = command(found, given)
        reply.pop("opTime")
        return reply

    with pytest.raises(StoreUnavailable), together():
        monkeypatch.setattr(held, "command", nameless)
        add("a")
        count_up("a")


def test_behind_a_router_each_write_is_waited_for(connect, own_mongo, concerns, monkeypatch):
    connect(own_mongo.uri)
    monkeypatch.setattr(writing, "_replicated", None)
    monkeypatch.setattr(MongoClient, "topology_description", SimpleNamespace(topology_type_name="Sharded"))
    with together():
        count_up("nobody")
        add("a")
    assert concerns == [WAITS, WAITS]
