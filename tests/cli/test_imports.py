"""`gateway import` as a person at a terminal runs it."""

import json
import subprocess
from datetime import datetime

import pymongo
import pytest
from bson import json_util

from gateway.store import connection
from tests.cli.test_commands import run
from tests.cli.test_serve import GATEWAY, ROOT, clean_environment
from tests.conftest import FIXTURES
from tests.conversation.test_importing import message, session, written


@pytest.fixture
def uri(make_settings):
    settings = make_settings()
    connection.connect(settings)
    connection.create_indexes()
    return settings.mongodb_uri


@pytest.fixture
def gateway(uri, tmp_path):
    return lambda *arguments: run(*arguments, MONGODB_URI=uri, GATEWAY_DATA_DIR=str(tmp_path))


def test_a_file_comes_in_and_can_be_looked_up(gateway, uri, tmp_path):
    path = tmp_path / "march.jsonl"
    path.write_bytes(written(session(), message(1), message(2, of=9)))
    done = gateway("import", str(path))
    assert done.returncode == 0, done.stderr
    assert "of march.jsonl, layout gateway: done." in done.stdout
    assert "messages  1 new, 0 here already" in done.stdout
    assert "rejected  1 of 5 rows" in done.stdout
    again = gateway("import", "--json", str(path), "--layout", "gateway")
    told = json.loads(again.stdout)
    assert (told["messages"], told["sessions"]["existing"]) == ({"imported": 0, "duplicate": 1}, 1)
    listed = json.loads(gateway("import", "list", "--json").stdout)
    # Of one second they may be listed in either order.
    assert told["id"] in {one["id"] for one in listed}
    assert len(listed) == 2
    shown = gateway("import", "list").stdout
    assert told["id"] in shown, "an id that is cut off is of no use"
    assert "\n    march.jsonl, by gateway import\n" in shown, "so is a name that is folded"
    assert json.loads(gateway("import", "show", told["id"], "--json").stdout) == told
    (row,) = gateway("import", "show", told["id"], "--rejected").stdout.splitlines()
    assert "is not here" in json.loads(row)["reason"]
    with pymongo.MongoClient(uri) as client:
        assert client.get_default_database().messages.count_documents({}) == 1


