"""MongoDB is away: everything is kept, answered in time, and filed afterwards as if nothing had happened."""

import os
import random
import signal
import time
from datetime import timedelta
from itertools import pairwise
from types import SimpleNamespace
from urllib.parse import urlsplit

import mongoengine
import pytest
from pymongo.errors import AutoReconnect

from gateway import jobs
from gateway.app import create_app
from gateway.conversation import draining, intake, storing
from gateway.core.errors import SpoolUnavailable, StoreRefused, StoreUnavailable
from gateway.core.messages import InboundMessage
from gateway.core.recent import Recent
from gateway.responders import Responder
from gateway.store import answers, connection, messages, sessions, writing
from tests.brokers import wait_for
from tests.conftest import ACCOUNT, TEN, Twilio, fixture
from tests.conversation.test_timelines import Oracle
from tests.conversation.worker import Worker, slow_responder
from tests.stand_ins.dns import CLUSTER, name_server
from tests.webhooks.conftest import Call, captured, is_empty, named, said, texts, twiml

ADA, BEN = "+15558675310", "+15558675311"


class Away:
    """MongoDB as webhooks find it: away between `goes` and `comes_back`."""

    def goes(self):
        connection.breaker._reason = "away"

    def comes_back(self):
        connection.breaker.reset()

    def __enter__(self):
        self.goes()

    def __exit__(self, *_):
        self.comes_back()


@pytest.fixture
def away(monkeypatch):
    """Nothing else is under way in these tests, so nothing needs to be waited for before draining."""
    monkeypatch.setattr(draining, "QUIET_SECONDS", 0)
    yield Away()
    connection.breaker.reset()


class Scene:
    """An app with its spool, its worker, and Twilio's side of it."""

    def __init__(self, app, clock):
        self.app, self.clock = app, clock
        self.worker, self.twilio = Worker(app, clock), Twilio(app.test_client())

    @property
    def db(self):
        return mongoengine.get_db()

    @property
    def spool(self):
        return self.worker.runtime.spool

    def drain(self):
        told = [0]
        done = draining.drain(self.worker.runtime, told.append)
        assert told[-1] == done.applied + done.set_aside
        return done

    def sent(self):
        """What went out through the outbox."""
        self.worker.run(after=3)
        return [row["_id"] for row in self.db.outbox.find({"step": "send", "state": "done"})]


@pytest.fixture
def scene(make_app, clock):
    return Scene(make_app(reply={"responder": "echo"}), clock)


@pytest.fixture
def make_scene(make_app, clock):
    return lambda **given: Scene(make_app(**({"reply": {"responder": "echo"}} | given)), clock)


# A real mongod that dies


@pytest.fixture
def real(make_scene, own_mongo, real_deadline):
    scene = make_scene(mongodb_uri=own_mongo.uri)
    assert texts(scene.twilio.sms("before")) == ["before"]
    yield scene
    scene.db.client.drop_database("gateway")


def spent(post):
    started = time.monotonic()
    answer = post()
    return answer, time.monotonic() - started


def expect_all_is_kept(scene):
    answer, seconds = spent(lambda: scene.twilio.sms("one", MessageSid="SM" + "d" * 32))
    assert is_empty(answer)
    assert seconds < 3
    answer, seconds = spent(lambda: scene.twilio.sms("two"))
    assert is_empty(answer)
    assert seconds < 0.7
    answer, seconds = spent(lambda: scene.twilio.call())
    assert "leave a message" in said(answer)[0]
    assert twiml(answer).find("Record") is not None
    assert seconds < 0.7
    assert scene.twilio.post("/webhooks/status", fixture("status/sent")).status_code == 204
    assert scene.spool.depth().waiting == 4


