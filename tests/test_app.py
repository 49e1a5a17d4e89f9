"""The wiring: probes, and errors outside the webhooks."""

import mongoengine
import pytest

from gateway.store import connection
from gateway.store.embedded import EmbeddedMongo


def test_the_root_leads_to_the_admin_page(app):
    answer = app.test_client().get("/")
    assert (answer.status_code, answer.location) == (302, "/admin/")


def test_an_unknown_page_is_a_404(app):
    assert app.test_client().get("/nowhere").status_code == 404


def test_an_unforeseen_error_is_a_500_without_a_trace(app, monkeypatch):
    monkeypatch.setattr(connection, "ping", lambda: 1 / 0)
    answer = app.test_client().get("/readyz")
    assert answer.status_code == 500
    assert b"ZeroDivisionError" not in answer.data


def test_readyz_tells_that_mongodb_is_away(make_settings, tmp_path, make_app):
    server = EmbeddedMongo(tmp_path / "own")
    server.start()
    app = make_app(mongodb_uri=server.uri)
    assert app.test_client().get("/readyz").status_code == 200
    server.kill()
    answer = app.test_client().get("/readyz")
    assert (answer.status_code, answer.json["mongodb"]["ok"]) == (503, False)
    assert app.test_client().get("/healthz").status_code == 200


def test_development_creates_its_indexes_at_start(make_settings):
    from gateway.app import create_app

    create_app(make_settings(env="development"))
    assert "one_open_session" in mongoengine.get_db().sessions.index_information()


@pytest.mark.parametrize("env", ["test", "production"])
def test_migrating_twice_changes_nothing(make_app, env, tmp_path):
    make_app(env=env)
    assert connection.create_indexes() == connection.create_indexes()
