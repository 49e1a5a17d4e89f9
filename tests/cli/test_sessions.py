"""`gateway sessions`: split and merge from the command line, and back."""

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from gateway.cli import looking
from gateway.store import groups
from gateway.store.listing import Page, Wanted
from tests.cli.test_commands import clean_environment, run
from tests.conftest import TEN
from tests.conversation.test_regroup import sid


@pytest.fixture
def gateway(make_settings, db, twilio, clock, tmp_path):
    for number, minute in enumerate((0, 1, 30, 31)):
        clock.moment = TEN.replace(minute=minute)
        twilio.sms(MessageSid=sid(number))
    environ = {"MONGODB_URI": make_settings().mongodb_uri, "GATEWAY_DATA_DIR": str(tmp_path)}
    return lambda *arguments: run("sessions", *arguments, **environ)


def sizes(db):
    shown = db.sessions.find({"merged_into": {"$exists": False}}, sort=[("first_message_at", 1)])
    return [session["message_count"] for session in shown]


def test_a_session_is_split_and_whole_again(gateway, db):
    newest = str(db.sessions.find_one({"status": "active"})["_id"])
    done = gateway("split", newest, sid(3))
    assert done.returncode == 0, done.stderr
    assert f"begins with {sid(3)}; before that it is {newest}." in done.stdout
    assert sizes(db) == [4, 2, 2]
    told = json.loads(gateway("split", newest, "--undo", "--json").stdout)
    assert (told["kind"], told["state"], told["earlier"]) == ("split", "undone", newest)
    assert sizes(db) == [4, 4]
    assert db.audit.find_one()["by"].endswith("(command line)")