def expect_all_is_filed(scene):
    until = time.monotonic() + 10
    while connection.breaker.is_open:
        assert time.monotonic() < until
        time.sleep(0.05)
    scene.drain()
    assert scene.spool.is_empty()
    texts_in = scene.db.messages.find({"direction": "inbound", "communication_type": "sms"}).sort("createdAt", 1)
    assert [message["content"] for message in texts_in] == ["before", "one", "two"]
    (session,) = scene.db.sessions.find({"communication_type": "sms"})
    assert session["message_count"] == 6
    assert scene.db.sessions.count_documents({"communication_type": "voice"}) == 1
    assert is_empty(scene.twilio.sms("one", MessageSid="SM" + "d" * 32)), "its answer is in the outbox"
    assert texts(scene.twilio.sms("after")) == ["after"]


def test_i4_a_mongodb_that_is_killed_loses_nothing_and_holds_nobody_up(real, own_mongo):
    own_mongo.kill()
    try:
        expect_all_is_kept(real)
    finally:
        own_mongo.start()
    expect_all_is_filed(real)


def test_i4_a_mongodb_that_hangs_loses_nothing_and_holds_nobody_up(real, own_mongo):
    os.kill(own_mongo.process.pid, signal.SIGSTOP)
    # On a busy machine it serves some more requests first, and what it hangs in is then counted by the worker, later.
    os.waitpid(own_mongo.process.pid, os.WUNTRACED)
    try:
        expect_all_is_kept(real)
    finally:
        os.kill(own_mongo.process.pid, signal.SIGCONT)
    expect_all_is_filed(real)


# Which answers are given, and by whom


def test_a_message_from_the_spool_is_answered_through_the_outbox(scene, away):
    with away:
        assert is_empty(scene.twilio.sms("Hello", MessageSid="SM1"))
    scene.drain()
    answer = scene.db.messages.find_one({"_id": "re:SM1"})
    assert (answer["content"], answer["status"]) == ("Hello", "queued")
    assert scene.sent() == ["re:SM1"]
    assert is_empty(scene.twilio.sms("Hello", MessageSid="SM1")), "a redelivery must not be told it once more"
    assert scene.db.messages.count_documents({}) == scene.db.sessions.find_one()["message_count"] == 2


def test_a_slow_responder_answers_it_too(scene, away):
    with slow_responder(scene.app, lambda turn: receive_reply(turn)):
        with away:
            scene.twilio.sms("Hello", MessageSid="SM1")
        scene.drain()
        assert scene.sent() == ["re:SM1"]


def receive_reply(turn):
    from gateway.core.replies import Reply

    return Reply(f"You said {turn.content}")


def test_a_long_answer_is_sent_in_all_its_pieces(scene, away):
    with away:
        scene.twilio.sms("word " * 400, MessageSid="SM1")
    scene.drain()
    for _ in range(3):
        sent = scene.sent()
    assert sorted(sent) == ["re:SM1", "re:SM1:2"]


@pytest.mark.parametrize(("module", "name"), [(messages, "insert"), (sessions, "open_each"), (sessions, "touch")])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_what_failed_midway_is_completed_and_answered_once(scene, away, monkeypatch, module, name, after):
    real = getattr(module, name)

    def lost(*args):
        if after:
            real(*args)
        raise AutoReconnect("connection closed")

    scene.twilio.sms("before")
    with monkeypatch.context() as patch:
        patch.setattr(module, name, lost)
        scene.clock.move_to(minutes=10)
        assert is_empty(scene.twilio.sms("Hello", MessageSid="SM1"))
    connection.breaker.reset()
    scene.drain()
    assert scene.sent() == ["re:SM1"]
    assert is_empty(scene.twilio.sms("Hello", MessageSid="SM1"))
    assert scene.db.messages.count_documents({}) == 4
    assert scene.db.sessions.count_documents({}) == 2
    assert scene.spool.is_empty()


