"""How a worker stops: it holds on to what it has in hand, and lets go in the end."""

import dataclasses
import subprocess
import sys
import threading
from datetime import timedelta

import pytest

from gateway.conversation import work
from gateway.conversation.runtime import Clock
from gateway.store import outbox
from gateway.store.outbox import Row
from gateway.worker import desk as desks
from gateway.worker.desk import Desk
from tests.brokers import wait_for


@pytest.fixture
def desk(make_app, monkeypatch):
    """A desk at work on one row, which takes until `desk.answered` is set."""
    serving = make_app(outbox={"lease_seconds": 0.6}, twilio={"timeout_seconds": 0.3}).extensions["gateway"]
    serving = dataclasses.replace(serving, clock=Clock())
    desk = Desk(serving, threading.Event())
    desk.stop, desk.answered, begun, desk.exits = desk._stop, threading.Event(), threading.Event(), []

    def do(_runtime, _row):
        begun.set()
        desk.answered.wait(10)

    monkeypatch.setattr(work, "do", do)
    monkeypatch.setattr(desks.os, "_exit", desk.exits.append)
    now = serving.clock.now()
    outbox.put(Row("m1", outbox.SEND, "m1", due=now, queued_at=now))
    desk.thread = threading.Thread(target=desk.work)
    desk.thread.start()
    assert begun.wait(5)
    yield desk
    desk.answered.set()
    desk.stop.set()
    desk.thread.join(20)


def test_what_takes_longer_than_a_stop_may_is_left_to_its_lease(desk, monkeypatch):
    monkeypatch.setattr(desks, "STOP_SECONDS", 0.2)
    desk.stop.set()
    wait_for(lambda: desk.exits, seconds=5)
    assert desk.exits == [0]
    assert outbox.find("m1").due <= desk._serving.clock.now() + timedelta(seconds=0.6)


def test_leases_are_held_until_the_last_row_is_done_also_while_stopping(desk):
    desk.stop.set()
    desk.thread.join(1.5)
    assert desk.thread.is_alive()
    assert work.claim(desk._serving) is None, "the lease ended while the row was worked on"
    desk.answered.set()
    desk.thread.join(5)
    assert not desk.thread.is_alive()
    assert desk.exits == []


def test_a_row_a_broker_tells_of_twice_is_done_once(desk):
    desk.take("m1")
    assert len(desk._held) == 1


def test_some_hands_are_kept_for_sending_while_all_models_think(make_app, monkeypatch):
    serving = dataclasses.replace(make_app(outbox={"concurrency": 4}).extensions["gateway"], clock=Clock())
    stop, thinking, sent = threading.Event(), threading.Semaphore(0), threading.Event()
    now = serving.clock.now()
    for number in range(8):
        outbox.put(Row(f"re:{number}", outbox.ANSWER, f"{number}", due=now, queued_at=now))
    outbox.put(Row("ag:1", outbox.SEND, "ag:1", due=now, queued_at=now))

    def think(_runtime, _row):
        thinking.release()
        stop.wait(20)

    monkeypatch.setitem(work.STEPS, outbox.ANSWER, think)
    monkeypatch.setitem(work.STEPS, outbox.SEND, lambda _runtime, _row: sent.set())
    desk = threading.Thread(target=Desk(serving, stop).work)
    desk.start()
    try:
        assert sent.wait(10)
        assert [thinking.acquire(timeout=2) for _ in range(4)] == [True, True, True, False]
    finally:
        stop.set()
        desk.join(20)


def test_what_an_answer_leaves_to_be_sent_is_sent_at_once(make_app, monkeypatch):
    monkeypatch.setattr(desks, "POLL_SECONDS", 8)
    serving = dataclasses.replace(make_app().extensions["gateway"], clock=Clock())
    stop, sent, now = threading.Event(), threading.Event(), serving.clock.now()

    def answer(_runtime, _row):
        stop.wait(0.5)
        outbox.put(Row("re:2", outbox.SEND, "re:2", due=now, queued_at=now))

    monkeypatch.setitem(work.STEPS, outbox.ANSWER, answer)
    monkeypatch.setitem(work.STEPS, outbox.SEND, lambda _runtime, _row: sent.set())
    outbox.put(Row("re:1", outbox.ANSWER, "1", due=now, queued_at=now))
    desk = threading.Thread(target=Desk(serving, stop).work)
    desk.start()
    try:
        assert sent.wait(4), "it waited until somebody looked again"
    finally:
        stop.set()
        desk.join(20)


WAITING = """
from gateway.worker import stop_on_signals
stop = stop_on_signals()
print("ready", flush=True)
while not stop.wait(0.00001):
    pass
"""


def test_a_signal_stops_a_worker_in_whatever_it_is_just_doing():
    waiting = [subprocess.Popen([sys.executable, "-c", WAITING], stdout=subprocess.PIPE) for _ in range(12)]
    try:
        for process in waiting:
            assert process.stdout.readline() == b"ready\n"
            process.terminate()
        assert [process.wait(10) for process in waiting] == [0] * len(waiting)
    finally:
        for process in waiting:
            process.kill()
