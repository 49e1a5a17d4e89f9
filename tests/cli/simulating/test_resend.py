"""`gateway resend`: what a stored webhook is told when it comes again, and that nobody gets a second answer unasked."""

from datetime import UTC, datetime, timedelta

import mongoengine
import pytest

from gateway.conversation import queue, resending
from gateway.conversation.resending import CannotResend
from gateway.core.times import floor_ms
from gateway.store import settling
from tests.conftest import TEN, fixture
from tests.conversation.worker import Worker


@pytest.fixture
def rows():
    return lambda name, **which: list(mongoengine.get_db()[name].find(which))


@pytest.mark.parametrize(
    ("path", "condition"),
    [
        ("/webhooks/sms", "sms/mms_2media"),
        ("/webhooks/sms", "sms/unicode"),
        ("/webhooks/whatsapp", "whatsapp/button"),
        ("/webhooks/whatsapp", "whatsapp/location"),
        ("/webhooks/voice", "voice/incoming"),
    ],
)
def test_the_form_is_rebuilt_as_it_came(app, twilio, path, condition):
    params = fixture(condition)
    assert twilio.post(path, params).status_code == 200
    message_id = params.get("MessageSid") or f"{params['CallSid']}:0"
    webhook = resending.rebuild(app.extensions["gateway"], message_id)
    assert (webhook.path, dict(webhook.form)) == (path, params)


def test_a_redelivery_stores_nothing_answers_nobody_and_is_noted(served, gateway, told, rows):
    served()
    (step,) = told("simulate", "sms", "--body", "Are you open?")
    sid = step["decision"]["message_id"]
    again = told("resend", sid)
    assert again["told"][0]["twiml"] == step["twiml"]
    assert (again["told"][0]["decision"]["duplicate"], again["answer"]) == (True, None)
    assert len(rows("messages")) == 2
    assert rows("outbox") == []
    (message,) = rows("messages", _id=sid)
    assert [entry["answer"] for entry in message["metadata"]["resent"]] == [False]
    (entry,) = rows("audit", action="webhook_resent")
    assert (entry["details"]["message"], "(command line)" in entry["by"]) == (sid, True)
    assert f"{sid}, received" in gateway("resend", sid)
    assert f"re:{sid} came with no webhook: it is an answer of ours" in gateway("resend", f"re:{sid}", code=1)
    assert "There is no message SM1, or it was deleted." in gateway("resend", "SM1", code=1)


def test_an_answer_that_is_asked_for_is_sent_once(served, gateway, clock, rows):
    app = served()
    sid = "SM" + "7" * 32
    gateway("simulate", "sms", "--sid", sid, "--body", "Are you open?")
    assert "sent as another answer: Are you open?" in gateway("resend", sid, "--answer")
    clock.moment = floor_ms(datetime.now(UTC))
    Worker(app, clock).run(after=1)
    (sent,) = [row for row in rows("messages", direction="outbound") if row["_id"] != f"re:{sid}"]
    assert (sent["content"], sent["status"], sent["metadata"]["inReplyTo"]) == ("Are you open?", "delivered", sid)
    (session,) = rows("sessions")
    assert session["message_count"] == len(rows("messages")) == 3
    gateway("simulate", "sms", "--body", "STOP")
    assert "The contact opted out (STOP)." in gateway("resend", sid, "--answer", code=1)
    assert len(rows("messages", direction="outbound")) == 2


def test_an_answer_moves_no_terminal(served, gateway, told, monkeypatch):
    """TwiML has no control characters below 0x20; 0x9b, which begins a sequence too, is allowed there."""
    sid, said = "SM" + "8" * 32, "one\r\ntwo\a\x9b2Jthree"
    served()
    assert gateway("simulate", "chat", "--body", said).startswith("one\ntwo?2Jthree\n")
    gateway("simulate", "sms", "--sid", sid)
    monkeypatch.setenv("GATEWAY_REPLY__RESPONDER", "canned")
    monkeypatch.setenv("GATEWAY_CANNED__DEFAULT", said)
    assert "sent as another answer: one\ntwo??2Jthree\n" in gateway("resend", sid, "--answer")
    assert told("resend", sid, "--answer")["answer"] == said


def test_an_answer_whose_sender_died_is_sent_once_by_a_worker(app, twilio, clock, rows, monkeypatch):
    runtime, params = app.extensions["gateway"], fixture("sms/text")
    twilio.post("/webhooks/sms", params)
    webhook = resending.rebuild(runtime, params["MessageSid"])
    with monkeypatch.context() as dying:
        dying.setattr(queue, "sending", lambda *_: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            resending.answer_again(runtime, webhook, by="ada")
    assert rows("outbox") == []
    for _ in range(2):
        queue.lost(runtime, settling.look_through(clock.now(), clock.now() + timedelta(seconds=1)))
        Worker(app, clock).run(after=1)
    answers = [row for row in rows("messages", direction="outbound") if row["_id"].startswith("again:")]
    assert [(row["status"], row["metadata"]["resentBy"]) for row in answers] == [("delivered", "ada")]
    assert len(rows("outbox")) == 1


def test_another_gateway_stores_it_marked_and_stays_silent(app, twilio, rows):
    runtime, params = app.extensions["gateway"], fixture("sms/text")
    twilio.post("/webhooks/sms", params)
    webhook = resending.rebuild(runtime, params["MessageSid"])
    forms = [resending.mark(runtime, webhook, by="ada", to="elsewhere", answer=wanted) for wanted in (False, True)]
    mongoengine.get_db().messages.delete_many({})
    silent = twilio.post("/webhooks/sms", forms[0])
    assert b"<Message" not in silent.data
    (stored,) = rows("messages")
    assert (stored["metadata"]["GatewayResentAt"], stored["answer"]["reason"]) == (TEN.isoformat(), "resent")
    again = resending.rebuild(runtime, params["MessageSid"])
    assert dict(again.form) == params
    mongoengine.get_db().messages.delete_many({})
    assert b"<Message" in twilio.post("/webhooks/sms", forms[1]).data


def test_what_nobody_can_or_may_answer_is_refused_in_a_line(app, twilio, rows):
    runtime = app.extensions["gateway"]
    call, text = fixture("voice/incoming"), fixture("sms/text")
    twilio.post("/webhooks/voice", call)
    twilio.post("/webhooks/sms", text)
    turn = {"SpeechResult": "A table", "CallStatus": "in-progress"}
    twilio.post("/webhooks/voice/turn?turn=1", call | turn)
    spoken = resending.rebuild(runtime, f"{call['CallSid']}:1")
    assert (spoken.path.partition("&")[0], spoken.form["SpeechResult"]) == ("/webhooks/voice/turn?turn=1", "A table")
    with pytest.raises(CannotResend, match="on a call that is over: nobody hears another answer"):
        resending.answer_again(runtime, spoken, by="ada")
    written = resending.rebuild(runtime, text["MessageSid"])
    mongoengine.get_db().sessions.update_many({}, {"$set": {"bot_off": True}})
    with pytest.raises(CannotResend, match="A person answers this conversation"):
        resending.answer_again(runtime, written, by="ada")
    mongoengine.get_db().messages.update_many({}, {"$unset": {"metadata.From": ""}})
    with pytest.raises(CannotResend, match="it was imported, and no webhook of it is stored"):
        resending.rebuild(runtime, text["MessageSid"])
