"""`gateway backfill` as somebody runs it: what it prints, where, and what it says when something is wrong."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from gateway.store.spool import Spool
from tests.cli.test_commands import run
from tests.conftest import ACCOUNT, TOKEN
from tests.stand_ins.twilio import Fault, TwilioStandIn
from tests.store.test_spool import message

PERSON, OURS = "+15558675310", "+15017122661"


@pytest.fixture
def stand_in():
    with TwilioStandIn() as server:
        yield server


@pytest.fixture
def environ(stand_in, db, make_settings, tmp_path):
    return {
        "MONGODB_URI": make_settings().mongodb_uri,
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "GATEWAY_TWILIO__API_BASE_URL": stand_in.url,
        "GATEWAY_DATA_DIR": str(tmp_path),
    }


def put(stand_in, *, minutes_ago, **fields):
    when = format_datetime(datetime.now(UTC) - timedelta(minutes=minutes_ago))
    told = {"date_created": when, "date_sent": when, "direction": "inbound", "status": "received"}
    return stand_in.accept(ACCOUNT, {"From": PERSON, "To": OURS, "Body": "Hello"}, **(told | fields))["sid"]


def test_json_is_all_that_is_printed(stand_in, environ, db):
    sid = put(stand_in, minutes_ago=30)
    done = run("backfill", "--since", "2h", "--json", **environ)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["numbers"] == [told["total"] | {"number": OURS}]
    assert (told["total"]["inserted_inbound"], told["total"]["drift"]) == (1, 1)
    assert db.messages.find_one()["_id"] == sid
    assert done.stderr == ""


def test_the_table_names_each_number_and_a_dry_run_changes_nothing(stand_in, environ, db):
    put(stand_in, minutes_ago=30)
    put(stand_in, minutes_ago=20, to=f"whatsapp:{OURS}", **{"from": f"whatsapp:{PERSON}"})
    done = run("backfill", "--since", "2h", "--dry-run", **environ, COLUMNS="80")
    assert done.returncode == 0, done.stderr
    assert f" {OURS} " in done.stdout
    assert f" whatsapp:{OURS} " in done.stdout
    assert "2 would be put in" in done.stdout
    assert db.messages.count_documents({}) == db.channels.count_documents({}) == 0
    assert "2 put in" in run("backfill", "--since", "2h", **environ).stdout
    assert "Nothing is missing: all 2 are here." in run("backfill", "--since", "2h", **environ).stdout


def test_a_number_and_an_end_narrow_it(stand_in, environ):
    put(stand_in, minutes_ago=90)
    put(stand_in, minutes_ago=30)
    put(stand_in, minutes_ago=90, to="+15017122699")
    done = run("backfill", "--since", "2h", "--until", "1h", "--number", OURS, "--json", **environ)
    assert json.loads(done.stdout)["total"]["inserted_inbound"] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--since", "soon"], "Error: Invalid value for --since: 'soon' is neither a span such as 30m, 2h or 3d"),
        (["--since", "900d"], "Error: That is more than 400 days at once"),
        (["--since", "1m"], "Error: There is nothing between"),
        ([], "Missing option '--since'"),
    ],
)
def test_a_span_that_will_not_do_is_said_with_what_would(stand_in, environ, arguments, said):
    done = run("backfill", *arguments, **environ)
    assert done.returncode != 0
    assert said in done.stderr
    assert stand_in.requests == []


def test_a_wrong_token_is_one_line_with_the_remedy(stand_in, environ):
    done = run("backfill", "--since", "2h", **(environ | {"TWILIO_AUTH_TOKEN": "guess"}))
    (line,) = done.stderr.strip().splitlines()
    assert "(401). Set TWILIO_AUTH_TOKEN" in line
    stand_in.faults.append(Fault(429, 20429, retry_after="900", on="list"))
    done = run("backfill", "--since", "2h", **environ)
    assert "(429). Run it again in 900 s" in done.stderr


def test_without_an_account_it_says_which_variable(environ):
    done = run("backfill", "--since", "2h", **(environ | {"TWILIO_ACCOUNT_SID": ""}))
    assert "set TWILIO_ACCOUNT_SID" in done.stderr


def test_what_waits_in_the_spool_comes_first(stand_in, environ, db, tmp_path):
    put(stand_in, minutes_ago=30)
    spool = Spool(tmp_path / "spool", max_bytes=1_000_000)
    spool.put(message(1), webhook="a")
    spool.close()
    done = run("backfill", "--since", "2h", **environ)
    assert done.returncode != 0
    assert "1 events wait in this host's spool" in done.stderr
    assert db.messages.count_documents({}) == 0