def test_i4_a_copy_is_let_go_only_when_the_message_that_is_here_is_safe(scene, away, monkeypatch):
    scene.twilio.sms("Hello", MessageSid="SM1")
    with away:
        scene.twilio.sms("Hello", MessageSid="SM1")
    with monkeypatch.context() as patch:
        patch.setattr(Recent, "__contains__", lambda *_: False)  # another process stored it
        patch.setattr(writing, "confirm", raise_unavailable)
        with pytest.raises(StoreUnavailable):
            scene.drain()
    assert scene.spool.depth().waiting == 1
    assert scene.drain().applied == 1


def raise_unavailable():
    raise StoreUnavailable("the majority is away")


def test_i3_a_redelivery_that_waited_in_the_spool_is_answered_no_second_time(scene, away):
    assert texts(scene.twilio.sms("Hello", MessageSid="SM1")) == ["Hello"]
    with away:
        assert is_empty(scene.twilio.sms("Hello", MessageSid="SM1"))
    scene.drain()
    assert scene.sent() == []
    assert texts(scene.twilio.sms("Hello", MessageSid="SM1")) == ["Hello"]
    assert scene.db.messages.count_documents({}) == scene.db.sessions.find_one()["message_count"] == 2


# Retries: Twilio repeats its token with what it asks for again, since it took no answer


TOKEN_HEADER = "I-Twilio-Idempotency-Token"
FALLBACK = {"ErrorCode": "11200", "ErrorUrl": "https://gateway.example.com/webhooks/sms"}


def ask(scene, token="its-token", **changes):
    """Post the same message, a second after what was before it."""
    scene.clock.tick(1)
    form = fixture("sms/text") | {"MessageSid": "SM1", "Body": "Hello"} | changes
    return scene.twilio.post("/webhooks/sms", form, **({TOKEN_HEADER: token} if token else {}))


@pytest.mark.parametrize("again", [{}, {"token": "", **FALLBACK}], ids=["retry", "fallback"])
def test_i9_an_answer_that_twilio_did_not_take_is_sent_though_mongodb_was_away_for_its_retry(scene, away, again):
    assert texts(ask(scene)) == ["Hello"]
    with away:
        assert is_empty(ask(scene, **again))
    scene.drain()
    assert scene.sent() == ["re:SM1"]
    assert is_empty(ask(scene)), "it is in the outbox"
    with away:
        ask(scene, **again)
    scene.drain()
    assert scene.sent() == ["re:SM1"]
    assert scene.db.messages.count_documents({}) == scene.db.sessions.find_one()["message_count"] == 2


@pytest.mark.parametrize("token", ["", "another"])
def test_i9_what_is_no_retry_is_told_no_second_time(scene, away, token):
    ask(scene)
    with away:
        ask(scene, token)
    scene.drain()
    assert scene.sent() == []
    assert texts(ask(scene)) == ["Hello"]


def test_i9_an_answer_that_twilio_took_is_told_no_second_time(scene, away):
    ask(scene)
    assert scene.twilio.post("/webhooks/status?m=re:SM1", fixture("status/sent")).status_code == 204
    with away:
        ask(scene)
    scene.drain()
    assert scene.sent() == []
    assert scene.db.messages.find_one({"_id": "re:SM1"})["status"] == "sent"


def test_i9_a_retry_that_hung_while_a_later_one_was_answered_tells_nothing(scene, away):
    ask(scene)
    with away:
        ask(scene)
    with scene.spool.using() as database:  # as if it hung on another host
        (row,) = database.execute("SELECT * FROM events").fetchall()
        database.execute("DELETE FROM events")
    assert texts(ask(scene)) == ["Hello"]
    with scene.spool.using() as database:
        database.execute(f"INSERT INTO events VALUES ({','.join('?' * len(row))})", tuple(row))
    scene.drain()
    assert scene.sent() == []


def test_i9_a_retry_gets_nothing_where_the_drainer_takes_the_answer_at_that_moment(scene, monkeypatch):
    ask(scene)
    real = answers.hand_on

    def late(message_id, teller, to, twiml):
        assert real(message_id, teller, "the drainer's", "<Response/>")
        return real(message_id, teller, to, twiml)

    monkeypatch.setattr(answers, "hand_on", late)
    assert is_empty(ask(scene))


