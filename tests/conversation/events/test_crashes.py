"""kill -9 of the worker at every step between what happened and its delivery: each event is told, under one id."""

import json
import os
import signal
import threading

import pytest

from gateway.conversation.events import deliver, feed, hands, payload, queue
from gateway.store import connection, occurrences, outbox, outbox_claims, streams, subscriptions, turns
from tests.conversation.events.conftest import wait_for

FINDING = [
    (turns, "take", "after"),
    (streams, "place", "after"),
    (occurrences, "messages", "before"),
    (queue, "tell", "before"),
    (outbox, "put_all", "before"),
    (outbox, "put_all", "after"),
    (streams, "keep_place", "before"),
    (streams, "keep_place", "after"),
]
TELLING = [
    (outbox_claims, "claim_event", "after"),
    (payload, "body", "after"),
    (deliver.posting, "post", "before"),
    (deliver.posting, "post", "during"),
    (deliver.posting, "post", "after"),
    (outbox_claims, "finish", "before"),
    (outbox_claims, "finish", "after"),
    (subscriptions, "succeeded", "before"),
    (subscriptions, "succeeded", "after"),
]


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def crash_at(owner, name, when):
    """Make a function kill its process before it, after it, or while somebody does what it asks for."""
    real = getattr(owner, name)

    def crashing(*args, **kwargs):
        if when == "before":
            die()
        if when == "during":
            threading.Timer(0.1, die).start()
        done = real(*args, **kwargs)
        if when == "after" and not (name == "put_all" and not args[0]):
            die()
        return done

    setattr(owner, name, crashing)


def die_at(make_scene, step, subscription, *, telling):
    """Let a worker of its own do its part, and kill it at the step; True if it came that far."""
    connection.disconnect()
    child = os.fork()
    if child == 0:
        try:
            scene = make_scene()
            crash_at(*step)
            if telling:
                scene.deliver()
            else:
                feed.follow(scene.runtime, stop := threading.Event())
                stop.wait(10)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


@pytest.mark.timeout(300)
def test_no_event_is_lost_and_none_has_two_ids_whenever_the_worker_is_killed(make_scene):
    scene = make_scene()
    subscription = scene.subscribe("message.received", "message.sent")
    said = 0
    for step in FINDING + TELLING:
        scene = make_scene()
        telling = step in TELLING
        scene.twilio.sms(f"Number {said}", MessageSid=f"SM{said:032x}", From=f"+1555{said:07d}")
        said += 1
        if telling:
            recover(scene, said)
        if step[2] == "during":
            scene.receiver.answers = ["hang"]
        assert die_at(make_scene, step, subscription, telling=telling), step
        scene = make_scene()
        recover(scene, said)
        # The claim of who was killed ends by itself.
        scene.db.outbox.update_many({"state": "waiting"}, {"$set": {"due": scene.runtime.clock.now()}})
        scene.deliver()
    told = [json.loads(one.body) for one in scene.receiver.told]
    received = {
        event["id"]: event["data"]["message"]["content"] for event in told if event["type"] == "message.received"
    }
    assert sorted(received.values()) == sorted(f"Number {n}" for n in range(said))
    assert len({event["id"] for event in told}) == 2 * said
    assert len(told) < 2 * said + 2 * len(TELLING)
    assert scene.queued(state={"$ne": "done"}) == 0


def recover(scene, said):
    """Let another worker find out the rest, after the lease of the first has ended."""
    scene.db.jobs.update_one({"_id": feed.JOB}, {"$unset": {"lease": ""}})
    with scene.following():
        wait_for(lambda: scene.queued() >= 2 * said)


def test_the_hands_do_what_the_worker_does(scene):
    """The real loop, with its threads, from a message to its delivery."""
    scene.subscribe("message.received")
    stop = threading.Event()
    worker = threading.Thread(target=hands.Hands(scene.runtime, stop).work, daemon=True)
    worker.start()
    with scene.following():
        scene.twilio.sms("Hello")
        wait_for(lambda: scene.receiver.told)
    stop.set()
    worker.join(10)
    assert not worker.is_alive()
    assert scene.queued(state="done") == 1


def test_a_program_that_hangs_delays_no_other_one(scene):
    """One hangs for as long as the test takes; the other one has everything meanwhile."""
    hanging = scene.subscribe("message.received", path="/hangs")
    scene.receiver.answers = ["hang"] * 100
    for number in range(20):
        scene.twilio.sms(f"Number {number}")
    scene.find_out(20)
    stop = threading.Event()
    worker = threading.Thread(target=hands.Hands(scene.runtime, stop).work, daemon=True)
    worker.start()
    wait_for(lambda: len(scene.receiver.told) == hands.AT_ONCE)
    scene.receiver.answers = []
    scene.subscribe("message.received", path="/quick")
    with scene.following():
        scene.twilio.sms("Quick")
        wait_for(lambda: any(told.path == "/quick" for told in scene.receiver.told))
    assert sum(told.path == "/hangs" for told in scene.receiver.told) == hands.AT_ONCE
    assert scene.queued(subscription=hanging.id, state="waiting") == 21
    scene.receiver.let_go()
    stop.set()
    worker.join(10)
