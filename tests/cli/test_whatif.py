"""`gateway whatif` as a person at a terminal runs it."""

import json
from datetime import timedelta

import pytest

from gateway.conversation.runtime import build
from tests.cli.test_commands import run
from tests.conftest import TEN
from tests.conversation.test_whatif import send


@pytest.fixture
def serving(make_app, make_settings, clock):
    make_app()
    return build(make_settings(reply={"responder": "none"}), clock=clock)


@pytest.fixture
def gateway(serving, tmp_path):
    environ = {"MONGODB_URI": serving.settings.mongodb_uri, "GATEWAY_DATA_DIR": str(tmp_path)}
    return lambda *arguments: run("whatif", *arguments, **environ)


@pytest.fixture
def filled(gateway, serving, clock):
    for number, minute in enumerate((0, 4, 14)):
        send(serving, clock, f"SM{number}", at=TEN + timedelta(minutes=minute))
    send(serving, clock, "SM9", kind="whatsapp")
    return gateway


def test_the_numbers_at_each_threshold_are_told_in_json(filled):
    done = filled("--threshold", "900,60,300,never", "--type", "sms", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["messages"], told["gaps"], told["sessions_stored"], told["late"]) == (3, 2, 2, 0)
    cuts = [(one["threshold_seconds"], one["sessions"], one["merging"], one["splitting"]) for one in told["thresholds"]]
    assert cuts == [(60, 3, 0, 1), (300, 2, 0, 0), (900, 1, 1, 0), (None, 1, 1, 0)]
    assert told["suggestion"]["threshold_seconds"] is None
    (channel,) = told["channels"]
    assert (channel["number"], channel["threshold_seconds"]) == ("+15017122661", 300.0)


def test_people_get_tables_and_a_reason(filled):
    done = filled("--number", "+15017122661")
    assert done.returncode == 0, done.stderr
    assert "4 messages in 3 sessions" in done.stdout
    assert "SMS +15017122661, now 5 min" in done.stdout
    assert "Not enough data: 2 pauses" in done.stdout


def test_one_message_is_told_of_in_the_singular(gateway, serving, clock):
    send(serving, clock, "SM0", at=TEN + timedelta(minutes=4))
    assert "1 message in 1 session, " in gateway().stdout
    send(serving, clock, "SM1", at=TEN)
    assert "1 message came late;" in gateway().stdout


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--threshold", "soon"), "'soon' is no threshold. Write seconds"),
        (("--threshold", "301"), "The next is 305."),
        (("--number", "+15005550006"), "is no number of yours. Yours are: +15017122661."),
        (("--since", "lately"), "is neither a span"),
        (("--type", "fax"), "'fax' is not one of"),
    ],
)
def test_what_cannot_be_answered_is_said_with_the_remedy(filled, arguments, reason):
    done = filled(*arguments)
    assert done.returncode == 2
    assert reason in " ".join(done.stderr.split())


def test_without_a_history_it_says_what_to_try(gateway):
    done = gateway()
    assert (done.returncode, "gateway simulate sms" in done.stdout) == (0, True)


def test_counting_again_gives_the_same(filled):
    before = json.loads(filled("--json").stdout)
    after = json.loads(filled("--rebuild", "--json").stdout)
    assert before | {"as_of": ""} == after | {"as_of": ""}