def test_the_same_message_is_kept_once_however_often_it_comes(scene, away):
    with away:
        for _ in range(5):
            assert is_empty(scene.twilio.sms("Hello", MessageSid="SM1"))
        assert scene.spool.depth().waiting == 1
    scene.drain()
    assert scene.sent() == ["re:SM1"]


def test_i12_stop_is_recorded_and_nothing_queued_before_it_goes_out(scene, away):
    with away:
        scene.twilio.sms("Hello", MessageSid="SM1")
        scene.clock.tick(1)
        scene.twilio.sms("STOP", MessageSid="SM2")
    scene.drain()
    assert scene.sent() == []
    assert scene.db.messages.find_one({"_id": "re:SM1"})["status"] == "canceled"
    assert scene.db.contacts.find_one()["opted_out"]


def test_what_is_drained_too_late_is_kept_for_a_person(make_scene, away):
    scene = make_scene(reply={"responder": "echo", "max_age_seconds": 60})
    with away:
        scene.twilio.sms("in time", MessageSid="SM1", From=ADA)
        scene.clock.tick(-30)
        scene.twilio.sms("too late", MessageSid="SM2", From=BEN)
    scene.clock.move_to(seconds=60)
    scene.drain()
    assert scene.sent() == ["re:SM1"]
    assert scene.db.messages.find_one({"_id": "SM2"})["answer"]["reason"] == "too_late"
    (flagged,) = scene.db.sessions.find({"needs_person.reason": "too_late"})
    assert flagged["metadata"]["fromNumber"] == BEN


def test_an_answer_that_was_stored_but_comes_too_late_is_called_off(scene, away, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sessions, "touch", lambda *_: (_ for _ in ()).throw(AutoReconnect("closed")))
        scene.twilio.sms("Hello", MessageSid="SM1")
    connection.breaker.reset()
    scene.clock.move_to(minutes=20)
    scene.drain()
    assert scene.sent() == []
    answer = scene.db.messages.find_one({"_id": "re:SM1"})
    assert answer["status"] == "canceled"
    assert "too late" in answer["error_message"]


# What is said meanwhile


def test_a_notice_is_told_once_and_kept(make_scene, away):
    scene = make_scene(reply={"responder": "echo", "outage_text": "We will be right back."})
    with away:
        first = scene.twilio.sms("Hello?", MessageSid="SM1", From=ADA)
        assert texts(first) == ["We will be right back."]
        assert twiml(first).find("Message").attrib["statusCallback"].endswith("m=outage:SM1")
        assert is_empty(scene.twilio.sms("Anybody?", MessageSid="SM2", From=ADA))
        assert texts(scene.twilio.sms("Hi", From=BEN)) == ["We will be right back."]
        assert is_empty(scene.twilio.sms("STOP", From="+15558675312"))
        told = fixture("status/sent") | {"MessageSid": "SMtold"}
        assert scene.twilio.post("/webhooks/status?m=outage:SM1", told).status_code == 204
    scene.drain()
    notice = scene.db.messages.find_one({"_id": "outage:SM1"})
    assert (notice["sender"], notice["content"], notice["status"]) == ("system", "We will be right back.", "sent")
    session = scene.db.sessions.find_one({"metadata.fromNumber": ADA})
    assert session["message_count"] == scene.db.messages.count_documents({"session_id": session["_id"]}) == 5


