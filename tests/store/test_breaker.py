"""The breaker: open at once, closed again by itself, and never in the way of a connection that only stumbled."""

import threading
import time

import pytest

from gateway.core.errors import StoreUnavailable
from gateway.store import breaker as breaker_module
from gateway.store.breaker import Breaker
from tests.brokers import wait_for


class Server:
    def __init__(self):
        self.writable, self.probes = True, 0

    def is_writable(self):
        return self.writable

    def probe(self):
        self.probes += 1
        if not self.writable:
            raise StoreUnavailable("still away")


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(breaker_module, "PROBE_SECONDS", 0.01)
    return Server()


@pytest.fixture
def breaker(server):
    breaker = Breaker(server.is_writable, server.probe)
    yield breaker
    server.writable = True
    breaker.reset()


def test_nothing_is_known_of_a_server_nobody_has_seen_yet(breaker, server):
    server.writable = False
    breaker.check()


def test_it_opens_when_the_driver_knows_of_no_primary_and_closes_when_one_takes_writes(breaker, server):
    breaker.check()
    server.writable = False
    with pytest.raises(StoreUnavailable):
        breaker.check()
    started = time.monotonic()
    with pytest.raises(StoreUnavailable):
        breaker.check()
    assert time.monotonic() - started < 0.09
    server.writable = True
    wait_for(lambda: not breaker.is_open, what="the breaker to close")
    breaker.check()


def test_a_connection_that_only_stumbled_opens_nothing(breaker, server):
    breaker.check()
    server.writable = False
    threading.Timer(0.03, lambda: setattr(server, "writable", True)).start()
    breaker.check()
    assert not breaker.is_open


def test_one_thread_asks_however_many_trip_it(breaker, server):
    server.writable = False
    before = threading.active_count()
    for _ in range(20):
        breaker.trip("timed out")
    assert threading.active_count() <= before + 1
    wait_for(lambda: server.probes > 2, what="probes")
    assert breaker.is_open


def test_who_asked_in_one_outage_does_not_end_the_next(server):
    asked, answered = threading.Event(), threading.Event()
    slowly = [lambda: (asked.set(), answered.wait(5))]
    breaker = Breaker(server.is_writable, lambda: slowly.pop()() if slowly else server.probe())
    server.writable = False
    breaker.trip("the first time")
    assert asked.wait(5)
    breaker.reset()
    breaker.trip("the second time")
    answered.set()
    wait_for(lambda: server.probes > 2, what="probes of the second outage")
    assert breaker.is_open
    breaker.reset()
