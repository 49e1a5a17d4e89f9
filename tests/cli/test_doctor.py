"""`gateway doctor` as somebody runs it: what it prints, what it mends, and that it ends whatever is down."""

import json

import pytest

from tests.cli.test_commands import run
from tests.stand_ins.twilio_account import ACCOUNT, TOKEN, TwilioAccountStandIn

HOST, OURS = "https://gateway.invalid.example.com", "+15017122661"
NOWHERE = "mongodb://127.0.0.1:9/gateway"


@pytest.fixture
def stand_in():
    with TwilioAccountStandIn() as server:
        yield server


@pytest.fixture
def environ(stand_in, app, make_settings, tmp_path):
    """A gateway with its database and its account; nobody answers at its public address."""
    return {
        "MONGODB_URI": make_settings().mongodb_uri,
        "PUBLIC_URL": HOST,
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "GATEWAY_TWILIO__API_BASE_URL": stand_in.url,
        "GATEWAY_DATA_DIR": str(tmp_path / "data"),
    }


def by_check(done):
    found = {}
    for one in json.loads(done.stdout)["findings"]:
        found.setdefault(one["check"], []).append(one)
    return found


def test_everything_that_is_down_is_said_once_with_a_remedy_and_within_a_terminal(tmp_path):
    done = run(
        "doctor", GATEWAY_DATA_DIR=str(tmp_path), GATEWAY_ENV="production", MONGODB_URI=NOWHERE, PUBLIC_URL=HOST,
        GATEWAY_BROKER__URL="redis://:geheim@127.0.0.1:9/0", TWILIO_ACCOUNT_SID=ACCOUNT, COLUMNS="80",
        TWILIO_AUTH_TOKEN="do-not-show", GATEWAY_TWILIO__API_BASE_URL="http://127.0.0.1:9",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.count("MongoDB does not answer") == done.stdout.count("Twilio could not be reached") == 1
    assert done.stdout.count("not checked, MongoDB is away.") == 3
    assert "MongoDB" in done.stdout.splitlines()
    assert "numbers, known numbers" in done.stdout
    assert "SECRET_KEY is not set." in done.stdout
    lines = [line for line in done.stdout.splitlines() if str(tmp_path) not in line]
    assert [line for line in lines if len(line) > 80 or line != line.rstrip()] == []
    assert not any(secret in done.stdout for secret in ("do-not-show", "geheim", "Traceback"))
    assert done.stdout.splitlines()[-1].endswith(" things are wrong, 2 warnings.")


def test_a_setting_that_cannot_be_read_is_the_one_thing_that_is_wrong(tmp_path):
    done = run("doctor", GATEWAY_DATA_DIR=str(tmp_path), GATEWAY_SESSIONS__IDLE_SECONDS="-4")
    assert done.returncode == 1
    assert "GATEWAY_SESSIONS__IDLE_SECONDS = '-4': must be 0 or more" in done.stdout
    assert "mongodb, indexes, migrations: not checked, the settings cannot be" in done.stdout
    assert done.stdout.splitlines()[-1] == "One thing is wrong, no warnings."


def test_warnings_change_nothing_about_the_exit_code_and_json_is_all_that_is_printed(environ, stand_in):
    done = run("doctor", "--json", **environ | {"PUBLIC_URL": ""})
    told = by_check(done)
    assert done.stderr == ""
    assert json.loads(done.stdout)["ok"] == (done.returncode == 0)
    assert [one["state"] for one in told["mongodb"]] == ["ok"]
    assert told["indexes"][0]["state"] == "ok"
    assert told["processes"][0]["remedies"]
    assert told["numbers"][0]["state"] == "ok"


def test_fix_shows_asks_and_mends_and_says_how_it_is_then(environ, stand_in, db):
    declined = run("doctor", "--fix", given="n\n", **environ)
    assert "Migrate the documents, as `gateway migrate` does:\n  migration 1 mark" in declined.stdout
    assert "Left as it is." in declined.stdout
    assert "mends nothing more" not in declined.stdout
    assert db.migrations.count_documents({}) == 0
    agreed = run("doctor", "--fix", given="y\n", **environ)
    assert "Do it? [y/N]: Done: " in agreed.stdout
    assert "All migrations are done." in agreed.stdout.partition("Looking again.")[2]
    assert agreed.stdout.endswith("mends nothing more of it: the remedies above are for you.\n")
    db.channels.drop_index("one_channel")
    done = run("doctor", "--fix", "--yes", "--json", **environ)
    told = json.loads(done.stdout)
    assert [one["done"] for one in told["fixed"]] == [True]
    assert by_check(done)["indexes"][0]["state"] == "ok"
    assert "one_channel" in db.channels.index_information()


def test_nothing_is_changed_without_fix_and_no_number_is_pointed_where_nobody_answers(environ, stand_in, db, tmp_path):
    stand_in.own(OURS, sms_url=f"{HOST}/webhooks/sms")
    before = {name: list(db[name].find()) for name in db.list_collection_names() if name != "jobs"}
    for asked in ([], ["--fix"]):
        done = run("doctor", *asked, given="n\nn\n", **environ)
        assert f"-> gateway channels point sms:{OURS}\n" in done.stdout
        assert done.stdout.count("[--fix does it]") == 1
        assert done.stdout.count("Do it?") == len(asked)
        assert stand_in.updates == []
        assert {name: list(db[name].find()) for name in before} == before
        assert not (tmp_path / "data" / "spool").exists()


@pytest.mark.parametrize(("asked", "words"), [(["--yes"], "--yes is for --fix"), (["--fix", "--json"], "add --yes")])
def test_what_cannot_be_asked_is_refused(asked, words, tmp_path):
    done = run("doctor", *asked, GATEWAY_DATA_DIR=str(tmp_path))
    assert (done.returncode, words in done.stderr) == (2, True)
