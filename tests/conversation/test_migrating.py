"""A database of an older version brought up to date: from its own documents, once, whatever stops it."""

import json
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime

import pymongo
import pytest
from bson import ObjectId
from click.testing import CliRunner
from pymongo.errors import AutoReconnect

from gateway.cli.commands import cli
from gateway.conversation import migrating
from gateway.conversation.migrating import Newer, Watch
from gateway.core.errors import StoreRefused
from gateway.store import connection, indexes
from gateway.store.migrations import MIGRATIONS, pattern, records
from gateway.store.migrations.m0003_identify_contacts import IDENTIFY_CONTACTS
from tests.conftest import Twilio

AT = datetime(2026, 3, 1, 10, tzinfo=UTC)


@pytest.fixture(scope="module")
def uri(mongo):
    """A database of these tests' own, since they change indexes."""
    own = mongo.uri.replace("/gateway?", "/older?")
    yield own
    with pymongo.MongoClient(own) as client:
        client.drop_database("older")


@pytest.fixture
def older(uri, make_settings):
    """A database with documents as older versions left them, and nothing written down of migrations."""
    connection.connect(make_settings(mongodb_uri=uri))
    with pymongo.MongoClient(uri, tz_aware=True) as client:
        database = client.get_default_database()
        for name in database.list_collection_names():
            database[name].delete_many({})
        yield database
    connection.disconnect()


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(pattern, "AT_ONCE", 2)


def run(**given):
    return migrating.run("test", wait=lambda seconds: None, **given)


def failed_messages(database, count=9):
    """Sessions with a message each, every third of which failed; ids of both kinds, as adopted collections have."""
    for number in range(count):
        session = database.sessions.insert_one({"title": f"No. {number}", "slot": f"s{number}"}).inserted_id
        said = {"session_id": session, "direction": "outbound", "createdAt": AT}
        status = [{"status": "sent"}, {"status": "undelivered"}, {"status": "delivered"}][number % 3]
        history = {"status": "queued", "status_history": [{"status": "failed", "at": AT}]} if number == 4 else status
        database.messages.insert_one(said | history | {"_id": f"SM{number}" if number % 2 else ObjectId()})


def marked(database):
    return sorted(row["title"] for row in database.sessions.find({"has_failed": True}))


def test_sessions_with_a_failed_message_are_found_by_that_again(older, small):
    failed_messages(older)
    inbound = older.sessions.insert_one({"title": "not ours", "slot": "x"}).inserted_id
    older.messages.insert_one({"_id": "SMin", "session_id": inbound, "direction": "inbound", "status": "failed"})
    told = []
    _, done = run(tell=lambda *steps: told.append(steps))
    assert marked(older) == ["No. 1", "No. 4", "No. 7"]
    assert told[1:] == [("migration 1 mark_failed_sessions", 10, seen) for seen in (2, 4, 6, 8, 10)]
    assert [(one.number, one.state, one.seen, one.changed) for one in done] == [
        (1, "done", 10, 3), (2, "done", 0, 0), (3, "done", 0, 0),
    ]  # fmt: skip
    record = older.migrations.find_one({"_id": 1})
    assert (record["name"], record["state"], record["by"]) == ("mark_failed_sessions", "done", "test")
    assert record["started_at"] <= record["finished_at"]
    assert "lease" not in record


def test_addresses_are_kept_in_lower_case_and_two_people_are_told_apart(older):
    ids = [ObjectId() for _ in range(4)]
    kept = [["Ada@example.com", "b@example.com"], ["Carl@Example.com"], ["carl@example.com"], ["D@x.org", "d@x.org"]]
    older.contacts.insert_many([{"_id": one, "emails": emails} for one, emails in zip(ids, kept, strict=True)])
    _, done = run()
    assert [row["emails"] for row in older.contacts.find().sort("_id", 1)] == [
        ["ada@example.com", "b@example.com"], ["Carl@Example.com"], ["carl@example.com"], ["d@x.org"],
    ]  # fmt: skip
    (problem,) = done[1].problems
    assert str(ids[1]) in problem
    assert str(ids[2]) in problem
    assert "example.com" not in problem
    assert done[1].changed == 2


def test_an_address_taken_off_meanwhile_stays_off(older, monkeypatch):
    contact = older.contacts.insert_one({"emails": ["Ada@example.com", "B@example.com"]}).inserted_id
    migration = MIGRATIONS[1]
    run()
    older.contacts.update_one({"_id": contact}, {"$set": {"emails": ["Ada@example.com", "B@example.com"]}})
    seen = migration.next({})
    older.contacts.update_one({"_id": contact}, {"$pull": {"emails": "Ada@example.com"}})
    assert migration.mend(seen).changed == 1
    assert older.contacts.find_one()["emails"] == ["b@example.com"]
    assert migration.mend(seen).changed == 0


