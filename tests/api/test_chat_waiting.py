"""What comes later in a chat: slow answers, operators' words, other devices', and MongoDB itself."""

import contextlib
import threading
import time
from datetime import timedelta
from types import SimpleNamespace

import pytest

from gateway.conversation import chat_waiting, draining, operators, send
from gateway.core.errors import SpoolUnavailable
from gateway.core.replies import Reply
from gateway.store import api_keys, chats, connection
from tests.api.chatting import Visitor
from tests.api.conftest import problem
from tests.conftest import TEN
from tests.conversation.worker import Worker, slow_responder

PATIENCE = 15


@pytest.fixture
def scene(make_app, clock):
    """A gateway whose model answers `model(turn)`."""
    app = make_app(chat={"wait_seconds": PATIENCE})
    key = api_keys.add("site", ["write"], TEN, by="a test")[1]
    alice = Visitor(app.test_client(), key, {"user_id": "alice"})
    scene = SimpleNamespace(app=app, alice=alice, worker=Worker(app, clock), runtime=app.extensions["gateway"])
    scene.model = lambda turn: Reply(f"You said: {turn.content}")
    with slow_responder(app, lambda turn: scene.model(turn)):
        yield scene


@contextlib.contextmanager
def meanwhile(ask, *arguments, **named):
    """Ask in another thread; gives a place where the answer is once the block is over."""
    told = SimpleNamespace(answer=None)

    def run():
        told.answer = ask(*arguments, **named)

    thread = threading.Thread(target=run)
    thread.start()
    yield told
    thread.join(PATIENCE + 5)
    assert not thread.is_alive()


def until(condition):
    ends = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_a_slow_answer_is_202_and_comes_with_the_next_look(scene):
    told = scene.alice.say("Hello", wait=0)
    assert (told["http"], told["reply"], told["session_state"]) == (202, "pending", "created")
    session_id = told["session_id"]
    before = scene.alice.get(f"/sessions/{session_id}/messages").json
    assert (len(before["items"]), before["pending"]) == (1, True)
    assert scene.alice.get(f"/sessions/{session_id}").json["pending"]
    scene.worker.run(after=2)
    for after in (before["cursor"], told["user_message"]["id"]):
        later = scene.alice.get(f"/sessions/{session_id}/messages", after=after).json
        (answer,) = later["items"]
        assert (answer["content"], answer["metadata"]["in_reply_to"]) == (
            "You said: Hello",
            told["user_message"]["id"],
        )
        assert (answer["metadata"]["status"], later["pending"]) == ("delivered", False)
    assert scene.alice.get(f"/sessions/{session_id}/messages", after=later["cursor"]).json["items"] == []
    again = scene.alice.say("Hello", session_id, id="x", wait=0)
    assert again["session_id"] == session_id


def test_nothing_of_a_slow_answer_goes_to_a_provider(scene):
    scene.alice.say("Hello", wait=0)
    scene.worker.run(after=2)
    session = connection.collection(chats.SessionDocument).find_one()
    (row,) = connection.collection(chats.MessageDocument).database.outbox.find()
    assert (row["step"], row["state"], session["message_count"]) == ("answer", "done", 2)
    assert scene.worker.run(after=60) == 0


def test_a_request_waits_for_a_slow_answer(scene):
    with meanwhile(scene.alice.say, "Hello") as told:
        until(lambda: connection.collection(chats.MessageDocument).count_documents({}))
        scene.worker.run(after=2)
    assert (told.answer["http"], told.answer["content"]) == (200, "You said: Hello")


def test_two_quick_messages_get_the_one_answer_to_both(scene, clock):
    first = scene.alice.say("Hello", id="1", wait=0)
    clock.tick(0.5)
    with meanwhile(scene.alice.say, "Anybody?", first["session_id"], id="2") as told:
        until(lambda: connection.collection(chats.MessageDocument).count_documents({}) == 2)
        scene.worker.run(after=2)
    assert told.answer["content"] == "You said: Hello\nAnybody?"
    again = scene.alice.say("Hello", first["session_id"], id="1")
    assert (again["http"], again["id"]) == (200, told.answer["id"])


def test_what_nobody_answers_is_said_at_once(scene):
    operators.take_over(scene.runtime, scene.alice.say("Hello", wait=0)["session_id"], "ops")
    told = scene.alice.say("Is anybody there?")
    assert (told["http"], told["reply"]) == (202, "none")


def test_an_answer_that_failed_without_an_apology_is_none(make_app, clock):
    app = make_app(reply={"responder": "echo", "apology": ""})
    alice = Visitor(app.test_client(), api_keys.add("site", ["write"], TEN, by="a test")[1], {"user_id": "alice"})

    def fail(_turn):
        raise RuntimeError("broken")

    with slow_responder(app, fail):
        session_id = alice.say("Hello", id="1", wait=0)["session_id"]
        Worker(app, clock).run(after=2)
        assert alice.say("Hello", session_id, id="1")["reply"] == "none"
    assert alice.history() == ["Hello"]


def test_a_look_waits_for_an_operator(scene):
    session_id = scene.alice.say("Hello", wait=0)["session_id"]
    path, cursor = (
        f"/sessions/{session_id}/messages",
        scene.alice.get(f"/sessions/{session_id}/messages").json["cursor"],
    )
    with meanwhile(scene.alice.get, path, after=cursor, wait=PATIENCE) as told:
        until(lambda: chat_waiting._seats._value < chat_waiting.MOST)
        send.reply(scene.runtime, session_id, send.Draft("I am here"), message_id="op1")
    assert [message["content"] for message in told.answer.json["items"]][-1] == "I am here"


