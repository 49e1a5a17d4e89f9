"""`gateway spool` as somebody on call uses it."""

import json

import pytest
from click.testing import CliRunner

from gateway.cli.commands import cli
from gateway.store import connection
from gateway.store.spool import Spool
from tests.conftest import ACCOUNT, HOST, TOKEN
from tests.store.test_spool import message


@pytest.fixture
def run(mongo, tmp_path, monkeypatch):
    """Run a command over a database of its own; `run.spool` is the spool it looks at."""
    for name, value in {
        "GATEWAY_ENV": "test",
        "GATEWAY_DATA_DIR": str(tmp_path),
        "MONGODB_URI": mongo.uri.replace("/gateway?", "/test_spool?"),
        "PUBLIC_URL": HOST,
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "SECRET_KEY": "test-secret-key",
    }.items():
        monkeypatch.setenv(name, value)

    def run(*arguments):
        return CliRunner().invoke(cli, ["spool", *arguments])

    run.spool = Spool(tmp_path / "spool", max_bytes=10_000_000)
    yield run
    run.spool.close()
    connection.disconnect()


def test_an_empty_spool_says_so(run):
    assert "0 waiting" in run("status").output
    assert run("status").exit_code == 0
    assert run("list").output == "Nothing is in the spool.\n"
    assert json.loads(run("status", "--json").output)["waiting"] == 0


def test_it_lists_what_waits_without_a_word_of_what_people_wrote(run):
    run.spool.put(message(1, content="my secret"), webhook="a")
    run.spool.put(message(2, content="my secret"), webhook="a", error="too large")
    for output in (run("list").output, run("list", "--json").output):
        assert "SM1" in output
        assert "SM2" in output
        assert "too large" in output
        assert "secret" not in output
        assert "555" not in output
    assert "SM1" not in run("list", "--set-aside").output
    status = run("status")
    assert status.exit_code == 1
    assert "1 set aside: `gateway spool list` says why" in status.output


def test_it_drains_and_retries(run):
    run.spool.put(message(1), webhook="a")
    run.spool.put(message(2), webhook="a", error="too large")
    assert run("drain").output.splitlines()[-1] == "1 applied, 0 set aside."
    assert run("retry").output == "1 will be tried again.\n"
    assert json.loads(run("drain", "--json").output.splitlines()[-1]) == {"applied": 1, "set_aside": 0}
    assert run.spool.depth().set_aside == 0


def test_it_leaves_a_running_drainer_alone(run):
    with run.spool.draining():
        done = run("drain")
    assert done.exit_code == 1
    assert "draining the spool already" in done.output
