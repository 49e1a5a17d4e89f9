"""`gateway simulate` and `resend` at a gateway that serves on a thread, run in this process."""

import json
import re
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from gateway.cli.commands import cli


@pytest.fixture
def served(serve, monkeypatch, tmp_path):
    """Give `served(**settings)`: serve such a gateway and let `gateway` find it as the one of this folder."""

    def start(**given):
        app, url = serve(**given)
        settings = app.extensions["gateway"].settings
        for name, value in {
            "MONGODB_URI": settings.mongodb_uri,
            "GATEWAY_DATA_DIR": str(tmp_path),
            "GATEWAY_ENV": "development",
            "SECRET_KEY": settings.secret_key.get_secret_value(),
            "TWILIO_AUTH_TOKEN": settings.twilio_auth_token[0].get_secret_value(),
            "TWILIO_ACCOUNT_SID": settings.twilio_account_sid,
            "PORT": str(urlsplit(url).port),
        }.items():
            monkeypatch.setenv(name, value)
        return app

    return start


# The gateway logs to the same screen here.
_LOGGED = re.compile(r"^\d{4}-\d\d-\d\dT.*\n", re.MULTILINE)


@pytest.fixture
def gateway():
    """Run a command and give its output; another exit code than `code` fails the test."""

    def run(*arguments, code=0):
        done = CliRunner().invoke(cli, list(map(str, arguments)))
        assert done.exit_code == code, done.output
        return _LOGGED.sub("", done.output)

    return run


@pytest.fixture
def told(gateway):
    """Run a command with --json and read what it printed."""
    return lambda *arguments, code=0: json.loads(gateway(*arguments, "--json", code=code))