def test_a_log_is_tried_out_first_and_what_is_rejected_is_in_a_file(gateway, uri, tmp_path):
    log = (FIXTURES / "layouts" / "twilio" / "sms-log.csv").read_text()
    path, rejected = tmp_path / "log.csv", tmp_path / "rejected.jsonl"
    path.write_text(f"{log}+1,+2,cut\n")
    tried = gateway("import", "--dry-run", str(path), "--rejected", str(rejected))
    assert tried.returncode == 0, tried.stderr
    assert tried.stdout.splitlines() == [
        "Dry run of log.csv, layout twilio. Nothing was written. An import would bring:",
        "  sessions  5 new, 0 here already",
        "  messages  10 new, 0 here already",
        "  rejected  1",
        "  people    3 new, 0 here already",
        "  1 x It has 3 fields, and there are 13 columns.",
        "The source is not complete: its end is missing.",
        f"The rejected rows with their reasons are in {rejected}.",
    ]
    (row,) = rejected.read_text().splitlines()
    assert json.loads(row)["text"] == "+1,+2,cut"
    assert json.loads(row)["place"] == "log.csv, line 13"
    with pymongo.MongoClient(uri) as client:
        assert client.get_default_database().sessions.count_documents({}) == 0
    told = json.loads(gateway("import", str(path), "--threshold", "900", "--json").stdout)
    assert (told["layout"], told["people"], told["complete"]) == ("twilio", 3, False)
    assert (told["sessions"]["created"], told["messages"]["imported"], told["rejected"]) == (3, 10, 1)
    tried = json.loads(gateway("import", str(path), "--dry-run", "--json").stdout)
    assert tried["messages"] == {"imported": 0, "duplicate": 10}
    assert tried["people"] == {"new": 0, "existing": 3}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nowhere.jsonl"], "nowhere.jsonl"),
        (["{file}"], "of no layout that is known here (gateway, twilio"),
        (["{file}", "--layout", "twilio"], "not of the layout twilio, which needs"),
        (["{file}", "--layout", "teletext"], "'teletext' is not"),
        (["{flat}", "--threshold", "300"], "give --rethread with it"),
        (["{file}", "--rethread", "--threshold", "soon"], "neither a number of seconds nor `never`"),
        (["{file}", "--timezone", "Mars/Base"], "no time zone such as"),
        (
            ["mongodb://user:secret@127.0.0.1:1/app?serverSelectionTimeoutMS=300"],
            "mongodb://127.0.0.1:1/app cannot be read",
        ),
        (["show", "65f000000000000000000000"], "There is no import 65f000000000000000000000"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(gateway, tmp_path, arguments, reason):
    path = tmp_path / "file.csv"
    path.write_text("a,b\n1,2\n")
    flat = FIXTURES / "layouts" / "flat"
    done = gateway("import", *(one.format(file=path, flat=flat) for one in arguments))
    assert done.returncode != 0
    assert reason in " ".join(done.stderr.split())
    assert "secret" not in done.stderr
    assert "Traceback" not in done.stderr


def test_an_import_is_checked_and_taken_back(gateway, uri, tmp_path):
    path = FIXTURES / "layouts" / "flat"
    run_id = json.loads(gateway("import", str(path), "--json").stdout)["id"]
    done = gateway("import", "verify", run_id)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"Import {run_id} of messages.jsonl, compared with its source:",
        "  sessions  4",
        "  messages  10",
        "All of it is here as it came.",
    ]
    with pymongo.MongoClient(uri) as client:
        database = client.get_default_database()
        lost = database.messages.find_one({"import_id": {"$exists": True}})
        database.messages.delete_one({"_id": lost["_id"]})
        done = gateway("import", "verify", run_id, "--json")
        told = json.loads(done.stdout)
        assert (done.returncode, told["same"], told["counts"]) == (1, False, {"missing": 1, "count is wrong": 1})
        assert told["by_session"] == {str(lost["session_id"]): 2}
        assert f"missing: {lost['_id']} of session" in gateway("import", "verify", run_id).stdout
        refused = gateway("import", "undo", run_id)
        asked, said = refused.stderr.splitlines()
        assert (refused.returncode, "Take back 4 sessions and 10 messages" in asked) == (1, True)
        assert said == "Error: Nobody answered: nothing was changed. Scripts say --yes."
        undone = gateway("import", "undo", run_id, "--yes")
        assert undone.stdout.splitlines() == [
            f"Import {run_id} of messages.jsonl is taken back:",
            "  sessions  4",
            "  messages  9",
            "  people    3",
        ]
        assert sum(database[name].count_documents({}) for name in ("sessions", "messages", "contacts")) == 0
    again = json.loads(gateway("import", "undo", run_id, "--json").stdout)
    assert again["undone"] == {"sessions": 4, "messages": 9, "people": 3, "sessions_kept": 0}
    assert "Taken back on" in gateway("import", "show", run_id).stdout
    assert "was taken back" in gateway("import", "verify", run_id).stderr


def test_help_names_the_commands(gateway):
    assert "gateway import [OPTIONS] SOURCE... | COMMAND" in gateway("import", "--help").stdout
    told = gateway("import", "--help").stdout
    assert "gateway import march.jsonl" in told
    assert "list" in told
    assert "show" in told


def test_a_run_that_is_killed_goes_on_where_it_was(uri, tmp_path):
    path, environ = tmp_path / "march.jsonl", {"MONGODB_URI": uri, "GATEWAY_DATA_DIR": str(tmp_path)}
    rows = (row for n in range(400) for row in (session(n), *(message(20 * n + m, of=n) for m in range(20))))
    path.write_bytes(written(*rows))
    with pymongo.MongoClient(uri) as client:
        database = client.get_default_database()
        process = subprocess.Popen([GATEWAY, "import", str(path)], cwd=ROOT, env=clean_environment(**environ))
        while not database.imports.find_one({"rows": {"$gt": 1000}}):
            assert process.poll() is None
        process.kill()
        process.wait()
        before = database.imports.find_one()
        assert before["state"] == "running"
        database.imports.update_one({}, {"$set": {"lease": datetime(2026, 1, 1)}})
        done = run("import", str(path), "--json", **environ)
        told = json.loads(done.stdout)
        assert (told["id"], told["state"], told["rows_read"]) == (str(before["_id"]), "done", 8402)
        assert told["sessions"] == {"created": 400, "existing": 0, "closed": 0}
        assert told["messages"] == {"imported": 8000, "duplicate": 0}
        assert database.messages.count_documents({}) == 8000
        assert database.sessions.distinct("message_count") == [20]


