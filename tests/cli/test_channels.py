"""`gateway channels` as somebody runs it: what it shows, asks, changes at Twilio and puts back, and what it refuses."""

import json

import pytest
from click.testing import CliRunner

from gateway import logs
from gateway.cli.commands import cli
from tests.conftest import ACCOUNT, HOST, TOKEN
from tests.stand_ins.twilio_account import Fault, TwilioAccountStandIn

OURS, OTHER, SENDER = "+15017122661", "+15557650001", "whatsapp:+15017122661"
OLD = {"sms_url": "https://ada:hunter2222@old.example/sms", "voice_url": "https://old.example/voice"}


@pytest.fixture(scope="module")
def served():
    with TwilioAccountStandIn() as server:
        yield server


@pytest.fixture
def stand_in(served):
    for kept in (served.numbers, served.whatsapp, served.services, served.faults, served.updates, served.requests):
        kept.clear()
    return served


@pytest.fixture
def channels(app, stand_in, tmp_path, monkeypatch):
    """Run a command of `gateway channels`, in an environment of which some may be changed."""
    monkeypatch.setattr(logs, "configure_for_commands", lambda **_: None)
    environ = {
        "GATEWAY_ENV": "test",
        "MONGODB_URI": app.extensions["gateway"].settings.mongodb_uri,
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "GATEWAY_TWILIO__API_BASE_URL": stand_in.url,
        "GATEWAY_DATA_DIR": str(tmp_path),
        "PUBLIC_URL": HOST,
        "COLUMNS": "80",
    }

    def channels(*arguments, given="", **changes):
        return CliRunner(env=environ | changes).invoke(cli, ["channels", *arguments], input=given)

    return channels


def told(done):
    assert done.exit_code == 0, done.stderr
    assert "hunter2222" not in done.stdout
    return json.loads(done.stdout)


def test_a_number_from_the_account_to_the_gateway_and_back(stand_in, channels, db):
    row, sender = stand_in.own(OURS, **OLD, friendly_name="Main [line]"), stand_in.sender(SENDER)
    before = (dict(row), dict(sender))
    listed = {one["id"]: one for one in told(channels("list", "--json"))}
    assert set(listed) == {f"sms:{OURS}", f"voice:{OURS}", f"whatsapp:{OURS}"}
    assert (listed[f"sms:{OURS}"]["goes_to"], listed[f"sms:{OURS}"]["points_here"]) == ("old.example", False)

    unanswered = channels("point", OURS, SENDER)
    assert unanswered.exit_code == 1
    assert unanswered.stderr.splitlines()[-1] == "Error: Nobody answered: nothing was changed. Scripts say --yes."
    asked = channels("point", OURS, SENDER, given="n\n")
    assert asked.exit_code == 1
    assert f"{OURS} (Main [line])\n  sms_url\n    - https://(hidden)@old.example/sms\n    + {HOST}" in asked.stdout
    assert "Change 2 numbers? [y/N]" in asked.stderr
    assert stand_in.updates == []
    assert db.pointings.count_documents({}) == 0

    done = channels("point", OURS, SENDER, given="y\n")
    assert done.exit_code == 0, done.stderr
    assert f"{OURS} points here now." in done.stdout
    assert row["sms_url"] == f"{HOST}/webhooks/sms#rc=2&rp=ct,5xx"
    assert sender["webhook"]["callback_url"] == f"{HOST}/webhooks/whatsapp#rc=2&rp=ct,5xx"
    assert all(one["points_here"] for one in told(channels("list", "--json")))
    assert "points here already." in channels("point", "--all").stdout

    assert "hunter" not in channels("restore", "--dry-run").stdout
    back = told(channels("restore", "--yes", "--json"))
    assert [one["address"] for one in back["restored"]] == [OURS, SENDER]
    assert row == before[0]
    assert sender["webhook"]["callback_url"] == ""
    assert "nothing to put back" in channels("restore").stdout
    assert "hunter2222" not in str(list(db.audit.find()))


