"""The wiring: probes, and errors outside the webhooks."""

import contextlib

import mongoengine
import pytest

from gateway.core.errors import ConfigError, SpoolUnavailable
from gateway.store import connection
from gateway.store.embedded import EmbeddedMongo
from tests.conftest import Twilio, fixture
from tests.webhooks.conftest import captured, named


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


def test_what_is_logged_of_a_request_names_it_and_no_webhook_before_it(app, monkeypatch):
    monkeypatch.setattr(connection, "ping", lambda: 1 / 0)
    with captured() as events:
        named_so = {"X-Request-Id": "text", "I-Twilio-Idempotency-Token": "t"}
        Twilio(app.test_client()).post("/webhooks/sms", fixture("sms/text"), **named_so)
        app.test_client().get("/readyz", headers={"X-Request-Id": "look"})
    (received,), (failed,) = named(events, "message_received"), named(events, "request_failed")
    assert (received["request_id"], received["idempotency_token"]) == ("text", "t")
    assert failed["request_id"] == "look"
    assert "idempotency_token" not in failed


def test_readyz_tells_what_would_be_kept_where(tmp_path, make_app, monkeypatch):
    server = EmbeddedMongo(tmp_path / "own")
    server.start()
    app = make_app(mongodb_uri=server.uri)
    client = app.test_client()
    assert (client.get("/readyz").status_code, client.get("/readyz").json["status"]) == (200, "ok")
    server.kill()
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["status"]) == (200, "degraded")
    assert (answer.json["mongodb"]["ok"], answer.json["spool"]["ok"]) == (False, True)

    monkeypatch.setattr(app.extensions["gateway"].spool, "_max_bytes", 1)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["status"]) == (503, "unavailable")
    assert "GATEWAY_SPOOL__MAX_BYTES" in answer.json["spool"]["error"]

    def full():
        raise SpoolUnavailable("disk full")

    monkeypatch.setattr(app.extensions["gateway"].spool, "prove_writable", full)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["status"]) == (503, "unavailable")
    assert client.get("/healthz").status_code == 200


def test_the_spool_is_measured(app, twilio, clock):
    with spooling():
        twilio.sms()
    clock.tick(30)
    exposed = app.test_client().get("/metrics").text
    assert "gateway_spool_depth 1.0" in exposed
    assert "gateway_spool_oldest_seconds 30.0" in exposed
    assert app.test_client().get("/readyz").json["spool"]["waiting"] == 1


@contextlib.contextmanager
def spooling():
    connection.breaker._reason = "away"
    yield
    connection.breaker.reset()


def test_the_start_is_refused_where_nothing_could_be_kept(make_app, tmp_path):
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "spool"
    with pytest.raises(ConfigError, match="GATEWAY_SPOOL__DIR") as refusal:
        make_app(spool={"dir": str(folder)})
    assert str(folder) in str(refusal.value)


def test_development_creates_its_indexes_at_start(make_settings, start_app):
    start_app(make_settings(env="development"))
    assert "one_open_session" in mongoengine.get_db().sessions.index_information()


@pytest.mark.parametrize("env", ["test", "production"])
def test_migrating_twice_changes_nothing(make_app, env, tmp_path):
    make_app(env=env)
    assert connection.create_indexes() == connection.create_indexes()