def test_a_call_goes_on_to_a_voicemail_and_ends_up_in_one_session(scene, away):
    call = Call(scene.twilio)
    call.begin()
    with away:
        answer = call.say("I would like a table")
        assert "leave a message" in said(answer)[0]
        assert said(call.post("/webhooks/voice/recording", "voice/recording")) == [
            "Thank you. We will get back to you. Goodbye."
        ]
        call.post("/webhooks/voice/status", "voice/status_completed")
    scene.drain()
    (session,) = scene.db.sessions.find()
    assert session["live"] == []
    stored = {message["_id"]: message for message in scene.db.messages.find()}
    assert stored[f"{call.sid}:1"]["content"] == "I would like a table"
    assert stored[f"{call.sid}:1"]["answer"]["reason"] == "outage"
    assert f"re:{call.sid}:1" not in stored
    assert session["message_count"] == len(stored) == 3


def test_a_call_that_waits_for_its_answer_is_not_left_waiting(scene, away):
    call = Call(scene.twilio)
    call.begin()
    with slow_responder(scene.app, receive_reply):
        waits = call.say("Hello?")
        where = twiml(waits).find("Redirect").text.removeprefix("https://gateway.example.com")
        with away:
            assert "leave a message" in said(call._post(where, {}))[0]


def test_a_turn_without_its_number_is_numbered_when_it_is_filed(scene, away):
    call = Call(scene.twilio)
    call.begin()
    call.say("first")
    with away:
        call._post("/webhooks/voice/turn", fixture("voice/gather_speech") | {"SpeechResult": "second"})
        scene.clock.tick(1)
        call._post("/webhooks/voice/turn", fixture("voice/gather_speech") | {"SpeechResult": "third"})
        assert "leave a message" in said(call._post("/webhooks/voice/turn", fixture("voice/gather_empty")))[0]
    scene.drain()
    said_on_call = {m["_id"].rpartition(":")[2]: m["content"] for m in scene.db.messages.find({"direction": "inbound"})}
    assert said_on_call == {"0": "", "1": "first", "2": "second", "3": "third"}


@pytest.mark.parametrize(("minutes", "texts_back"), [(0, True), (11, False)], ids=["soon", "too late"])
def test_a_forwarded_call_is_put_through_all_the_same_and_texted_afterwards(make_scene, away, minutes, texts_back):
    scene = make_scene(voice={"mode": "dial", "dial_to": "+15550009999", "text_back": "Sorry we missed you."})
    call = Call(scene.twilio, {"From": ADA, "To": "+15017122661"})
    with away:
        assert twiml(call.begin()).find("Dial") is not None
        missed = call.post("/webhooks/voice/dial", "voice/dial_completed", DialCallStatus="no-answer")
        assert twiml(missed).find("Record") is not None
    scene.clock.move_to(minutes=minutes)
    scene.drain()
    assert scene.sent() == ([f"text-back:{call.sid}"] if texts_back else [])


# The order of things


def test_whoever_has_something_waiting_queues_behind_it_and_nobody_else_does(scene, away):
    with away:
        scene.twilio.sms("first", MessageSid="SM1", From=ADA)
    assert is_empty(scene.twilio.sms("second", MessageSid="SM2", From=ADA))
    assert texts(scene.twilio.sms("hello", From=BEN)) == ["hello"]
    assert scene.spool.depth().waiting == 2
    scene.drain()
    assert texts(scene.twilio.sms("third", From=ADA)) == ["third"]


def test_a_status_waits_for_its_message_and_a_turn_for_its_call(scene, away):
    with away:
        scene.twilio.sms("first", MessageSid="SM1")
        scene.twilio.call(CallSid="CA1")
    told = {"AccountSid": ACCOUNT, "MessageStatus": "delivered"}
    scene.twilio.post("/webhooks/status?m=re:SM1", told | {"MessageSid": "SM7"})
    scene.twilio.post("/webhooks/voice/status", fixture("voice/status_completed") | {"CallSid": "CA1"})
    assert scene.spool.depth().waiting == 4
    scene.twilio.post("/webhooks/status?m=re:SM2", told | {"MessageSid": "SM8"})
    scene.twilio.post("/webhooks/voice/status", fixture("voice/status_completed") | {"CallSid": "CA2"})
    assert scene.spool.depth().waiting == 4