def test_channels_are_added_and_set_by_the_rules_of_the_console(stand_in, channels, db):
    stand_in.own(OURS, capabilities={"sms": True, "voice": False})
    assert told(channels("add", OURS, "--json")) == [{"id": f"sms:{OURS}", "added": True}]
    assert "was there already" in channels("add", f"sms:{OURS}").stdout
    assert "takes sms, not voice" in channels("add", f"voice:{OURS}").stderr
    done = told(channels("set", f"sms:{OURS}", "--threshold", "900", "--responder", "echo", "--name", "Main", "--json"))
    assert done == [{"id": f"sms:{OURS}", "changed": ["idle_seconds", "name", "responder"]}]
    stored = db.channels.find_one()
    assert (stored["idle_seconds"], stored["responder"], stored["account_sid"]) == (900, "echo", ACCOUNT)
    (row,) = told(channels("list", "--json"))
    assert (row["threshold_seconds"], row["own_threshold"], row["name"]) == (900, True, "Main")
    shown = channels("list").stdout
    assert "15 min 0 s *" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert "nothing was changed" in channels("set", OURS, "--threshold", "900").stdout
    channels("set", OURS, "--threshold", "inherit", "--responder", "inherit")
    assert {"idle_seconds", "responder"} & set(db.channels.find_one()) == set()
    actions = [one["action"] for one in db.audit.find()]
    assert actions == ["channel_added", "channel_changed", "channel_changed"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["set", "sms:12345", "--threshold", "-1"], "threshold must be 0 or more seconds"),
        (["set", "sms:12345", "--responder", "parrot"], "no responder 'parrot'. Choose one of none"),
        (["set", "sms:12345", "--setting", "mode=dial"], "This channel has no mode. It has segments_per_second"),
        (["set", "sms:12345", "--setting", "mode"], "write NAME=VALUE"),
        (["set", "sms:12345"], "Say what to set"),
        (["set", "+15550000000", "--threshold", "9"], "There is no channel +15550000000. `gateway channels list`"),
        (["set", "sms:", "--threshold", "9"], "names no number"),
        (["add", "+15550000000"], "is none of the 0 numbers of AC"),
        (["point", "+15550000000"], "is none of the 0 numbers and WhatsApp senders of AC"),
        (["point"], "Say which CHANNEL to point, or --all"),
        (["point", "--all", "--json"], "--json asks nothing"),
        (["point", "--all", "--url", "gateway.example.com"], "write it as https://gateway.example.com"),
        (["restore", "+15550000000"], "Nothing is to be put back of +15550000000"),
        (["restore", "--force", "--forget"], "--force or --forget, not both"),
    ],
)
def test_what_cannot_be_is_said_in_one_line_with_what_can(channels, db, arguments, said):
    db.channels.insert_one({"_id": "sms:12345", "phone_number": "12345", "communication_type": "sms"})
    done = channels(*arguments)
    assert said.lower() in (done.stderr + done.stdout).lower()
    assert done.exit_code in (1, 2)
    assert isinstance(done.exception, SystemExit)
    assert db.audit.count_documents({}) == 0


def test_a_short_code_is_added_without_asking(stand_in, channels, db):
    assert told(channels("add", "sms:12345", "--unchecked", "--json")) == [{"id": "sms:12345", "added": True}]
    assert told(channels("add", "12345", "--unchecked", "--json")) == [{"id": "sms:12345", "added": False}]
    called = channels("add", "voice:12345", "--unchecked")
    assert (called.exit_code, "12345 is a short code, which takes no calls. Add sms:12345." in called.stderr) == (
        2,
        True,
    )
    assert stand_in.requests == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"TWILIO_AUTH_TOKEN": "guess"}, "does not know the token of AC"),
        ({"GATEWAY_TWILIO__API_BASE_URL": "http://127.0.0.1:9"}, "could not be reached (ConnectionError)"),
    ],
)
def test_without_twilio_what_is_ours_is_listed_and_nothing_is_changed(stand_in, channels, db, changes, said):
    stand_in.own(OURS)
    channels("add", f"sms:{OURS}")
    done = channels("list", **changes)
    assert done.exit_code == 1
    assert f"sms:{OURS}" in done.stdout
    assert said in done.stderr
    for command in (["point", OURS, "--yes"], ["add", OURS]):
        done = channels(*command, **changes)
        assert done.exit_code == 1
        (line,) = done.stderr.strip().splitlines()
        assert said in line
    assert db.pointings.count_documents({}) == 0


def test_without_an_account_ours_are_listed_and_pointing_names_the_variable(channels):
    nobody = {"TWILIO_ACCOUNT_SID": "", "TWILIO_AUTH_TOKEN": ""}
    done = channels("list", **nobody)
    assert done.exit_code == 0
    assert "There are no channels yet" in done.stdout
    assert "TWILIO_ACCOUNT_SID is not set" in done.stderr
    assert "set TWILIO_ACCOUNT_SID" in channels("point", "--all", **nobody).stderr


@pytest.mark.parametrize("url", ["", "http://localhost:8080"])
def test_an_address_that_twilio_cannot_call_is_refused_with_the_remedy(stand_in, channels, url):
    stand_in.own(OURS)
    done = channels("point", OURS, "--yes", PUBLIC_URL=url)
    assert done.exit_code == 1
    assert "so Twilio could not call it. Set PUBLIC_URL to this gateway's https address" in done.stderr
    assert stand_in.requests == []


