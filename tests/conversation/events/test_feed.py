"""What happens is found out, once, and told to those who listen."""

import threading
from contextlib import contextmanager
from datetime import timedelta

import pytest

from gateway.conversation import actions, flow_starts, operators
from gateway.conversation.events import feed, payload
from gateway.core.messages import StatusUpdate
from gateway.store import api_keys, delivery, outbound
from gateway.store import feed as stored_feed
from gateway.store.outbound import Outbound, Place
from gateway.store.streams import NoChangeStreams, PlaceLost
from tests.conftest import TEN, fixture
from tests.conversation.events.conftest import wait_for
from tests.conversation.flowing import with_flows

NONE_LOST = ["session.created", "message.received", "message.sent"]


def types(scene, **wanted):
    return [row["event"]["type"] for row in sorted(scene.rows(**wanted), key=lambda row: row["event"]["sequence"])]


def test_a_message_its_session_and_its_answer_are_told(scene):
    scene.subscribe()
    scene.twilio.sms("Hello there")
    scene.find_out(3)
    assert types(scene) == NONE_LOST
    assert scene.deliver() == 3
    told = scene.receiver.events
    assert [event["type"] for event in told] == NONE_LOST
    assert {event["version"] for event in told} == {1}
    received = told[1]
    assert received["data"]["message"]["content"] == "Hello there"
    assert received["data"]["session"]["message_count"] == 2
    assert received["data"]["session"]["id"] == told[0]["data"]["session"]["id"]
    assert "message" not in told[0]["data"]
    assert [event["sequence"] for event in told] == sorted(event["sequence"] for event in told)
    assert all(one.is_signed_by(scene.secret) for one in scene.receiver.told)
    assert not scene.receiver.told[0].is_signed_by("whsec_other")
    # Not a word of anybody waits in the outbox.
    assert "Hello there" not in str(scene.rows())


def session_id(scene):
    return str(scene.db.sessions.find_one({}, sort=[("_id", -1)])["_id"])


def send_by_hand(scene, message_id="ag:1"):
    """Let an operator's message be stored, and Twilio know it as SM77."""
    session = scene.db.sessions.find_one()
    place = Place(str(session["_id"]), session["channel_id"], "sms", None)
    now = scene.runtime.clock.now()
    outbound.insert([outbound.document_of(Outbound(message_id, place, "By hand", now, "agent", status="queued"), now)])
    scene.db.messages.update_one({"_id": message_id}, {"$set": {"provider_sid": "SM77"}})


def report(scene, status, code=None):
    delivery.apply_status(StatusUpdate("SM77", status, scene.runtime.clock.now(), {}, error_code=code))


def test_private_notes_are_told_to_nobody(scene):
    scene.subscribe()
    scene.twilio.sms()
    with scene.following():
        operators.add_note(scene.runtime, session_id(scene), "she is upset", "ada", message_id="note:1")
        send_by_hand(scene)
        wait_for(lambda: scene.queued() >= 4)
    assert types(scene) == [*NONE_LOST, "message.sent"]
    scene.deliver()
    assert "upset" not in str(scene.receiver.events)


def test_a_delivery_is_told_as_it_goes_and_never_goes_back(scene):
    scene.subscribe("message.status")
    scene.twilio.sms()
    with scene.following():
        send_by_hand(scene)
        report(scene, "delivered")
        report(scene, "sent")
        report(scene, "read")
        wait_for(lambda: scene.queued() >= 2)
    scene.deliver()
    told = [event["data"] for event in scene.receiver.events]
    assert [data["status"] for data in told] == ["delivered", "read"]
    assert told[0]["message"]["id"] == "ag:1"


def test_a_failed_delivery_says_why(scene):
    scene.subscribe("message.status")
    scene.twilio.sms()
    with scene.following():
        send_by_hand(scene)
        report(scene, "undelivered", "30003")
        wait_for(scene.queued)
    scene.deliver()
    (event,) = scene.receiver.events
    assert (event["data"]["status"], event["data"]["error_code"]) == ("undelivered", "30003")


def test_the_life_of_a_session_is_told(scene):
    scene.subscribe("session.created", "session.rolled_over", "session.closed", "session.reopened", "person.requested")
    scene.twilio.sms()
    with scene.following():
        first = session_id(scene)
        actions.ask_for_person(scene.runtime, first, "he shouted: give me a human")
        operators.close(scene.runtime, first, "ada")
        operators.reopen(scene.runtime, first, "ada")
        scene.runtime.clock.ahead = timedelta(minutes=10)
        scene.twilio.sms("Later")
        wait_for(lambda: scene.queued() >= 7)
    scene.deliver()
    told = scene.receiver.events
    assert [event["type"] for event in told] == [
        "session.created",
        "person.requested",
        "session.closed",
        "session.reopened",
        "session.closed",
        "session.created",
        "session.rolled_over",
    ]
    assert told[1]["data"]["reason"] == "handed over by the bot"
    assert "shouted" not in str(told)
    assert [event["data"].get("closed_reason") for event in told[2:5:2]] == ["operator", "idle"]
    rolled_over = told[-1]["data"]
    assert rolled_over["previous_session_id"] == first
    assert rolled_over["threshold_seconds"] == 300
    assert rolled_over["gap_seconds"] >= 599