def test_a_number_taken_off_meanwhile_is_not_known_again(older):
    run()
    numbers = [["+5511987654321"], ["+551140001234", "+5491123456789"]]
    ids = older.contacts.insert_many([{"phones": phones} for phones in numbers]).inserted_ids
    seen = IDENTIFY_CONTACTS.next({})
    older.contacts.update_one({"_id": ids[1]}, {"$pull": {"phones": "+5491123456789"}})
    IDENTIFY_CONTACTS.mend(seen)
    assert [row["identifiers"] for row in older.contacts.find().sort("_id", 1)] == [
        ["+5511987654321"],
        ["+551140001234"],
    ]


def test_indexes_of_older_versions_are_replaced_and_others_left_alone(older):
    run()
    older.outbox.drop_index("events")
    partial = {"subscription": {"$exists": True}}
    older.outbox.create_index(
        [("subscription", 1), ("queued_at", -1), ("_id", -1)], name="events", partialFilterExpression=partial
    )
    older.outbox.create_index([("due", 1)], name="waiting", partialFilterExpression={"state": "waiting"})
    older.messages.drop_index("happened")
    older.messages.create_index([("createdAt", 1)], name="createdAt_1")
    older.contacts.drop_index("words")
    older.contacts.create_index([("name", "text"), ("notes", "text")], name="theirs")
    older.sessions.create_index([("mine", 1)], name="mine")
    for name, version in (("once", "0.0.9"), ("later", "99.0.0")):
        older.sessions.create_index([(name, 1)], name=name)
        older.migrations.update_one({"_id": "indexes"}, {"$set": {f"made.sessions.{name}": version}})
    older.sessions.drop_index("tagged")

    planned, _ = run()

    told = {(change.what, f"{change.collection}.{change.index}") for change in planned.indexes}
    assert told == {
        ("replace", "outbox.events"), ("drop", "outbox.waiting"), ("replace", "messages.happened"),
        ("replace", "contacts.words"), ("drop", "sessions.once"), ("create", "sessions.tagged"),
    }  # fmt: skip
    assert [name for name, _ in older.outbox.index_information()["events"]["key"]][1] == "state"
    assert "createdAt_1" not in older.messages.index_information()
    assert {"mine", "later", "tagged"} <= older.sessions.index_information().keys()
    assert indexes.plan() == []
    for name in ("mine", "later"):
        older.sessions.drop_index(name)


def test_what_stands_against_a_unique_index_is_told_without_the_number(older):
    run()
    older.contacts.drop_index("one_contact_per_phone")
    older.contacts.insert_many([{"phones": ["+15558675310"]}, {"phones": ["+15558675310"]}])
    with pytest.raises(StoreRefused, match=r"contacts\.one_contact_per_phone cannot be made") as refused:
        run()
    assert "867" not in str(refused.value)
    older.contacts.delete_many({})
    run()
    assert "one_contact_per_phone" in older.contacts.index_information()


class Killed(BaseException):
    """What a SIGKILL looks like from inside: nothing is tidied up."""


@pytest.mark.parametrize("where", ["claim", "mend", "advance", "finish"])
@pytest.mark.parametrize("after", [False, True])
def test_whoever_is_killed_is_followed_by_somebody_who_goes_on(older, small, monkeypatch, where, after):
    failed_messages(older)
    migration, calls = MIGRATIONS[0], []
    real = migration.mend if where == "mend" else getattr(records, where)

    def killed(*given):
        calls.append(1)
        if len(calls) < (2 if where in ("mend", "advance") else 1):
            return real(*given)
        if after:
            real(*given)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(records, "release", lambda record: None)
        if where == "mend":
            patch.setattr(migrating, "MIGRATIONS", (replace(migration, mend=killed), *MIGRATIONS[1:]))
        else:
            patch.setattr(records, where, killed)
        with pytest.raises(Killed):
            run()
    ended = where == "finish" and after
    _, held = run(patient=False)
    if not ended and not (where == "claim" and not after):
        assert held == []  # the lease holds, and nothing behind it is begun
        assert records.every()[1].state == "running"
        seen = older.migrations.find_one({"_id": 1}).get("seen", 0)
        assert seen < 9 or where == "finish"
        older.migrations.update_one({"_id": 1}, {"$set": {"lease": AT}})
    run()
    assert marked(older) == ["No. 1", "No. 4", "No. 7"]
    assert {number: one.state for number, one in records.every().items()} == {1: "done", 2: "done", 3: "done"}
    assert records.every()[1].seen == 9


