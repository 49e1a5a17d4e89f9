"""`gateway keys`: made, listed and ended from the command line."""

import json

import pytest
from click.testing import CliRunner

from gateway.cli.commands import cli
from gateway.store import api_keys
from tests.conftest import TEN


@pytest.fixture
def run(app, monkeypatch, tmp_path):
    settings = app.extensions["gateway"].settings
    monkeypatch.setenv("MONGODB_URI", settings.mongodb_uri)
    monkeypatch.setenv("GATEWAY_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("GATEWAY_ENV", "test")
    return lambda *arguments: CliRunner().invoke(cli, ["keys", *arguments])


def test_a_key_is_made_shown_once_listed_and_ended(run):
    made = json.loads(run("add", "crm", "--scope", "read", "--scope", "write", "--days", "30", "--json").stdout)
    assert api_keys.authenticate(made["key"], TEN)
    (listed,) = json.loads(run("list", "--json").stdout)
    assert "key" not in listed
    assert (listed["name"], listed["scopes"], listed["state"]) == ("crm", ["read", "write"], "active")
    assert json.loads(run("revoke", made["prefix"], "--json").stdout) == {"revoked": made["prefix"]}
    assert api_keys.authenticate(made["key"], TEN) is None
    again = run("revoke", made["prefix"])
    assert again.exit_code == 1
    assert "There is no active key" in again.output
    assert "a name is not enough" in run("revoke", "crm").output


def test_only_the_key_is_on_standard_output(run):
    done = run("add", "bot")
    assert api_keys.authenticate(done.stdout.strip(), TEN).access.role == "viewer"
    assert "only time" in done.stderr


def test_a_channel_that_is_not_there_is_said(run):
    done = run("add", "bot", "--channel", "sms:nowhere")
    assert done.exit_code == 1
    assert "There is no channel sms:nowhere" in done.output
