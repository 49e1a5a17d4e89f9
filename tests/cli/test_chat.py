"""`gateway chat` and `gateway simulate chat`."""

import json

import mongoengine
import pytest
from click.testing import CliRunner

from gateway.channels.chat import ChatUser
from gateway.cli.commands import cli
from gateway.conversation import chat_tokens
from tests.conftest import TEN


@pytest.fixture
def run(app, monkeypatch, tmp_path):
    settings = app.extensions["gateway"].settings
    monkeypatch.setenv("MONGODB_URI", settings.mongodb_uri)
    monkeypatch.setenv("GATEWAY_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("GATEWAY_ENV", "test")
    monkeypatch.setenv("PORT", "8080")
    return lambda *arguments: CliRunner().invoke(cli, ["chat", *arguments])


def test_a_site_is_added_published_listed_and_unpublished(run):
    assert json.loads(run("add", "shop", "--json").stdout) == {"site": "shop", "channel": "chat:shop"}
    key = run("publish", "shop").stdout.strip()
    assert key.startswith("pk_shop_")
    made = json.loads(run("publish", "shop", "--json").stdout)
    assert made["publishable_key"] == key
    assert made["script"] == f'<script src="http://127.0.0.1:8080/chat/widget.js" data-key="{key}" async></script>'
    (listed,) = json.loads(run("sites", "--json").stdout)
    assert listed == {"site": "shop", "channel": "chat:shop", "publishable_key": key}
    assert run("unpublish", "shop").exit_code == 0
    assert "has no publishable key" in run("unpublish", "shop").output
    assert [entry["action"] for entry in mongoengine.get_db().audit.find()] == [
        "chat_site_added", "chat_site_published", "chat_site_unpublished",
    ]  # fmt: skip


def test_a_name_that_is_none_is_refused(run):
    done = run("add", "My Shop")
    assert done.exit_code == 1
    assert "is no name for a site" in done.output
    assert "There is no chat site" in run("unpublish", "nowhere").output


def test_no_key_is_published_for_a_site_that_nobody_added(run):
    done = run("publish", "nope")
    assert done.exit_code == 1
    assert "There is no chat site 'nope'. `gateway chat add` makes one." in done.output
    assert mongoengine.get_db().channels.count_documents({}) == 0
    assert run("publish").stdout.startswith("pk_web_")


@pytest.fixture
def simulate(serve, monkeypatch, tmp_path):
    app, url = serve()
    settings = app.extensions["gateway"].settings
    monkeypatch.setenv("MONGODB_URI", settings.mongodb_uri)
    monkeypatch.setenv("SECRET_KEY", settings.secret_key.get_secret_value())
    monkeypatch.setenv("GATEWAY_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("GATEWAY_ENV", "development")
    return lambda *arguments: CliRunner().invoke(cli, ["simulate", "chat", "--url", url, *arguments])


def test_somebody_simulated_chats_and_the_threshold_decides(simulate):
    first = simulate("--body", "Are you open?", "--at", "2026-03-01T10:00:00Z")
    assert first.exit_code == 0, first.output
    assert "Are you open?\n  created: the first message of this sender" in first.output
    assert "reused: 5 min 0 s after the last message" in simulate("--gap", "300", "--id", "1").output
    assert '"kind": "reused"' in simulate("--gap", "0", "--json").output
    over = simulate("--gap", "300.001")
    assert "rolled over: 5 min 0.001 s after the last message, threshold 5 min" in over.output
    assert [session["title"] for session in mongoengine.get_db().sessions.find()] == ["Chat with alice"] * 2


def test_nobody_is_simulated_outside_development(simulate, make_app):
    user = ChatUser("web", "alice")
    for env, status in (("development", 200), ("test", 401)):
        app = make_app(env=env, **({"public_url": ""} if env == "development" else {}))
        token = chat_tokens.simulate(app.extensions["gateway"].settings, user, TEN, None).token
        headers = {"Authorization": f"Bearer {token}"}
        assert app.test_client().get("/api/chat/sessions", headers=headers).status_code == status


def test_a_gateway_that_takes_nobody_simulated_says_so(simulate, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "another")
    assert "the same SECRET_KEY" in simulate().output