def test_i3_what_is_stored_already_is_told_the_same_although_others_wait(scene, away):
    assert texts(scene.twilio.sms("Hello", MessageSid="SM1")) == ["Hello"]
    with away:
        scene.twilio.sms("other", From=BEN)
    assert texts(scene.twilio.sms("Hello", MessageSid="SM1")) == ["Hello"]
    assert scene.spool.depth().waiting == 1


@pytest.mark.parametrize("seed", range(6))
def test_i6_what_was_spooled_is_decided_on_as_it_would_have_been_on_time(make_scene, away, seed):
    scene, rng = make_scene(reply={"responder": "none"}), random.Random(seed)
    oracle, now, is_away = Oracle(300_000), 0, False
    for number in range(120):
        now += rng.choice([1, 900, 60_000, 299_999, 300_000, 300_001, 700_000])
        if rng.random() < 0.2:
            is_away = not is_away
            (away.goes if is_away else away.comes_back)()
            if not is_away and rng.random() < 0.7:  # else the drainer is late, and arrivals queue behind
                scene.drain()
        scene.clock.moment = TEN + timedelta(milliseconds=now)
        sender = rng.choice([ADA, BEN])
        scene.twilio.sms(MessageSid=f"SM{number}", From=sender)
        oracle.receive(sender, f"SM{number}", now)
    away.comes_back()
    scene.drain()
    drawn = {
        frozenset(m["_id"] for m in scene.db.messages.find({"session_id": session["_id"]}))
        for session in scene.db.sessions.find()
    }
    assert drawn == {frozenset(span.members) for spans in oracle.senders.values() for span in spans}
    received = scene.db.messages.find({}, {"createdAt": 1}).sort("_id", 1)
    assert {m["createdAt"].microsecond % 1000 for m in received} == {0}


def test_what_was_under_way_when_mongodb_failed_is_waited_for(scene, monkeypatch):
    slept = []
    # Only the drainer's: the thread that looks after MongoDB sleeps as well.
    monkeypatch.setattr(draining, "time", SimpleNamespace(sleep=slept.append))
    with Away():
        scene.twilio.sms("Hello")
    scene.spool._connection().execute("UPDATE events SET refused_at = ?", (time.time() - 0.5,))
    scene.drain()
    (seconds,) = slept
    assert 1 < seconds < draining.QUIET_SECONDS - 0.4


def test_a_process_that_is_to_end_begins_no_further_batch(scene, away, monkeypatch):
    with away:
        for number in range(3):
            scene.twilio.sms("Hello", MessageSid=f"SM{number}")
    monkeypatch.setattr(draining, "BATCH", 2)
    serving = iter((True, False))
    monkeypatch.setattr(jobs, "is_serving", lambda: next(serving))
    assert scene.drain().applied == 2
    assert scene.spool.depth().waiting == 1
    monkeypatch.setattr(jobs, "is_serving", lambda: True)
    assert scene.drain().applied == 1


def test_one_drainer_a_host_and_a_dead_one_lets_go(scene, away):
    with away:
        scene.twilio.sms("Hello")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with scene.spool.draining() as mine:
            os.write(writing, b"1" if mine else b"0")
            time.sleep(60)
        os._exit(0)
    assert os.read(reading, 1) == b"1"
    assert scene.drain().elsewhere
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert scene.drain().applied == 1


# What goes wrong on the way