def test_what_is_logged_of_it_is_no_line_of_a_terminal(make_settings, db, gateway, tmp_path):
    newest = str(db.sessions.find_one({"status": "active"})["_id"])
    assert " session_split " in gateway("split", newest, sid(3)).stderr
    ours, theirs = os.openpty()
    environ = clean_environment(MONGODB_URI=make_settings().mongodb_uri, GATEWAY_DATA_DIR=str(tmp_path))
    command = [sys.executable, "-m", "gateway.cli", "sessions", "split", newest, "--undo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environ, text=True) as process:
        os.close(theirs)
        said, _ = process.communicate(timeout=60)
    try:
        logged = os.read(ours, 1000)
    except OSError:  # the other end is closed, and nothing was written to it
        logged = b""
    os.close(ours)
    assert (process.returncode, logged) == (0, b"")
    assert newest in said


def test_a_session_is_merged_and_one_of_its_own_again(gateway, db):
    newest = str(db.sessions.find_one({"status": "active"})["_id"])
    told = json.loads(gateway("merge", newest, "--json").stdout)
    assert (told["kind"], told["state"], told["later"]) == ("merge", "done", newest)
    assert sizes(db) == [8]
    into = told["earlier"]
    assert f"Session {newest} was merged, and is in session {into} now.\n" in gateway("merge", newest).stderr
    assert f": merged, its messages are in {into}\n" in gateway("show", newest).stdout
    assert "one of its own again" in gateway("merge", newest, "--undo").stdout
    assert sizes(db) == [4, 4]


def test_what_cannot_be_done_is_said_in_a_line(gateway, db):
    newest = str(db.sessions.find_one({"status": "active"})["_id"])
    for arguments, why in [
        (("split", newest, sid(2)), "nothing to split off"),
        (("split", newest, "nope"), "There is no message nope."),
        (("split", "nonsense", sid(2)), "no session of that id"),
        (("merge", "nonsense", "--undo"), "no merge of nonsense"),
        (("split", newest), "Say at which MESSAGE"),
    ]:
        done = gateway(*arguments)
        assert done.returncode in (1, 2)
        assert why in done.stderr
        assert "Traceback" not in done.stderr
    assert sizes(db) == [4, 4]


def test_sessions_are_listed_and_filtered(gateway, db):
    newest, oldest = (str(row["_id"]) for row in db.sessions.find().sort("_id", -1))
    told = json.loads(gateway("list", "--json").stdout)
    assert [one["id"] for one in told["items"]] == [newest, oldest]
    assert told["next_cursor"] is None
    told = json.loads(gateway("list", "--json", "--oldest-first", "--limit", "1").stdout)
    assert [one["id"] for one in told["items"]] == [oldest]
    following = gateway("list", "--json", "--oldest-first", "--cursor", told["next_cursor"])
    assert [one["id"] for one in json.loads(following.stdout)["items"]] == [newest]
    shown = gateway("list", "--status", "active").stdout
    assert newest in shown
    assert oldest not in shown
    assert "There are none." in gateway("list", "--type", "voice").stdout
    nowhere = gateway("list", "--channel", "sms:nowhere")
    assert nowhere.returncode == 1
    assert "There is no channel sms:nowhere. `gateway channels list` shows them." in nowhere.stderr
    for arguments, why in [
        (("--number", "ada"), "no number"),
        (("--cursor", "x"), "no page"),
        (("--since", "x"), "span"),
    ]:
        done = gateway("list", *arguments)
        assert done.returncode == 2
        assert f"Invalid value for {arguments[0]}: " in done.stderr
        assert why in done.stderr


def test_where_looking_took_too_long_the_list_says_how_to_go_on(monkeypatch):
    monkeypatch.setattr(looking.serving, "build", lambda: None)
    monkeypatch.setattr(looking, "_wanted", lambda *_: Wanted())
    monkeypatch.setattr(looking.listing, "page", lambda *_, **__: Page([], "17-abc"))
    told = CliRunner().invoke(looking.list_sessions).output
    assert told == "There are none so far, of very many to look at. Look further: --cursor 17-abc\n"


def test_sessions_are_listed_of_all_who_were_merged(gateway, db, twilio):
    twilio.sms("from another number", From="+15550009999", MessageSid=sid(9))
    one, other = (row["_id"] for row in db.contacts.find())
    groups.link(str(other), str(one))
    for contact in (one, other):
        assert len(json.loads(gateway("list", "--contact", str(contact), "--json").stdout)["items"]) == 3


def test_a_session_is_shown_with_its_decisions_in_words(gateway, db):
    newest = str(db.sessions.find_one({"status": "active"})["_id"])
    shown = gateway("show", newest).stdout
    assert "-> rolled over: 29 min 0 s after the last message, threshold 5 min" in shown
    assert "-> reused: 1 min 0 s after the last message, threshold 5 min" in shown
    told = json.loads(gateway("show", newest, "--json").stdout)
    assert told["session"]["id"] == newest
    assert told["messages"][0]["explanation"].startswith("rolled over")
    done = gateway("show", "nonsense")
    assert (done.returncode, "no session nonsense" in done.stderr) == (1, True)


def test_a_session_is_closed(gateway, db):
    newest = str(db.sessions.find_one({"status": "active"})["_id"])
    assert json.loads(gateway("close", newest, "--json").stdout) == {"id": newest, "closed": True}
    assert db.sessions.find_one({"status": "active"}) is None
    assert "closed for good already" in gateway("close", newest).stdout
    assert "no session nonsense" in gateway("close", "nonsense").stderr


def test_a_list_holds_whole_numbers_and_times_in_80_columns(gateway, db):
    db.sessions.update_many({}, {"$set": {"status": "archived", "communication_type": "whatsapp"}})
    (shown,) = (line for line in gateway("list", "--limit", "1").stdout.splitlines() if "archived" in line)
    assert shown.split()[3:] == ["2026-03-01", "10:31", "4", "+15558675310"]


def test_sessions_are_listed_by_what_is_left_to_do(gateway, db):
    marks = {"has_failed": True, "needs_person": {"reason": "asked"}, "assigned_to": "bea"}
    marked = str(db.sessions.find_one_and_update({"status": "active"}, {"$set": marks})["_id"])
    for option in (["--failed"], ["--needs-person"], ["--assigned", "bea"]):
        assert [one["id"] for one in json.loads(gateway("list", *option, "--json").stdout)["items"]] == [marked]
    others = json.loads(gateway("list", "--assigned", "nobody", "--json").stdout)["items"]
    assert others
    assert marked not in [one["id"] for one in others]