def test_a_call_is_told_from_its_start_to_its_end(scene):
    scene.subscribe()
    sid = "CA" + "7" * 32
    scene.twilio.call(CallSid=sid)
    ended = fixture("voice/status_completed") | {"CallSid": sid}
    scene.twilio.post("/webhooks/voice/status", ended)
    scene.find_out(3)
    found = types(scene)
    assert found == ["session.created", "call.started", "call.ended"]
    scene.deliver()
    assert scene.receiver.events[-1]["data"]["status"] == "completed"


def test_nothing_is_watched_while_nobody_listens(scene, monkeypatch):
    monkeypatch.setattr(feed, "Follower", None)
    scene.twilio.sms()
    feed.follow(scene.runtime, threading.Event())
    scene.subscribe(active=False)
    feed.follow(scene.runtime, threading.Event())
    assert scene.queued() == 0


def test_who_subscribes_hears_of_what_comes_and_not_of_what_was(scene):
    scene.twilio.sms("Before")
    scene.runtime.clock.ahead = timedelta(seconds=5)
    scene.subscribe("message.received")
    scene.twilio.sms("After")
    scene.find_out(1)
    scene.deliver()
    assert [event["data"]["message"]["content"] for event in scene.receiver.events] == ["After"]


def test_a_second_subscription_hears_while_the_first_is_followed(scene):
    scene.subscribe("message.received", path="/one")
    with scene.following():
        scene.twilio.sms("One")
        wait_for(lambda: scene.queued() >= 1)
        scene.subscribe("message.received", path="/two")
        scene.twilio.sms("Two")
        wait_for(lambda: scene.queued() >= 3)
    scene.deliver()
    said = [(told.path, told.event["data"]["message"]["content"]) for told in scene.receiver.told]
    assert {("/one", "One"), ("/one", "Two"), ("/two", "Two")} <= set(said)


def test_what_happens_while_no_worker_runs_is_told_by_the_next_one(scene):
    scene.subscribe("message.received", "session.closed")
    scene.find_out(0)
    scene.twilio.sms("While away")
    operators.close(scene.runtime, session_id(scene), "ada")
    scene.find_out(2)
    assert types(scene) == ["message.received", "session.closed"]


def test_what_is_found_out_twice_is_told_once(scene):
    scene.subscribe()
    scene.twilio.sms()
    scene.find_out(3)
    assert scene.deliver() == 3
    scene.db.jobs.update_one({"_id": feed.JOB}, {"$unset": {"place": "", "until": ""}})
    with scene.following():
        scene.twilio.sms("More")
        wait_for(lambda: scene.queued() >= 5)
    assert scene.deliver() == 2
    assert len({event["id"] for event in scene.receiver.events}) == 5


def lose_the_place(scene, monkeypatch):
    """Let MongoDB's oplog have moved on while no worker ran."""
    real, lost = stored_feed.follow, []

    @contextmanager
    def forgetful(place, since):
        if not lost:
            lost.append(place)
            raise PlaceLost("gone")
        with real(place, since) as batches:
            yield batches

    monkeypatch.setattr(stored_feed, "follow", forgetful)
    return lost


def test_where_the_place_is_lost_stored_messages_are_told_all_the_same(scene, monkeypatch):
    scene.subscribe()
    scene.find_out(0)
    scene.twilio.sms("While away")
    send_by_hand(scene)
    report(scene, "delivered")
    lost = lose_the_place(scene, monkeypatch)
    scene.find_out(5)
    assert lost
    assert types(scene) == [*NONE_LOST, "message.sent", "message.status"]
    # And then it follows again.
    scene.twilio.sms("Back")
    scene.find_out(7)
    assert scene.deliver() == 7
    assert len({event["id"] for event in scene.receiver.events}) == 7


def test_a_mongodb_without_changes_is_looked_at_for_messages(scene, monkeypatch):
    @contextmanager
    def standalone(_place, _since):
        raise NoChangeStreams("standalone")
        yield

    monkeypatch.setattr(stored_feed, "follow", standalone)
    monkeypatch.setattr(feed, "LOOK_SECONDS", 0.05)
    scene.subscribe()
    with scene.following():
        scene.twilio.sms("One")
        wait_for(lambda: scene.queued() >= 3)
        scene.twilio.sms("Two")
        wait_for(lambda: scene.queued() >= 5)
    assert scene.deliver() == 5