def test_what_is_here_twice_is_told_and_made_one(gateway, uri, tmp_path):
    began = ("2025-11-03T10:00:00Z", "2025-11-03T10:00:01Z")
    ids = [f"{number:024x}" for number in (1, 2)]
    sessions = [
        {"_id": one, "channel_id": "sms:1", "communication_type": "sms", "from_number": "+15558675310",
         "to_number": "+15017122661", "createdAt": at} for one, at in zip(ids, began, strict=True)
    ]  # fmt: skip
    messages = [
        {"session_id": one, "role": "user", "text": text, "createdAt": began[1]}
        for one, text in zip((*ids, ids[1]), ("Hello", "Hello", "Anybody?"), strict=True)
    ]
    for name, rows in {"sessions": sessions, "messages": messages}.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    brought = gateway("import", *(str(tmp_path / f"{name}.jsonl") for name in ("sessions", "messages")))
    assert brought.returncode == 0, brought.stderr
    tried = gateway("import", "consolidate", "--dry-run")
    assert tried.returncode == 0, tried.stderr
    assert tried.stdout.splitlines() == [
        f"sessions: {ids[1]} into {ids[0]} (1 messages twice)",
        "Dry run. Nothing was written. It would come to:",
        "  people    0 had 0 contacts too many",
        "  sessions  1 had 1 duplicates",
        "  messages  1 were there twice",
    ]
    group, report = map(json.loads, gateway("import", "consolidate", "--json").stdout.splitlines())
    assert group == {"what": "sessions", "kept": ids[0], "merged": [ids[1]], "messages": 1}
    assert (report["dry_run"], report["groups"], report["sessions_merged"], report["left"]) == (False, 1, 1, [])
    assert gateway("import", "consolidate").stdout == "Nothing is here twice.\n"
    run_id = report["run_id"]
    _, amounts, name, *_ = gateway("import", "list").stdout.splitlines()
    assert (amounts.split()[0], amounts.split()[3:]) == (run_id, ["done", "-1", "0"])
    assert name == "    what is here, by gateway import consolidate"
    shown = gateway("import", "show", run_id).stdout.splitlines()
    assert (shown[0], shown[3]) == (f"Consolidation {run_id} of what is here: done.", "  messages  1 were there twice")
    (line,) = gateway("import", "show", run_id, "--merged").stdout.splitlines()
    assert (json.loads(line)["kept"], len(json.loads(line)["messages"])) == (ids[0], 1)
    assert "All of it is here as it came." in gateway("import", "verify", run_id).stdout
    undone = gateway("import", "undo", run_id, "--yes")
    assert undone.stdout.splitlines()[0] == f"Consolidation {run_id} of what is here is taken back:", undone.stderr
    with pymongo.MongoClient(uri) as client:
        assert client.get_default_database().messages.count_documents({}) == 3


def test_a_database_is_taken_over_in_place(gateway, uri):
    folder = FIXTURES / "layouts" / "node"
    with pymongo.MongoClient(uri) as client:
        database = client.get_default_database()
        for name in ("sessions", "messages", "channels"):
            text = (folder / f"{name}.json").read_text()
            rows = text if text.startswith("[") else f"[{','.join(text.splitlines())}]"
            database[name].insert_many(json_util.loads(rows))
        tried = gateway("import", uri, "--layout", "node", "--in-place", "--dry-run")
        assert "backup    3 sessions, 10 messages, 2 channels, before anything is changed" in tried.stdout, tried.stderr
        assert "messages  10 new, 0 here already" in tried.stdout
        done = gateway("import", uri, "--in-place")
        run_id = done.stdout.split()[1]
        assert f"backup    3 sessions, 10 messages, 2 channels, in sessions_before_{run_id} and so on" in done.stdout
        again = gateway("import", uri, "--layout", "node", "--in-place")
        assert (again.returncode, "Traceback" in again.stderr) == (1, False)
        assert "Nothing of another application" in again.stderr
        _, amounts, name = gateway("import", "list").stdout.splitlines()
        assert (amounts.split()[0], amounts.split()[3:]) == (run_id, ["done", "10", "0"])
        assert name == f"    {done.stdout.split(' of ')[1].split(',')[0]}, by gateway import"
        checked = gateway("import", "verify", run_id)
        assert (checked.returncode, "compared with its backup:" in checked.stdout) == (0, True)
        for kind in ("sessions", "messages", "channels"):
            database.drop_collection(f"{kind}_before_{run_id}")
