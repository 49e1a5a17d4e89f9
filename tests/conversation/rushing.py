"""Webhooks that arrive at once: held back until all are here, so that they make one group."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import mongoengine
from flask import Flask
from greenlet import greenlet

from gateway.conversation import group_commit
from gateway.gathering import Gathering
from tests.conftest import Twilio, fixture

PEOPLE = 8


def number(person):
    return f"+1555000{person:04d}"


class Rush:
    """Lets webhooks arrive while one is on its way, so that all of them make one group."""

    def __init__(self, app, clock, monkeypatch):
        self.app, self.clock, self.monkeypatch = app, clock, monkeypatch
        self.twilio = Twilio(app.test_client())
        self.commits = app.extensions["gateway"].commits

    def say(self, person, sid, body="Hi"):
        twilio = Twilio(self.app.test_client())
        return twilio.sms(body, From=number(person), MessageSid=sid)

    def phone(self, person):
        return self.twilio.call(From=number(person), CallSid=f"CA{person}")

    def speak(self, person, sid, said="Hi"):
        turn = fixture("voice/gather_speech") | {"From": number(person), "CallSid": sid, "SpeechResult": said}
        return Twilio(self.app.test_client()).post("/webhooks/voice/turn?turn=1", turn)

    def write(self, who, sid, body="Hi", **also):
        return Twilio(self.app.test_client()).whatsapp(body, From=f"whatsapp:{who}", MessageSid=sid, **also)

    def meet(self, seconds=0.0):
        """Let everybody have a session, then some time pass."""
        for person in range(PEOPLE):
            assert self.say(person, f"SM-first-{person}").status_code == 200
        self.clock.tick(seconds)

    def together(self, arrivals):
        """Give what each (person, sid, body) was answered; what has the sid of a call is said in it.

        Who is not one of the people, but has a name, writes by WhatsApp.
        """
        real, begun, on = group_commit._commit, threading.Event(), threading.Event()

        def held(runtime, group):
            if not begun.is_set():
                begun.set()
                assert on.wait(30)
            return real(runtime, group)

        self.monkeypatch.setattr(group_commit, "_commit", held)
        with ThreadPoolExecutor(len(arrivals) + 1) as pool:
            first = pool.submit(self.say, PEOPLE + 1, "SM-ahead")
            assert begun.wait(30)
            others = []
            for arrival in arrivals:
                waiting = len(self.commits._waiting)
                bring = self.speak if arrival[1].startswith("CA") else self.say
                bring = self.write if isinstance(arrival[0], str) else bring
                others.append(pool.submit(bring, *arrival))
                while len(self.commits._waiting) == waiting and not others[-1].done():
                    pass
            on.set()
            assert first.result().status_code == 200
            return [other.result() for other in others]

    def stored(self, sid):
        return mongoengine.get_db().messages.find_one({"_id": sid})


def assert_counts_are_right():
    db = mongoengine.get_db()
    for session in db.sessions.find():
        assert session["message_count"] == db.messages.count_documents({"session_id": session["_id"]})


def spy(monkeypatch, module, name, calls):
    real = getattr(module, name)

    def spying(first, *args, **kwargs):
        calls.append((name, len(first)))
        return real(first, *args, **kwargs)

    monkeypatch.setattr(module, name, spying)


def together(app: Flask, posts: Sequence[Callable[[], None]]) -> None:
    """Let webhooks gather as in the main thread of a web process, and be stored at once."""
    serving, gathering = app.extensions["gateway"], Gathering[Any, Any]()
    app.extensions["gateway"] = replace(serving, commits=gathering)
    for post in posts:
        greenlet(post).switch()
    assert len(gathering) == len(posts)
    for here, result in gathering.serve():
        here.switch(result)
    app.extensions["gateway"] = serving