def test_history_that_is_brought_in_is_no_news(scene):
    scene.subscribe("message.received")
    scene.twilio.sms()
    old = scene.db.messages.find_one({"direction": "inbound"})
    with scene.following():
        scene.db.messages.insert_one(old | {"_id": "SMold", "createdAt": old["createdAt"] - timedelta(days=8)})
        scene.twilio.sms("New")
        wait_for(lambda: scene.queued() >= 2)
    assert not scene.queued(about="SMold")


def test_a_subscription_limited_to_a_channel_hears_of_nothing_else(scene):
    scene.twilio.sms("To one", To="+15550000001")
    scene.twilio.sms("To two", To="+15550000002")
    one, two = (scene.db.sessions.find_one({"metadata.toNumber": f"+1555000000{n}"})["channel_id"] for n in (1, 2))
    scene.subscribe(limited_to=[one])
    scene.twilio.sms("To one again", To="+15550000001")
    scene.twilio.sms("To two again", To="+15550000002")
    with scene.following():
        wait_for(lambda: scene.queued() >= 2)
        scene.twilio.sms("And one", To="+15550000001")
        wait_for(lambda: scene.queued(about={"$regex": "^SM"}) >= 2)
    scene.deliver()
    told = str(scene.receiver.events)
    assert "To one again" in told
    assert two not in told
    assert "To two" not in told
    # Nor of a message on its channel in a session of another one.
    message = scene.db.messages.find_one({"content": "To two again"})
    scene.db.messages.update_one({"_id": message["_id"]}, {"$set": {"channel_id": one}})
    assert payload.body({"type": "message.received", "message_id": message["_id"]}, scene.subscription) is None


@pytest.mark.parametrize(("limited", "told_of"), [(True, False), (False, True)])
def test_a_limited_subscription_is_not_told_of_a_session_before_on_another_channel(scene, limited, told_of):
    scene.twilio.sms("To two", To="+15550000002")
    scene.twilio.sms("To one", To="+15550000001")
    other = scene.db.sessions.find_one({"metadata.toNumber": "+15550000002"})["_id"]
    mine = scene.db.sessions.find_one({"metadata.toNumber": "+15550000001"})
    scene.db.sessions.update_one({"_id": mine["_id"]}, {"$set": {"previous_session_id": other}})
    scene.subscribe(limited_to=[mine["channel_id"]] if limited else None)
    event = {
        "id": "e", "type": "session.rolled_over", "at": TEN, "sequence": 1, "session_id": str(mine["_id"]),
        "facts": {"previous_session_id": str(other), "gap_seconds": 3600.0},
    }  # fmt: skip
    told = payload.body(event, scene.subscription).decode()
    assert "3600" in told
    assert (str(other) in told) is told_of


def test_a_subscription_ends_with_its_key(scene):
    key, _ = api_keys.add("crm", ["admin"], scene.runtime.clock.now(), by="a test")
    scene.subscribe(key=key.prefix)
    scene.twilio.sms("Before")
    scene.find_out(3)
    api_keys.revoke(key.prefix, scene.runtime.clock.now(), by="a test")
    assert scene.deliver() == 3
    assert scene.receiver.told == []
    feed.follow(scene.runtime, threading.Event())
    assert scene.get().disabled_reason == "key_ended"
    assert scene.db.audit.find_one({"action": "subscription_disabled"})["details"]["reason"] == "key_ended"


def test_a_forgotten_message_is_told_to_nobody(scene):
    scene.subscribe("message.received")
    scene.twilio.sms("Forget me")
    scene.find_out(1)
    scene.db.messages.delete_many({})
    scene.deliver()
    assert scene.receiver.told == []
    assert scene.rows()[0]["state"] == "canceled"


def test_flows_are_told_with_what_was_said_only_when_it_is_told(scene):
    scene.subscribe()
    with_flows(scene.app)
    scene.twilio.sms("hello")
    with scene.following():
        wait_for(lambda: scene.queued() >= 3)
        flow_starts.start(scene.app.extensions["gateway"], session_id(scene), "order", "ada", run="r1")
        for words in ("secret hats", "Hari", "Harbour"):
            scene.twilio.sms(words)
        flow_starts.start(scene.app.extensions["gateway"], session_id(scene), "order", "ada", run="r2")
        flow_starts.cancel(scene.app.extensions["gateway"], session_id(scene), "ada")
        wait_for(lambda: "flow.abandoned" in types(scene))
    told = {row["event"]["type"]: row["event"] for row in scene.rows() if row["event"]["type"].startswith("flow.")}
    assert set(told) == {"flow.started", "flow.completed", "flow.abandoned"}
    assert "secret hats" not in str(scene.rows())
    assert told["flow.abandoned"]["facts"] == {
        "flow": "order", "version": 1, "run": "r2", "outcome": "canceled", "step": "what"
    }  # fmt: skip
    scene.deliver()
    (completed,) = [event for event in scene.receiver.events if event["type"] == "flow.completed"]
    assert completed["data"]["values"] == {"what": "secret hats", "who": "Hari", "where": "Harbour"}
    assert completed["data"]["session"]["id"] == session_id(scene)
