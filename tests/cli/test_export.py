"""`gateway export` as a person at a terminal runs it."""

import json
from datetime import UTC, datetime, timedelta

import pymongo
import pytest

from tests.cli.test_commands import run

LATELY = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)


@pytest.fixture
def gateway(make_settings, tmp_path):
    uri = make_settings().mongodb_uri
    with pymongo.MongoClient(uri) as client:
        database = client.get_default_database()
        for number, kind in enumerate(("sms", "whatsapp", "sms")):
            at = LATELY - timedelta(days=30 * number)
            session = {"communication_type": kind, "last_message_at": at, "title": f"No. {number}", "status": "closed"}
            session_id = database.sessions.insert_one(session).inserted_id
            message = {"_id": f"SM{number}", "session_id": session_id, "createdAt": at, "content": "private words"}
            database.messages.insert_one(message)
    environ = {"MONGODB_URI": uri, "GATEWAY_DATA_DIR": str(tmp_path)}
    return lambda *arguments: run(*arguments, **environ)


def test_everything_comes_on_standard_output_and_the_count_beside_it(gateway):
    done = gateway("export")
    assert done.returncode == 0, done.stderr
    head, *rest, end = map(json.loads, done.stdout.splitlines())
    assert head["layout"] == "gateway"
    assert [next(iter(line)) for line in rest] == ["session", "message"] * 3
    assert end == {"end": {"sessions": 3, "messages": 3}}
    assert "Exported 3 sessions with 3 messages." in done.stderr
    assert "private words" not in done.stderr


def test_type_and_time_choose_and_a_file_is_never_overwritten_unasked(gateway, tmp_path):
    path = tmp_path / "sms.csv"
    chosen = ("export", "--type", "sms", "--since", "30d", "--format", "csv", "--output", str(path))
    done = gateway(*chosen, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"file": str(path), "sessions": 1, "messages": 1}
    assert len(path.read_text().splitlines()) == 2
    assert path.stat().st_mode & 0o077 == 0
    path.write_text("mine")
    refused = gateway(*chosen)
    assert refused.returncode != 0
    assert "is there already. Give --force" in refused.stderr
    assert path.read_text() == "mine"
    assert gateway(*chosen, "--force").returncode == 0
    assert len(path.read_text().splitlines()) == 2
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--session", "65f000000000000000000000"], "There is no session 65f000000000000000000000"),
        (["--session", "65f000000000000000000000", "--type", "sms"], "--session names one"),
        (["--since", "soon"], "Invalid value for --since: 'soon' is neither a span such as 30m"),
        (["--output", "/nowhere/all.jsonl"], "cannot be written: No such file or directory"),
        (["--json"], "give --output"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(gateway, arguments, reason):
    done = gateway("export", *arguments)
    assert done.returncode != 0
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
