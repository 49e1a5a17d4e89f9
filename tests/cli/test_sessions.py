"""`gateway sessions`: split and merge from the command line, and back."""

import json

import pytest

from tests.cli.test_commands import run
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


def test_a_session_is_merged_and_one_of_its_own_again(gateway, db):
    newest = str(db.sessions.find_one({"status": "active"})["_id"])
    told = json.loads(gateway("merge", newest, "--json").stdout)
    assert (told["kind"], told["state"], told["later"]) == ("merge", "done", newest)
    assert sizes(db) == [8]
    assert "one of its own again" in gateway("merge", newest, "--undo").stdout
    assert sizes(db) == [4, 4]


def test_what_cannot_be_done_is_said_in_a_line(gateway, db):
    newest = str(db.sessions.find_one({"status": "active"})["_id"])
    for arguments, why in [
        (("split", newest, sid(2)), "nothing to split off"),
        (("split", "nonsense", sid(2)), "no session of that id"),
        (("merge", "nonsense", "--undo"), "no merge of nonsense"),
        (("split", newest), "Say at which MESSAGE"),
    ]:
        done = gateway(*arguments)
        assert done.returncode in (1, 2)
        assert why in done.stderr
        assert "Traceback" not in done.stderr
    assert sizes(db) == [4, 4]
