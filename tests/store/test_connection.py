"""What is inserted once, and who connects while others use the connection, against a real mongod."""

import os
import sys
import threading

import mongoengine
import pytest
from pymongo.errors import BulkWriteError, InvalidOperation

from gateway.core.errors import ConfigError
from gateway.store import clients, connection
from gateway.store.connection import collection, insert_new
from gateway.store.documents import DOCUMENTS, MessageDocument


@pytest.fixture
def stored(db):
    def ids():
        return {row["_id"] for row in db.messages.find({}, {"_id": 1})}

    db.messages.insert_one({"_id": "b"})
    return ids


@pytest.mark.parametrize(
    ("ordered", "kept"),
    [pytest.param(False, {"a", "b", "c"}, id="unordered"), pytest.param(True, {"a", "b"}, id="ordered")],
)
def test_what_is_there_already_is_told_by_its_position(stored, ordered, kept):
    assert insert_new(MessageDocument, [{"_id": "a"}, {"_id": "b"}, {"_id": "c"}], ordered=ordered) == [1]
    assert stored() == kept


def test_all_that_is_new_leaves_no_positions(stored):
    assert insert_new(MessageDocument, [{"_id": "a"}, {"_id": "c"}]) == []
    assert stored() == {"a", "b", "c"}


def test_what_fails_for_another_reason_is_raised(stored):
    with pytest.raises(BulkWriteError):
        insert_new(MessageDocument, [{"_id": "b"}, {"_id": ["an array is no id"]}])


@pytest.fixture
def eager_threads():
    """Let threads take turns as often as they can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def test_threads_that_use_the_connection_meanwhile_do_not_spoil_the_next_one(make_settings, eager_threads):
    here = make_settings()
    there = make_settings(mongodb_uri=f"{here.mongodb_uri}&appname=there")
    stop, wrong = threading.Event(), []

    def use():
        while not stop.is_set():
            try:
                for document in DOCUMENTS:
                    assert collection(document).name
                connection.client().topology_description.server_descriptions()
            except (mongoengine.ConnectionFailure, InvalidOperation):
                pass  # there is none at the moment, or it was closed meanwhile
            except Exception as error:
                wrong.append(error)

    users = [threading.Thread(target=use) for _ in range(3)]
    for thread in users:
        thread.start()
    try:
        for number in range(40):
            connection.connect((here, there)[number % 2])
            if number % 3 == 0:
                connection.disconnect()
    finally:
        stop.set()
        for thread in users:
            thread.join()
    assert wrong == []
    connection.connect(here)
    assert collection(MessageDocument).database.client is connection.client()
    assert collection(MessageDocument).count_documents({}) == 0


def test_a_connection_to_the_same_place_is_kept_and_one_over_a_fork_is_not(make_settings, monkeypatch):
    connection.connect(make_settings())
    first = connection.client()
    connection.breaker.trip("it is away")
    connection.connect(make_settings())
    assert connection.client() is first
    assert not connection.breaker.is_open
    monkeypatch.setattr(os, "getpid", lambda: -1)
    connection.connect(make_settings())
    assert connection.client() is not first


@pytest.mark.parametrize(
    "said", ["readPreference=secondaryPreferred", "readpreference=nearest", "readPreference=primaryPreferred"]
)
def test_what_reads_from_who_is_behind_is_refused(make_settings, said):
    with pytest.raises(ConfigError, match=rf"primary \({said}\).* Leave readPreference away\."):
        connection.connect(make_settings(mongodb_uri=f"mongodb://a.example.com/gateway?w=1&{said}&appName=x"))


def test_the_primary_may_be_named(make_settings):
    connection.connect(make_settings(mongodb_uri=f"{make_settings().mongodb_uri}&readPreference=primary"))
    connection.ping()


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("mongodb://a.test", "gateway"),
        ("mongodb://a.test/", "gateway"),
        ("mongodb://a.test/of_ours", "of_ours"),
        ("mongodb://a.test,b.test:27018/of_ours?replicaSet=rs0", "of_ours"),
        ("mongodb://a.test,b.test/of_ours?directConnection=false", "of_ours"),
        ("mongodb://a.test/of_ours?replicaSet=rs0&loadBalanced=false", "of_ours"),
        ("mongodb://u:p%40ss%2Fword@a.test/of_ours?authSource=admin", "of_ours"),
        ("mongodb://%2Ftmp%2Fmongodb-27017.sock/of_ours", "of_ours"),
        ("mongodb://[::1]:27017/of_ours", "of_ours"),
        ("mongodb+srv://nowhere.invalid/of_ours", "of_ours"),
        ("mongodb+srv://u:p%3F@nowhere.invalid/of_ours?srvServiceName=ours&srvMaxHosts=2&tls=false", "of_ours"),
    ],
)
def test_whatever_names_a_database_is_connected_to(make_settings, uri, name):
    configured = make_settings(mongodb_uri=uri)
    clients.check(configured)
    connection.connect(configured)
    assert collection(MessageDocument).database.name == name


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("mongodb://", "Must provide at least one hostname or IP"),
        ("mongodb://a.test:99999/x", "Port must be an integer"),
        ("mongodb://a.test/x?nonsense=1", "Unknown option: nonsense"),
        ("mongodb+srv://nowhere.invalid/x?nonsense=1", "Unknown option: nonsense"),
        ("mongodb://a.test/x?tls=true&tlsCAFile=/nope", "/nope"),
        ("mongodb://a.test/a%5Cb", "names a database that cannot be"),
        ("mongodb://u:p@ss:word@a.test/x", r"MONGODB_URI is not usable\. Write"),
    ],
)
@pytest.mark.parametrize("how", [clients.check, connection.connect], ids=["check", "connect"])
def test_what_cannot_be_used_is_refused_in_words_without_the_password(make_settings, how, uri, why):
    with pytest.raises(ConfigError, match=why) as refused:
        how(make_settings(mongodb_uri=uri))
    assert "ss:word" not in str(refused.value)
    assert str(refused.value).endswith(" Write it as mongodb://host:27017/gateway.")
