"""Alerts when a person is asked for: over real HTTP and SMTP, once each, and never what people wrote."""

import http.server
import json
import socketserver
import threading
from types import SimpleNamespace

import mongoengine
import pytest

from gateway.conversation import actions, alerts, upkeep
from gateway.conversation.actions import On
from gateway.core.replies import Action, Reply
from gateway.core.signing import sign
from gateway.store import outbox
from gateway.store.outbound import Place
from tests.conftest import Twilio
from tests.conversation.worker import Worker


class Mailbox(socketserver.ThreadingTCPServer):
    """An SMTP server that keeps what it is given; `busy` refuses that many before."""

    allow_reuse_address = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Session)
        self.letters, self.busy = [], 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self):
        return self.server_address[1]


class _Session(socketserver.StreamRequestHandler):
    def say(self, line):
        self.wfile.write(f"{line}\r\n".encode())

    def handle(self):
        self.say("220 stand-in")
        while line := self.rfile.readline().decode().strip():
            match line.split()[0].upper():
                case "DATA":
                    self.say("354 go on")
                    self.server.letters.append(self._letter())
                    self.say("250 kept")
                case "QUIT":
                    self.say("221 bye")
                    return
                case "MAIL" if self.server.busy:
                    self.server.busy -= 1
                    self.say("451 try later")
                case _:
                    self.say("250 ok")

    def _letter(self):
        lines = []
        while (line := self.rfile.readline().decode().rstrip("\r\n")) != ".":
            lines.append(line)
        return "\n".join(lines)


@pytest.fixture
def mailbox():
    with Mailbox() as server:
        yield server
        server.shutdown()


@pytest.fixture
def make_scene(make_app, clock):
    def make(**alerts):
        app = make_app(alerts=alerts)
        return SimpleNamespace(
            app=app,
            worker=Worker(app, clock),
            twilio=Twilio(app.test_client()),
            db=mongoengine.get_db(),
            runtime=app.extensions["gateway"],
        )

    return make


@pytest.fixture
def heard():
    """An HTTP server that keeps what it is posted; `answers` are the statuses it gives first."""
    kept = SimpleNamespace(requests=[], answers=[], url="")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.requests.append((dict(self.headers), body))
            self.send_response(kept.answers.pop(0) if kept.answers else 204)
            self.end_headers()

        def log_message(self, *_args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        kept.url = f"http://127.0.0.1:{server.server_port}/alert"
        yield kept
        server.shutdown()


def hand_over(scene):
    """Let somebody write, and a bot that quotes them give up."""
    turn = Reply("One moment.", actions=(Action("hand_over", {"reason": "she said: my SECRET"}),))
    scene.twilio.sms("my SECRET")
    session = scene.db.sessions.find_one()
    place = Place(str(session["_id"]), session["channel_id"], "sms", None)
    actions.apply(scene.runtime, On(place, "SM1"), turn)
    return place.session_id


def test_a_webhook_is_told_once_signed_and_without_a_word_of_what_was_said(make_scene, heard):
    scene = make_scene(webhook_url=heard.url, webhook_secret="s3cret")
    session_id = hand_over(scene)
    actions.ask_for_person(scene.runtime, session_id, "hourly_limit")
    scene.worker.run()
    ((headers, body),) = heard.requests
    assert headers["X-Gateway-Signature"] == sign(b"s3cret", headers["X-Gateway-Timestamp"], body)
    assert json.loads(body) == {
        "event": "person_needed",
        "session_id": session_id,
        "reason": "handed over by the bot",
        "asked_at": "2026-03-01T10:00:00+00:00",
        "communication_type": "sms",
        "channel_id": "sms:+15017122661",
        "number": "+155...5310",
        "url": f"https://gateway.example.com/admin/sessions/{session_id}",
    }


def test_a_letter_is_sent_again_until_it_is_taken(make_scene, mailbox):
    mailbox.busy = 2
    scene = make_scene(
        email_to=["night@example.com", "day@example.com"],
        email_from="gateway@example.com",
        smtp_host="127.0.0.1",
        smtp_port=mailbox.port,
        smtp_tls="none",
    )
    session_id = hand_over(scene)
    for _ in range(4):
        scene.worker.run(after=60)
    (letter,) = mailbox.letters
    assert "To: night@example.com, day@example.com" in letter
    assert f"https://gateway.example.com/admin/sessions/{session_id}" in letter
    assert "SECRET" not in letter
    assert "5558675310" not in letter


def test_a_webhook_that_fails_is_asked_again_and_given_up_in_the_end(make_scene, heard):
    heard.answers = [500] * 50
    scene = make_scene(webhook_url=heard.url)
    hand_over(scene)
    for _ in range(20):
        scene.worker.run(after=3600 * 2)
    assert len(heard.requests) == scene.runtime.settings.outbox.max_tries
    row = scene.db.outbox.find_one({"step": outbox.ALERT})
    assert row["state"] == outbox.FAILED


def test_nobody_is_alerted_after_a_person_came(make_scene, heard):
    scene = make_scene(webhook_url=heard.url)
    session_id = hand_over(scene)
    actions.person_came(scene.runtime, session_id)
    scene.worker.run()
    assert heard.requests == []
    assert scene.db.outbox.find_one({"step": outbox.ALERT})["state"] == outbox.CANCELED


def test_an_alert_that_a_crash_left_unqueued_is_found(make_scene, heard, monkeypatch):
    scene = make_scene(webhook_url=heard.url)
    with monkeypatch.context() as crashed:
        crashed.setattr(alerts, "queue", lambda *_args: 0)
        hand_over(scene)
    scene.worker.run(after=30)
    assert heard.requests == []
    upkeep.settle(scene.runtime)
    upkeep.settle(scene.runtime)
    scene.worker.run()
    assert len(heard.requests) == 1


def test_without_settings_nothing_is_queued(make_scene):
    scene = make_scene()
    hand_over(scene)
    assert scene.db.outbox.count_documents({"step": outbox.ALERT}) == 0