def test_what_mongodb_will_never_take_holds_up_nobody(scene, away, monkeypatch):
    real = intake.apply

    def refusing(runtime, event, delivery):
        if isinstance(event, InboundMessage) and event.content == "poison":
            raise StoreRefused("too large")
        return real(runtime, event, delivery)

    with away:
        scene.twilio.sms("poison", MessageSid="SM1")
        scene.twilio.sms("Hello", MessageSid="SM2")
    with monkeypatch.context() as patch:
        patch.setattr(intake, "apply", refusing)
        done = scene.drain()
        assert (done.applied, done.set_aside) == (1, 1)
        assert is_empty(scene.twilio.sms("poison", MessageSid="SM3")), "kept although MongoDB is there"
    assert [record.key for record in scene.spool.oldest(9, set_aside=True)] == ["SM1", "SM3"]
    assert texts(scene.twilio.sms("fine", MessageSid="SM4")) == ["fine"]
    assert scene.spool.retry() == 2
    assert scene.drain().applied == 2
    assert scene.db.messages.count_documents({"direction": "inbound"}) == 4


def test_a_record_nobody_can_read_is_set_aside_and_holds_up_nobody(scene, away):
    with away:
        scene.twilio.sms("damaged", MessageSid="SM1")
        scene.twilio.sms("Hello", MessageSid="SM2")
    with scene.spool.using() as database:
        database.execute("UPDATE events SET event = substr(event, 1, 40) WHERE key = 'SM1'")
    with captured() as events:
        done = scene.drain()
    assert (done.applied, done.set_aside) == (1, 1)
    assert named(events, "event_set_aside")[0]["key"] == "SM1"
    (record,) = scene.spool.oldest(9, set_aside=True)
    assert (record.key, record.error) == ("SM1", "unreadable: JSONDecodeError")