def test_a_look_ends_with_its_time(scene):
    session_id = scene.alice.say("Hello", wait=0)["session_id"]
    cursor = scene.alice.get(f"/sessions/{session_id}/messages").json["cursor"]
    told = scene.alice.get(f"/sessions/{session_id}/messages", after=cursor, wait=0.1).json
    assert (told["items"], told["cursor"]) == ([], cursor)
    assert chat_waiting._seats._value == chat_waiting.MOST


def test_whoever_finds_no_seat_is_told_at_once(scene, monkeypatch):
    monkeypatch.setattr(chat_waiting, "_seats", threading.BoundedSemaphore(1))
    chat_waiting._seats.acquire()
    told = scene.alice.say("Hello")
    assert (told["http"], told["reply"]) == (202, "pending")
    path = f"/sessions/{told['session_id']}/messages"
    cursor = scene.alice.get(path).json["cursor"]
    assert scene.alice.get(path, after=cursor, wait=PATIENCE).json["items"] == []


def test_a_cursor_misses_nothing_that_is_stored_late(scene, clock):
    messages = connection.collection(chats.MessageDocument)
    path = f"/sessions/{scene.alice.say('one', wait=0)['session_id']}/messages"
    clock.tick(5)
    scene.alice.say("two", wait=0)
    cursor = scene.alice.get(path).json["cursor"]
    late = dict(messages.find_one({"content": "one"})) | {
        "_id": "late", "content": "between", "createdAt": TEN + timedelta(seconds=3),
    }  # fmt: skip
    messages.insert_one(late)
    told = scene.alice.get(path, after=cursor).json
    assert "between" in [message["content"] for message in told["items"]]
    assert scene.alice.get(path, after=told["cursor"]).json["items"] == []


def test_a_page_is_led_from_a_session_that_is_over_to_the_newer_one(scene, clock):
    first = scene.alice.say("Hello", wait=0)["session_id"]
    path = f"/sessions/{first}/messages"
    assert scene.alice.get(path).json["continued_in"] is None
    clock.tick(400)
    second = scene.alice.say("Me again", wait=0)["session_id"]
    assert scene.alice.get(path).json["continued_in"] == second
    assert scene.alice.get(f"/sessions/{second}/messages").json["continued_in"] is None


@pytest.mark.parametrize("after", ["nonsense", "1.", ".1", "1.2.3", "99999999999999999.1", "\u0661.\u0661"])
def test_a_place_that_is_none_is_not_found(scene, after):
    session_id = scene.alice.say("Hello", wait=0)["session_id"]
    problem(scene.alice.get(f"/sessions/{session_id}/messages", after=after), 404, "not_found")
    problem(scene.alice.get("/history", before=after), 404, "not_found")


@pytest.fixture
def leaves(scene, monkeypatch):
    """Let MongoDB go away as soon as somebody was recognised."""
    monkeypatch.setattr(draining, "QUIET_SECONDS", 0)
    whose = chats.whose

    def recognised(*arguments):
        found = whose(*arguments)
        connection.breaker._reason = "away"
        return found

    @contextlib.contextmanager
    def leaves():
        with monkeypatch.context() as patched:
            patched.setattr(chats, "whose", recognised)
            yield
        connection.breaker.reset()

    yield leaves
    connection.breaker.reset()


def test_what_is_said_while_mongodb_goes_away_is_kept_and_answered(scene, clock, leaves):
    first = scene.alice.say("Hello", wait=0)["session_id"]
    clock.tick(0.5)
    with leaves():
        told = scene.alice.say("Are you there?", first, id="1")
    assert (told["http"], told["reply"], told["session_id"]) == (202, "kept", None)
    draining.drain(scene.runtime)
    scene.worker.run(after=2)
    again = scene.alice.say("Are you there?", first, id="1")
    assert (again["http"], again["session_id"]) == (200, first)
    assert again["content"] == "You said: Hello\nAre you there?"
    assert scene.alice.get(f"/sessions/{first}").json["message_count"] == 3


def test_nothing_that_was_kept_is_sent_to_a_provider(scene, leaves):
    with leaves():
        scene.alice.say("Hello", id="1")
    draining.drain(scene.runtime)
    scene.worker.run(after=2)
    assert scene.alice.history() == ["Hello", "You said: Hello"]
    assert connection.collection(chats.MessageDocument).database.outbox.count_documents({"step": "send"}) == 0


def test_without_mongodb_nobody_is_recognised(scene):
    try:
        connection.breaker._reason = "away"
        told = problem(scene.alice.post("/message", content="Hello", id="1"), 503, "store_unavailable")
        assert told["detail"]
    finally:
        connection.breaker.reset()
    assert scene.alice.say("Hello", id="1", wait=0)["session_state"] == "created"


def test_neither_mongodb_nor_the_disk_is_503(scene, leaves, monkeypatch):
    def full(*_arguments, **_named):
        raise SpoolUnavailable("no space left")

    monkeypatch.setattr(scene.runtime.spool, "put", full)
    with leaves():
        problem(scene.alice.post("/message", content="Hello"), 503, "store_unavailable")
