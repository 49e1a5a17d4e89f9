"""What publishes hints: nobody waits for it, it keeps little, and it says in one line what is wrong."""

import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
import structlog

from gateway.clients import broker
from gateway.clients.broker import Broker
from gateway.core.errors import ConfigError
from tests.brokers import wait_for

URL = "redis://127.0.0.1:9/0"


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def sent(monkeypatch):
    """What would go to the broker, with the moment it would."""
    sent = []
    monkeypatch.setattr(Broker, "_send", lambda _self, row_id: sent.append((row_id, now())))
    return sent


@pytest.fixture
def publisher(make_settings):
    return Broker(make_settings(broker={"url": URL}), now)


def test_without_a_url_there_is_no_broker(make_settings):
    assert broker.connect(make_settings(), now) is None


def test_rows_are_told_of_when_they_are_due_and_not_before(publisher, sent):
    start = now()
    for name, seconds in (("later", 0.4), ("at once", 0), ("soon", 0.2)):
        publisher.publish(name, start + timedelta(seconds=seconds))
    wait_for(lambda: len(sent) == 3)
    assert [name for name, _ in sent] == ["at once", "soon", "later"]
    assert sent[1][1] >= start + timedelta(seconds=0.2)
    assert sent[2][1] >= start + timedelta(seconds=0.4)


def test_what_is_due_much_later_is_left_to_the_sweep(publisher, sent):
    publisher.publish("tomorrow", now() + broker.HORIZON + timedelta(seconds=5))
    assert publisher._kept == []


def test_while_the_broker_hangs_publishing_returns_at_once_and_keeps_a_limited_number(publisher, monkeypatch):
    hanging = threading.Event()
    monkeypatch.setattr(broker, "KEPT", 100)
    monkeypatch.setattr(Broker, "_send", lambda _self, _row_id: hanging.wait(10))
    started = time.perf_counter()
    for number in range(1000):
        publisher.publish(str(number), now())
    assert time.perf_counter() - started < 5
    assert len(publisher._kept) <= 100
    hanging.set()


def test_a_broker_that_is_away_is_logged_once_a_minute_with_what_was_dropped(publisher, monkeypatch):
    monkeypatch.setattr(broker, "AWAY_SECONDS", 0)
    tries = []

    def refuse(_self, row_id):
        tries.append(row_id)
        raise ConnectionError("Connection refused")

    monkeypatch.setattr(Broker, "_send", refuse)
    with structlog.testing.capture_logs() as lines:
        for number in range(3):
            publisher.publish(str(number), now())
            wait_for(lambda: not publisher._kept and tries)
        wait_for(lambda: lines)
        time.sleep(0.05)
    assert [line["event"] for line in lines] == ["broker_unavailable"]
    assert "Connection refused" in lines[0]["message"]


def test_without_the_library_the_start_stops_with_one_line(make_settings, monkeypatch):
    monkeypatch.setitem(sys.modules, "celery", None)
    with pytest.raises(ConfigError, match=r"GATEWAY_BROKER__URL .* Install the extra `celery`"):
        broker.connect(make_settings(broker={"url": URL}), now)


def test_a_url_that_is_none_stops_the_start_and_does_not_show_its_password(make_settings):
    with pytest.raises(ConfigError) as refused:
        broker.connect(make_settings(broker={"url": "redis://:hunter2@host:port/0"}), now)
    assert "GATEWAY_BROKER__URL is not usable." in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_the_variable_of_another_celery_application_changes_nothing(make_settings, monkeypatch):
    monkeypatch.setenv("CELERY_BROKER_URL", "amqp://elsewhere//")
    app = Broker(make_settings(broker={"url": URL}), now).app
    assert [one.port for one in (app.connection_for_read(), app.connection_for_write())] == [9, 9]


def test_redis_gives_back_what_a_dead_worker_held_soon_after_the_lease(make_settings):
    app = Broker(make_settings(broker={"url": URL}, outbox={"lease_seconds": 20}), now).app
    options = app.conf.broker_transport_options
    assert 20 < options["visibility_timeout"] <= 40
    assert options["unacked_restore_interval"] * options["unacked_restore_throttle"] <= 2