def test_a_fault_of_ours_costs_no_message(scene, away, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(storing, "answered", lambda *_, **__: 1 / 0)
        with captured() as events:
            assert is_empty(scene.twilio.sms("Hello", MessageSid="SM1"))
        assert named(events, "event_failed")
    (record,) = scene.spool.oldest(9, set_aside=True)
    assert "ZeroDivisionError" in record.error
    scene.spool.retry()
    scene.drain()
    assert scene.sent() == ["re:SM1"]


def test_what_mongodb_does_not_take_again_and_again_is_set_aside_in_the_end(scene, away, monkeypatch):
    with away:
        scene.twilio.sms("Hello")

    def unable(*_):
        raise StoreUnavailable("not this one")

    monkeypatch.setattr(intake, "apply", unable)
    for _ in range(draining.TRIES - 1):
        with pytest.raises(StoreUnavailable):
            scene.drain()
    assert scene.drain().set_aside == 1


def test_i4_where_neither_takes_it_twilio_is_told(scene, away, monkeypatch):
    def full(*_args, **_kwargs):
        raise SpoolUnavailable("disk full")

    monkeypatch.setattr(scene.spool, "put", full)
    with away, captured() as events:
        answer = scene.twilio.sms("Hello")
    assert (answer.status_code, answer.data) == (503, b"<Response/>")
    assert [event["log_level"] for event in named(events, "spool_unavailable")] == ["error"]


def test_a_full_spool_refuses_nothing_that_mongodb_takes(scene, away, monkeypatch):
    def full(*_args, **_kwargs):
        raise SpoolUnavailable("disk full")

    with away:
        scene.twilio.sms("first", From=BEN)
    monkeypatch.setattr(scene.spool, "put", full)
    assert texts(scene.twilio.sms("Hello")) == ["Hello"]


def test_a_spool_that_cannot_be_read_stops_nobody_while_mongodb_is_there(scene, monkeypatch):
    def broken():
        raise SpoolUnavailable("malformed")

    monkeypatch.setattr(scene.spool, "is_empty", broken)
    assert texts(scene.twilio.sms("Hello")) == ["Hello"]


# kill -9 while draining


def _kill_at(module, name, when):
    real = getattr(module, name)

    def crashing(*args, **kwargs):
        if when == "after":
            real(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(module, name, crashing)


def killed_at(step, make_app, clock):
    """Let another process drain, and die at a step; gives the scene after it."""
    connection.disconnect()
    child = os.fork()
    if child == 0:
        try:
            import pkgutil

            again = Scene(make_app(reply={"responder": "echo"}), clock)
            _kill_at(pkgutil.resolve_name(step[0]), *step[1:])
            again.drain()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the step was never reached"
    return Scene(make_app(reply={"responder": "echo"}), clock)


# What comes last for everything that a drainer has answered.
LAST_STEPS = [
    ("gateway.store.outbound", "make_sendable", "before"),
    ("gateway.store.outbound", "make_sendable", "after"),
    ("gateway.store.outbox", "put", "after"),
    ("gateway.store.spool.Spool", "remove", "before"),
    ("gateway.store.spool.Spool", "remove", "after"),
]

RETRY_STEPS = [
    ("gateway.store.answers", "hand_on", "before"),
    ("gateway.store.answers", "hand_on", "after"),
    *LAST_STEPS,
]


@pytest.mark.parametrize("step", RETRY_STEPS, ids=lambda step: f"{step[2]} {step[1]}")
def test_i9_a_drainer_killed_over_a_retry_is_completed_by_the_next(make_app, clock, away, step):
    scene = Scene(make_app(reply={"responder": "echo"}), clock)
    ask(scene)
    with away:
        ask(scene)
    scene.spool.close()
    scene = killed_at(step, make_app, clock)
    scene.drain()
    assert scene.sent() == ["re:SM1"]
    assert is_empty(ask(scene))
    assert scene.sent() == ["re:SM1"]


STEPS = [
    ("gateway.store.senders", "make", "after"),
    ("gateway.store.sessions", "open_each", "after"),
    ("gateway.store.messages", "insert", "before"),
    ("gateway.store.messages", "insert", "after"),
    ("gateway.store.sessions", "touch", "after"),
    *LAST_STEPS,
]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"{step[2]} {step[0].rpartition('.')[2]}.{step[1]}")
def test_a_drainer_killed_at_any_step_is_completed_by_the_next(make_app, clock, away, step):
    scene = Scene(make_app(reply={"responder": "echo"}), clock)
    with away:
        scene.twilio.sms("one", MessageSid="SM1", From=ADA)
        scene.twilio.sms("two", MessageSid="SM2", From=BEN)
    scene.spool.close()
    scene = killed_at(step, make_app, clock)
    scene.drain()
    assert sorted(scene.sent()) == ["re:SM1", "re:SM2"]
    assert scene.db.messages.count_documents({}) == 4
    assert scene.db.sessions.count_documents({}) == 2
    assert all(earlier["_id"] != later["_id"] for earlier, later in pairwise(scene.db.outbox.find()))


def test_a_quick_responder_is_asked_again_only_where_its_answer_was_not_stored(scene, away):
    asked = []
    responders = scene.app.extensions["gateway"].responders
    quick = responders["echo"]
    responders["echo"] = Responder(lambda turn: asked.append(turn) or quick.respond(turn), quick=True)
    with away:
        scene.twilio.sms("Hello")
    scene.drain()
    scene.drain()
    assert len(asked) == 1


@pytest.fixture
def dns(mongo, monkeypatch):
    with name_server(urlsplit(mongo.uri).port, monkeypatch) as server:
        yield server


def test_what_comes_while_dns_is_away_at_the_start_is_kept_and_filed_when_it_answers(
    make_settings, clock, dns, monkeypatch
):
    monkeypatch.setattr(draining, "QUIET_SECONDS", 0)
    dns.is_away = True
    scene = Scene(create_app(make_settings(mongodb_uri=f"mongodb+srv://{CLUSTER}/test?tls=false"), clock=clock), clock)
    assert scene.twilio.sms().status_code == 200
    ready = scene.app.test_client().get("/readyz").json
    assert (ready["status"], ready["spool"]["waiting"]) == ("degraded", 1)
    dns.is_away = False
    wait_for(lambda: not connection.breaker.is_open)
    assert scene.drain().applied == 1
    assert (scene.db.name, scene.db.messages.count_documents({"direction": "inbound"})) == ("test", 1)
