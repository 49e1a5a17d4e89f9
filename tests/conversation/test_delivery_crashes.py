"""kill -9 of the worker at every step of an answer and of its sending: none lost, none twice (I9)."""

import os
import signal
import threading
from datetime import timedelta

import mongoengine
import pytest

from gateway.clients.twilio import Twilio as Client
from gateway.conversation import actions, counting, respond, status, upkeep
from gateway.core.replies import Reply
from gateway.store import asked, attempts, connection, lanes, outbound, outbox_claims
from tests.conftest import Twilio
from tests.conversation.worker import Worker, slow_responder
from tests.stand_ins.twilio import Fault, TwilioStandIn

STEPS = [
    (outbox_claims, "claim", "after"),
    (asked, "burst", "after"),
    (respond, "ask", "before"),
    (respond, "ask", "after"),
    (actions, "apply", "after"),
    (outbound, "insert", "before"),
    (outbound, "insert", "after"),
    (counting, "count_ours", "before"),
    (counting, "count_ours", "after"),
    (asked, "mark_answered", "before"),
    (asked, "mark_answered", "after"),
    (outbox_claims, "go_on_sending", "before"),
    (outbox_claims, "go_on_sending", "after"),
    (lanes, "reserve", "after"),
    (attempts, "begin", "before"),
    (attempts, "begin", "after"),
    (Client, "send", "before"),
    (Client, "send", "during"),
    (Client, "send", "after"),
    (attempts, "_store", "before"),
    (attempts, "_store", "after"),
    (attempts, "_end", "before"),
    (attempts, "_end", "after"),
    (status, "tell", "before"),
    (status, "tell", "after"),
]
RUNS = range(200)
# Each part kills at every step twice.
PARTS = [RUNS[first : first + 50] for first in RUNS[::50]]
ANSWER = "Number {}"


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def crash_at(owner, name, when):
    """Make a function kill its process before, after, or while the provider does what it asks for."""
    real = getattr(owner, name)

    def crashing(*args, **kwargs):
        if when == "before":
            die()
        if when == "during":  # the request is out and taken, its answer is not back
            threading.Timer(0.05, die).start()
        done = real(*args, **kwargs)
        if when == "after":
            die()
        return done

    setattr(owner, name, crashing)


def worker_of(make_app, clock, stand_in):
    app = make_app(
        twilio={"api_base_url": stand_in.url, "timeout_seconds": 2, "segments_per_second": 1000},
        reply={"responder": "echo", "debounce_seconds": 0},
    )
    return app, Worker(app, clock, sender=Client(app.extensions["gateway"].settings))


def work_and_die(make_app, clock, stand_in, step):
    """Let a worker of its own answer what is due, and kill it at the step; True if it came that far."""
    connection.disconnect()
    child = os.fork()
    if child == 0:
        try:
            app, worker = worker_of(make_app, clock, stand_in)
            with slow_responder(app, lambda turn: Reply(ANSWER.format(turn.content))):
                crash_at(*step)
                worker.run()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("runs", PARTS, ids=lambda runs: f"{runs.start}-{runs.stop - 1}")
def test_i9_no_answer_is_lost_or_sent_twice_in_200_kills(make_app, clock, runs):
    with TwilioStandIn(now=clock.now) as stand_in:
        app, _ = worker_of(make_app, clock, stand_in)
        for run in runs:
            with slow_responder(app, lambda turn: Reply(ANSWER.format(turn.content))):
                Twilio(app.test_client()).sms(str(run), MessageSid=f"SM{run}", From=f"+1555{run:07d}")
            step = STEPS[run % len(STEPS)]
            if step[2] == "during":
                stand_in.faults.append(Fault(status=500, code=20500, wait=0.3, accept=True))
            assert work_and_die(make_app, clock, stand_in, step), step
            stand_in.faults.clear()
            app = recover(make_app, clock, stand_in)
    assert sorted(message["body"] for message in stand_in.messages) == sorted(map(ANSWER.format, runs))
    db = mongoengine.get_db()
    answers = {message["_id"]: message for message in db.messages.find({"direction": "outbound"})}
    sids = {message["body"]: message["sid"] for message in stand_in.messages}
    assert {answer["content"]: answer["provider_sid"] for answer in answers.values()} == sids
    assert set(answers) == {f"re:SM{run}" for run in runs}
    assert {session["message_count"] for session in db.sessions.find()} == {2}
    assert db.outbox.count_documents({"state": {"$ne": "done"}}) == 0


def recover(make_app, clock, stand_in):
    """Let another worker look after the lease, and after Twilio must have listed what it took; gives its app."""
    app, worker = worker_of(make_app, clock, stand_in)
    with slow_responder(app, lambda turn: Reply(ANSWER.format(turn.content))):
        for _ in range(3):
            worker.run(after=61)
            upkeep.settle(worker.runtime)
    clock.moment += timedelta(minutes=10)
    return app