def test_two_at_once_do_it_once_and_both_come_back_when_it_is_done(older, small):
    failed_messages(older, 30)
    done = []
    threads = [threading.Thread(target=lambda: done.append(run()[1])) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(done) == 3
    assert all(one.state == "done" for each in done for one in each)
    assert records.every()[1].seen == 30
    assert len(marked(older)) == 10


def test_a_database_of_a_newer_gateway_is_left_alone(older, uri, make_settings, start_app, capsys):
    failed_messages(older)
    older.migrations.insert_one({"_id": 99, "name": "of_tomorrow", "state": "done", "version": "9.0.0"})
    with pytest.raises(Newer, match=r"migration 99 of_tomorrow"):
        run()
    assert marked(older) == []
    assert older.migrations.count_documents({}) == 1
    app = start_app(make_settings(mongodb_uri=uri, env="development"))
    assert "by a newer gateway (9.0.0" in capsys.readouterr().out
    answer = app.test_client().get("/readyz")
    assert (answer.status_code, answer.json["status"], answer.json["migrations"]["ok"]) == (200, "ok", False)
    assert marked(older) == []


def test_production_says_once_what_is_outstanding_and_development_does_it(older, uri, make_settings, start_app, capsys):
    failed_messages(older)
    client = start_app(make_settings(mongodb_uri=uri, env="production")).test_client()
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["status"]) == (200, "ok")
    assert answer.json["migrations"]["outstanding"] == [1, 2, 3]
    watch = Watch()
    capsys.readouterr()
    watch.look()
    watch.look()
    (line,) = capsys.readouterr().out.splitlines()
    assert "Migrations are outstanding (1 mark_failed_sessions, 2 lower_case_emails, 3 identify_contacts)." in line
    assert "Run `gateway migrate`" in line
    start_app(make_settings(mongodb_uri=uri, env="development"))
    capsys.readouterr()
    watch.look()
    assert "All are done." in capsys.readouterr().out
    assert client.get("/readyz").json["migrations"] == {"ok": True}
    assert len(marked(older)) == 3


@pytest.mark.parametrize("env", ["test", "production"])
def test_a_new_database_has_its_indexes_before_its_first_message(older, uri, make_settings, start_app, env):
    older.client.drop_database(older)
    start_app(make_settings(mongodb_uri=uri, env=env))
    assert {"one_open_session", "one_session_per_slot", "sender_timeline"} <= older.sessions.index_information().keys()


def test_indexes_of_what_holds_something_are_left_to_the_command(older, uri, make_settings, start_app, capsys):
    older.client.drop_database(older)
    older.sessions.insert_one({"status": "active"})
    start_app(make_settings(mongodb_uri=uri, env="production"))
    assert older.sessions.index_information().keys() == {"_id_"}
    assert "one_channel" in older.channels.index_information()
    said = capsys.readouterr().out
    assert "Without sessions.one_open_session, sessions.one_session_per_slot there may be two of what" in said


def test_what_waited_for_mongodb_is_filed_after_indexes_are_made(older, uri, make_settings, start_app, monkeypatch):
    older.client.drop_database(older)
    seen, make_first = [], indexes.make_first

    def away_once():
        seen.append(1)
        if len(seen) == 1:
            raise AutoReconnect("away")
        make_first()

    monkeypatch.setattr(indexes, "make_first", away_once)
    client = start_app(make_settings(mongodb_uri=uri)).test_client()
    assert connection.breaker.is_open
    Twilio(client).sms("Hello")
    assert older.sessions.count_documents({}) == 0
    patience = time.monotonic() + 10
    while not older.messages.find_one() and time.monotonic() < patience:
        time.sleep(0.05)
    assert older.messages.find_one({"direction": "inbound"})["content"] == "Hello"
    assert "one_open_session" in older.sessions.index_information()


def test_the_command_plans_does_and_does_again(older, uri, monkeypatch, tmp_path):
    run()
    failed_messages(older)
    for name, value in (("MONGODB_URI", uri), ("GATEWAY_DATA_DIR", str(tmp_path)), ("GATEWAY_ENV", "development")):
        monkeypatch.setenv(name, value)

    def gateway(*arguments):
        return CliRunner().invoke(cli, ["migrate", *arguments])

    assert gateway("--plan").stdout == "Nothing is to be done.\n"
    older.migrations.delete_many({"_id": 2})
    older.sessions.drop_index("tagged")
    assert "create index sessions.tagged: it is missing" in gateway("--plan").stdout
    planned = json.loads(gateway("--plan", "--json").stdout)
    assert planned["indexes"] == [{"index": "sessions.tagged", "what": "create", "why": "it is missing"}]
    assert [(one["number"], one["documents"]) for one in planned["migrations"]] == [(2, 0)]
    assert "tagged" not in older.sessions.index_information()
    assert marked(older) == []
    assert gateway("--plan", "--again", "1").exit_code == 2
    assert "Migration 2 is not done yet" in gateway("--again", "2").output
    done = json.loads(gateway("--again", "1", "--json").stdout)
    assert [(one["number"], one["seen"], one["changed"]) for one in done["migrations"]] == [(1, 9, 3), (2, 0, 0)]
    assert "tagged" in older.sessions.index_information()
    assert gateway().stdout == "The database is up to date.\n"


def test_the_walk_reads_its_index_and_what_stands_is_read_by_id(older):
    failed_messages(older)
    plan = older.messages.find({}).sort("_id", 1).hint([("_id", 1)]).min([("_id", "SM1")]).limit(5).explain()
    assert plan["executionStats"]["totalDocsExamined"] <= 5
    plan = older.migrations.find({"_id": {"$gte": 0}}).explain()["queryPlanner"]["winningPlan"]
    assert "COLLSCAN" not in str(plan)
