"""`gateway cleanup` and `gateway contacts forget` as a person at a terminal runs them."""

import json
from datetime import UTC, datetime, timedelta

import pymongo
import pytest

from tests.cli.test_commands import run

LONG_AGO = datetime.now(UTC).replace(microsecond=0) - timedelta(days=100)
NUMBER = "+15558675310"


@pytest.fixture
def database(make_settings):
    uri = make_settings().mongodb_uri
    with pymongo.MongoClient(uri, tz_aware=True) as client:
        yield client.get_default_database()


@pytest.fixture
def gateway(make_settings, database, tmp_path):
    contact = database.contacts.insert_one({"phones": [NUMBER], "opted_out": {"+15017122661": {"at": LONG_AGO}}})
    session = database.sessions.insert_one(
        {
            "communication_type": "sms", "status": "active", "keys": [NUMBER], "message_count": 2,
            "last_message_at": LONG_AGO, "first_message_at": LONG_AGO, "contact_id": contact.inserted_id,
        }
    )  # fmt: skip
    for number in (1, 2):
        message = {"session_id": session.inserted_id, "createdAt": LONG_AGO, "direction": "inbound", "content": "Hello"}
        database.messages.insert_one(message | {"_id": f"SM{number}"})
    environ = {"MONGODB_URI": make_settings().mongodb_uri, "GATEWAY_DATA_DIR": str(tmp_path)}
    return lambda *arguments: run(*arguments, **environ)


def test_a_dry_run_tells_and_changes_nothing(gateway, database):
    done = gateway("cleanup", "--older-than", "90d", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "Would delete 1 session with 2 messages and 0 files" in done.stdout
    assert database.messages.count_documents({}) == 2
    told = json.loads(gateway("cleanup", "--older-than", "90d", "--dry-run", "--json").stdout)
    assert (told["dry_run"], told["sessions"], told["messages"]) == (True, 1, 2)


def test_what_was_archived_and_deleted_comes_back(gateway, database, tmp_path):
    path = str(tmp_path / "old.jsonl.gz")
    done = gateway("cleanup", "--older-than", "90d", "--archive", path)
    assert done.returncode == 0, done.stderr
    assert "Deleted 1 session with 2 messages and 0 files" in done.stdout
    assert "1 of them was still open" in done.stdout
    assert database.sessions.count_documents({}) == database.messages.count_documents({}) == 0
    told = json.loads(gateway("cleanup", "--restore", path, "--json").stdout)
    assert (told["sessions"], told["messages"]) == (1, 2)
    assert database.messages.count_documents({"createdAt": LONG_AGO}) == 2


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--older-than", "12h"], "under a day"),
        (["--older-than", "soon"], "no span. Write days, hours or weeks"),
        ([], "Say either --older-than"),
        (["--older-than", "90d", "--archive", "/nowhere/old.jsonl"], "cannot be used: No such file or directory"),
        (["--restore", "pyproject.toml"], "is not an archive of the gateway"),
    ],
)
def test_what_is_wrong_is_said_in_a_line_and_deletes_nothing(gateway, database, arguments, reason):
    done = gateway("cleanup", *arguments)
    assert done.returncode != 0
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
    assert database.messages.count_documents({}) == 2


def test_forgetting_wants_a_yes_and_tells_what_it_erased_and_what_it_cannot(gateway, database):
    done = gateway("contacts", "forget", NUMBER)
    assert done.returncode != 0
    assert "Say --yes" in done.stderr
    assert database.contacts.count_documents({}) == 1
    done = gateway("contacts", "forget", "+1 555-867-5310", "--yes")
    assert done.returncode == 0, done.stderr
    assert "Erased 1 contact, 1 session with 2 messages" in done.stdout
    assert "They said STOP. That is kept" in done.stdout
    assert "Twilio's own log" in done.stdout
    assert "8675310" not in done.stderr
    assert database.contacts.count_documents({}) == database.messages.count_documents({}) == 0
    assert "Nobody is known as" in gateway("contacts", "forget", NUMBER, "--yes").stderr


def test_forgetting_in_json(gateway):
    told = json.loads(gateway("contacts", "forget", NUMBER, "--dry-run", "--json").stdout)
    assert told["messages"] == 2
