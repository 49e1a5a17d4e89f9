"""While one thread serves many webhooks, nothing of one waits for MongoDB there but what it shares with the others."""

import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from greenlet import getcurrent, greenlet
from pymongo import MongoClient
from pymongo.monitoring import CommandListener

from gateway.gathering import Gathering
from gateway.store import clients, connection
from gateway.store.spool_file import SpoolFile
from tests.conftest import Twilio, fixture
from tests.conversation.test_outage import Away

CALL = "CA" + "b" * 32


class Waits(CommandListener):
    """Remembers which commands a webhook sent by itself where it holds up the others."""

    def __init__(self) -> None:
        self.alone: list[str] = []
        self.in_all = 0

    def started(self, event: Any) -> None:
        self.in_all += 1
        if getcurrent().parent is not None:
            self.alone.append(event.command_name)

    def succeeded(self, event: Any) -> None: ...

    def failed(self, event: Any) -> None: ...


@pytest.fixture
def waits(monkeypatch) -> Waits:
    """What waits for MongoDB, and for the spool's file."""
    # The driver tells only those who listened when the connection was made.
    connection.disconnect()
    listener = Waits()
    monkeypatch.setattr(clients, "MongoClient", functools.partial(MongoClient, event_listeners=[listener]))
    using = SpoolFile.using

    def used(spool: SpoolFile) -> Any:
        if getcurrent().parent is not None:
            listener.alone.append("the spool")
        return using(spool)

    monkeypatch.setattr(SpoolFile, "using", used)
    return listener


@pytest.fixture
def evented(waits, make_app) -> Any:
    """An app as the evented worker serves it, one request at a time; gives what asks it."""
    app: Flask = make_app(reply={"responder": "echo"})
    gatherings = [Gathering[Any, Any](), Gathering[Any, Any]()]
    pool = ThreadPoolExecutor(1)

    def aside(do: Callable[..., Any], *given: Any, **named: Any) -> Any:
        if getcurrent().parent is None:
            return do(*given, **named)
        return pool.submit(contextvars.copy_context().run, do, *given, **named).result()

    commits, statuses = gatherings
    app.extensions["gateway"] = replace(app.extensions["gateway"], commits=commits, statuses=statuses, aside=aside)

    def ask(post: Callable[[Twilio], Any]) -> Any:
        answers: list[Any] = []
        greenlet(lambda: answers.append(post(Twilio(app.test_client())))).switch()
        while not answers:
            for here, result in [pair for gathering in gatherings for pair in gathering.serve()]:
                here.switch(result)
        return answers[0]

    yield ask
    pool.shutdown()
    connection.breaker.reset()


def speak(twilio: Twilio) -> Any:
    return twilio.post("/webhooks/voice/turn?turn=1", fixture("voice/gather_speech") | {"CallSid": CALL})


POSTS: dict[str, Callable[[Twilio], Any]] = {
    "text": lambda twilio: twilio.sms("Hello", MessageSid="SM1"),
    "again": lambda twilio: twilio.sms("Hello", MessageSid="SM1"),
    "second text": lambda twilio: twilio.sms("Hello again", MessageSid="SM2"),
    "long text": lambda twilio: twilio.sms("word " * 400, MessageSid="SM3"),
    "picture": lambda twilio: twilio.post("/webhooks/sms", fixture("sms/mms_2media")),
    "keyword": lambda twilio: twilio.sms("STOP", MessageSid="SM4"),
    "status": lambda twilio: twilio.post("/webhooks/status?m=re:SM1", fixture("status/sent")),
    "second status": lambda twilio: twilio.post("/webhooks/status?m=re:SM1", fixture("status/delivered")),
    "failure": lambda twilio: twilio.post(
        "/webhooks/status?m=re:SM2", fixture("status/failed") | {"MessageSid": "SMx"}
    ),
    "unknown status": lambda twilio: twilio.post("/webhooks/status", fixture("status/sent") | {"MessageSid": "SMy"}),
    "call": lambda twilio: twilio.call(CallSid=CALL),
    "turn": speak,
    "turn again": speak,
}


def test_a_webhook_waits_in_its_group_or_aside(evented, waits):
    for name, post in POSTS.items():
        assert evented(post).status_code < 300, name
        assert waits.alone == [], name
    assert waits.in_all > 50


def test_it_waits_aside_during_an_outage_and_behind_what_waits_in_the_spool(evented, waits):
    assert evented(POSTS["text"]).status_code == 200
    with Away():
        assert evented(lambda twilio: twilio.sms("kept", MessageSid="SM5")).status_code == 200
    assert evented(lambda twilio: twilio.sms("behind it", MessageSid="SM6")).status_code == 200
    assert evented(POSTS["status"]).status_code == 204
    assert waits.alone == []
