"""One connection for all that a webhook asks of MongoDB: given up when it fails, put back whatever happens."""

import os
import signal
import time

import pytest
from pymongo import DESCENDING, MongoClient
from pymongo.errors import AutoReconnect, OperationFailure

from gateway.core.errors import StoreUnavailable
from gateway.store import connection, held
from gateway.store.connection import collection
from gateway.store.documents import JobDocument

NEWEST = {"n": DESCENDING}


@pytest.fixture(autouse=True)
def connected(make_settings, own_mongo):
    connection.connect(make_settings(mongodb_uri=own_mongo.uri))
    collection(JobDocument).insert_many([{"_id": "a", "n": 1}, {"_id": "b", "n": 2}])
    yield
    collection(JobDocument).delete_many({})
    connection.disconnect()


@pytest.fixture
def taken(monkeypatch):
    """Collect what connections are taken for."""
    collected, take = [], MongoClient._conn_for_writes

    def taking(client, session, operation):
        collected.append(operation)
        return take(client, session, operation)

    monkeypatch.setattr(MongoClient, "_conn_for_writes", taking)
    return collected


def newest(**which):
    return held.find_first(JobDocument, which, {"n": 1}, NEWEST)


def count_up():
    jobs = collection(JobDocument)
    return held.command(jobs, {"update": jobs.name, "updates": [{"q": {"_id": "a"}, "u": {"$inc": {"n": 1}}}]})


def fail():
    return held.command(collection(JobDocument), {"nonsense": 1})


def open_connections():
    return connection.client().admin.command("serverStatus")["connections"]["current"]


def test_all_that_is_asked_shares_a_connection(taken):
    with held.hold():
        assert newest() == {"_id": "b", "n": 2}
        assert newest(_id="nobody") is None
        assert count_up()["n"] == 1
    assert taken == ["held"]


def test_a_whole_document_is_found_in_any_order(taken):
    wanted = {"_id": "b", "n": 2}
    with held.hold():
        assert [held.find_first(JobDocument, {"n": 2}), held.find_first(JobDocument, {"n": 3})] == [wanted, None]
    assert (taken, held.find_first(JobDocument, {"n": 2})) == (["held"], wanted)


def test_all_that_fit_are_found_over_it(taken):
    with held.hold():
        assert held.find_all(JobDocument, {"n": {"$gt": 0}}, {"n": 1}) == [{"_id": "a", "n": 1}, {"_id": "b", "n": 2}]
        assert held.find_all(JobDocument, {"n": 3}) == []
    assert (taken, held.find_all(JobDocument, {"n": 2})) == (["held"], [{"_id": "b", "n": 2}])


def test_what_comes_in_parts_is_found_whole(monkeypatch):
    monkeypatch.setattr(held, "_IN_ONE", 1)
    with held.hold():
        assert len(held.find_all(JobDocument, {})) == 2


def test_nothing_is_taken_where_nothing_is_asked(taken):
    with held.hold():
        pass
    assert taken == []


def test_the_same_is_asked_without_holding_one(taken):
    assert newest() == {"_id": "b", "n": 2}
    assert newest(_id="nobody") is None
    assert count_up()["n"] == 1
    assert taken == []


def test_a_look_is_repeated_where_mongodb_was_away_meanwhile(own_mongo, taken):
    with connection.deadline(20), held.hold():
        assert newest()
        own_mongo.kill()
        own_mongo.start()
        assert newest() == {"_id": "b", "n": 2}
        assert count_up()["n"] == 1
    assert taken == ["held", "held"]


def test_a_write_is_not_repeated_but_the_next_one_has_another_connection(own_mongo):
    with held.hold():
        assert newest()
        own_mongo.kill()
        own_mongo.start()
        with pytest.raises(AutoReconnect):
            count_up()
        assert count_up()["n"] == 1
    assert newest(_id="a") == {"_id": "a", "n": 2}


def test_a_primary_that_steps_down_is_left(taken):
    with connection.deadline(20), held.hold():
        assert newest()
        connection.client().admin.command("replSetStepDown", 1, force=True)
        assert newest() == {"_id": "b", "n": 2}


@pytest.fixture
def failing(monkeypatch):
    """Let the held connection answer with an error."""

    def fail_with(code, *labels):
        error = OperationFailure("not now", code, {"errorLabels": labels})

        def refuse(_held, _found, _command):
            raise error

        monkeypatch.setattr(held._Held, "command", refuse)

    return fail_with


def test_what_the_driver_looks_for_again_is_left_to_it(failing):
    failing(262)  # ExceededTimeLimit
    with held.hold():
        assert newest() == {"_id": "b", "n": 2}
        with pytest.raises(OperationFailure, match="not now"):
            count_up()


def test_what_was_refused_for_too_much_work_is_left_to_the_driver(failing):
    failing(462, "RetryableError", "SystemOverloadedError")
    with held.hold():
        assert count_up()["n"] == 1


def test_another_connections_failure_costs_no_primary():
    with pytest.raises(AutoReconnect, match="elsewhere"), held.hold():
        assert newest()
        raise AutoReconnect("elsewhere")
    assert connection.client().topology_description.has_writable_server()


def test_a_connection_that_closed_itself_is_not_used_again(taken):
    jobs = collection(JobDocument)
    with held.hold():
        assert newest()
        with pytest.raises(OverflowError):
            held.command(jobs, {"insert": jobs.name, "documents": [{"n": 2**70}]})
        assert count_up()["n"] == 1
    assert connection.client().topology_description.has_writable_server()


def test_what_the_address_says_of_reading_is_kept(make_settings, own_mongo, monkeypatch):
    connection.connect(make_settings(mongodb_uri=f"{own_mongo.uri}&readConcernLevel=majority"))
    asked, command = [], held._Held.command

    def asking(one, found, given):
        asked.append(given)
        return command(one, found, given)

    monkeypatch.setattr(held._Held, "command", asking)
    with held.hold():
        assert newest() == {"_id": "b", "n": 2}
    assert asked[0]["readConcern"] == {"level": "majority"}


def test_what_hangs_is_not_waited_for(own_mongo):
    assert newest()
    os.kill(own_mongo.process.pid, signal.SIGSTOP)
    # On a busy machine it serves some more requests first.
    os.waitpid(own_mongo.process.pid, os.WUNTRACED)
    try:
        began = time.monotonic()
        with pytest.raises(StoreUnavailable), connection.deadline(0.5), held.hold():
            newest()
        assert time.monotonic() - began < 5
    finally:
        os.kill(own_mongo.process.pid, signal.SIGCONT)


def test_a_connection_is_put_back_whatever_happens():
    before = open_connections()
    for _ in range(20):
        with pytest.raises(OperationFailure), held.hold():
            fail()
        with pytest.raises(ZeroDivisionError), held.hold():
            assert newest()
            raise ZeroDivisionError
    assert open_connections() <= before + 2