def test_what_stands_in_the_way_of_the_addresses_is_said(stand_in, channels):
    stand_in.own(OURS, trunk_sid="TK1", sms_application_sid="AP1")
    stand_in.service(OURS, inbound_request_url="https://studio.example/", friendly_name="Reminders")
    stand_in.sender(SENDER, status="OFFLINE")
    shown = channels("point", "--all", "--dry-run").stdout
    assert "  trunk_sid\n    - TK1\n    + (nothing)\n      Calls to this number go to this trunk" in shown
    assert "  sms_application_sid\n    - AP1\n" in shown
    assert f"Mind: {OURS} is in the Messaging Service Reminders" in shown
    assert f"Mind: {SENDER} is OFFLINE at Twilio" in shown
    assert "Nothing was changed." in shown
    assert stand_in.updates == []
    listed = {one["id"]: one["goes_to"] for one in told(channels("list", "--json"))}
    assert listed == {f"sms:{OURS}": "an application", f"voice:{OURS}": "a trunk", f"whatsapp:{OURS}": "see below"}
    assert channels("list").stdout.count("Reminders") == 1


def test_what_changes_while_somebody_thinks_about_it_is_not_overwritten(stand_in, channels, monkeypatch):
    row = stand_in.own(OURS, **OLD)
    new = {"sms_url": "https://new.example/sms"}
    monkeypatch.setattr("click.confirm", lambda *_, **__: row.update(new))
    done = channels("point", OURS)
    assert done.exit_code == 1
    assert f"Somebody changed {OURS} meanwhile. Look at it once more." in done.stderr
    assert row["sms_url"] == new["sms_url"]


def test_a_channel_of_an_adopted_collection_is_known_whatever_its_id_and_prefix(stand_in, channels, db):
    stand_in.sender(SENDER)
    adopted = db.channels.insert_one({"phone_number": SENDER, "communication_type": "whatsapp"}).inserted_id
    assert told(channels("add", SENDER, "--unchecked", "--json")) == [{"id": str(adopted), "added": False}]
    assert told(channels("set", SENDER, "--threshold", "60", "--json"))[0]["id"] == str(adopted)
    assert db.channels.find_one()["idle_seconds"] == 60
    assert [one["id"] for one in told(channels("list", "--json"))] == [str(adopted)]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (
            "fax:+15017122669",
            "'fax:+15017122669' is of no type there is. Write sms, voice, whatsapp before the number.",
        ),
        ("sms:nobody", "'nobody' is no number. Write one as +15017122661, or a short code as sms:12345."),
        ("+1501", "'+1501' is no number."),
        ("whatsapp:nobody", "'whatsapp:nobody' is no number."),
    ],
)
def test_a_channel_that_twilio_was_not_asked_about_is_no_typo(channels, db, written, said):
    done = channels("add", written, "--unchecked")
    assert (done.exit_code, db.channels.count_documents({})) == (2, 0)
    assert said in done.stderr


@pytest.mark.parametrize("wrong", [("--responder", "cannned"), ("--threshold", "abc"), ("--setting", "mode=dail")])
def test_a_value_that_a_channel_cannot_have_is_one_of_its_option(channels, wrong):
    channels("add", f"voice:{OURS}", "--unchecked")
    done = channels("set", f"voice:{OURS}", *wrong)
    assert done.exit_code == 2
    assert f"Invalid value for {wrong[0]}: " in done.stderr


def test_one_that_fails_stands_in_the_way_of_no_other(stand_in, channels):
    rows = [stand_in.own(OURS), stand_in.own(OTHER)]
    stand_in.faults.append(Fault(400, 21502, "SmsUrl is not a valid URL", on="update"))
    done = channels("point", OURS, OTHER, "--yes")
    assert done.exit_code == 1
    assert f"{OURS}: Twilio refused this with code 21502" in done.stderr
    assert [bool(row["sms_url"]) for row in rows] == [False, True]
    done = channels("point", OURS, OTHER, "--yes", "--json")
    assert [one["address"] for one in told(done)["pointed"]] == [OURS]
    assert [bool(row["sms_url"]) for row in rows] == [True, True]


def test_what_somebody_else_changed_is_left_with_an_exit_code(stand_in, channels):
    row = stand_in.own(OURS, **OLD)
    channels("point", OURS, "--yes")
    row["sms_url"] = "https://new.example/sms"
    done = channels("restore", "--yes")
    assert done.exit_code == 1
    assert f"{OURS} is not quite as it was: somebody else has changed sms_url since." in done.stdout
    assert (row["sms_url"], row["voice_url"]) == ("https://new.example/sms", OLD["voice_url"])
    done = channels("restore", OURS, "--yes", "--force")
    assert (done.exit_code, row["sms_url"]) == (0, OLD["sms_url"])


def test_nothing_is_asked_that_is_not_needed_and_what_may_not_be_asked_stands_in_nobodys_way(stand_in, channels):
    stand_in.own(OURS)
    channels("point", OURS, "--yes")
    asked = [one.path.partition("?")[0].rpartition("/")[2][:2] for one in stand_in.requests]
    assert asked == ["In", "Se", "PN", "PN"]
    stand_in.faults += [Fault(403, 20003, "No", on="senders"), Fault(403, 20003, "No", on="services")]
    done = channels("list")
    assert done.exit_code == 0
    assert "this gateway" in done.stdout
    assert "WhatsApp senders are left out: " in done.stderr
