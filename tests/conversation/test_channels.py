"""Our numbers as operators set them: what is possible, what is inherited, and that the next message obeys."""

from datetime import timedelta

import mongoengine
import pytest
from bson import ObjectId

from gateway.conversation import channels
from gateway.conversation.channels import CannotSet, Changes
from gateway.conversation.presence import Presence
from gateway.store import channels as stored

SMS, VOICE = "sms:+15017122661", "voice:+14155551212"


@pytest.fixture
def runtime(app):
    return app.extensions["gateway"]


@pytest.fixture
def sms(twilio):
    twilio.sms()
    return mongoengine.get_db().channels.find_one({"communication_type": "sms"})["_id"]


@pytest.fixture
def voice(twilio):
    twilio.call()
    return mongoengine.get_db().channels.find_one({"communication_type": "voice"})["_id"]


def document(channel_id):
    return mongoengine.get_db().channels.find_one({"_id": channel_id})


def last_decision():
    return mongoengine.get_db().messages.find_one({"direction": "inbound"}, sort=[("createdAt", -1)])["decision"]


def test_the_next_message_is_decided_by_the_new_threshold(runtime, twilio, clock, sms):
    channels.configure(runtime, sms, Changes(threshold="30"), "ada")
    clock.move_to(seconds=31)
    twilio.sms()
    assert (last_decision()["kind"], last_decision()["threshold_seconds"]) == ("rolled_over", 30)
    channels.configure(runtime, sms, Changes(threshold="never"), "ada")
    clock.move_to(minutes=600)
    twilio.sms()
    assert (last_decision()["kind"], last_decision()["threshold_seconds"]) == ("reused", None)
    channels.configure(runtime, sms, Changes(threshold=""), "ada")
    assert "idle_seconds" not in document(sms)
    clock.move_to(minutes=620)
    twilio.sms()
    assert last_decision()["threshold_seconds"] == 300


@pytest.mark.parametrize("text", ["-1", "-0.001", "soon", "nan", "inf", "1e10", "true"])
def test_a_threshold_that_settings_refuse_is_refused_and_changes_nothing(runtime, sms, text):
    before = document(sms)
    with pytest.raises(CannotSet, match="The threshold must be") as refusal:
        channels.configure(runtime, sms, Changes(threshold=text, responder="canned", name="New"), "ada")
    assert refusal.value.name == "threshold"
    assert document(sms) == before


def test_zero_and_parts_of_a_second_are_thresholds(runtime, sms):
    for text, kept in (("0", 0), ("0.5", 0.5), (" 60 ", 60)):
        channels.configure(runtime, sms, Changes(threshold=text), "ada")
        assert document(sms)["idle_seconds"] == kept


def test_a_responder_is_one_of_those_there_are(runtime, twilio, sms):
    channels.configure(runtime, sms, Changes(responder="none"), "ada")
    assert "<Message" not in twilio.sms().text
    with pytest.raises(CannotSet, match="Choose one of none, echo"):
        channels.configure(runtime, sms, Changes(responder="parrot"), "ada")
    channels.configure(runtime, sms, Changes(), "ada")
    assert "<Message" in twilio.sms().text


def test_what_a_call_is_for_is_set_and_inherited_again(runtime, twilio, voice):
    channels.configure(runtime, voice, Changes(settings={"mode": "dial", "dial_to": "+15005550006"}), "ada")
    assert "<Dial" in twilio.call().text
    channels.configure(runtime, voice, Changes(settings={"greeting": "", "mode": "converse"}), "ada")
    assert document(voice)["settings"] == {"mode": "converse", "greeting": ""}
    assert "How can we help" not in twilio.call().text
    channels.configure(runtime, voice, Changes(), "ada")
    assert "How can we help" in twilio.call().text


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"mode": "sing"}, "mode"), ({"mode": "dial", "dial_to": "5550006"}, "dial_to"), ({"mode": "dial"}, "dial_to"),
    ],
)  # fmt: skip
def test_what_a_call_cannot_be_for_is_refused(runtime, voice, settings, field):
    with pytest.raises(CannotSet) as refusal:
        channels.configure(runtime, voice, Changes(settings=settings), "ada")
    assert refusal.value.name == field
    assert document(voice)["settings"] == {}


def test_a_pace_is_a_number_above_nothing(runtime, sms):
    channels.configure(runtime, sms, Changes(settings={"segments_per_second": "10"}), "ada")
    assert document(sms)["settings"] == {"segments_per_second": 10.0}
    with pytest.raises(CannotSet):
        channels.configure(runtime, sms, Changes(settings={"segments_per_second": "0"}), "ada")


def test_what_is_set_beside_is_left_alone(runtime, sms):
    mongoengine.get_db().channels.update_one({"_id": sms}, {"$set": {"settings.own": 1, "legacy": True}})
    channels.configure(runtime, sms, Changes(name="  Front   desk "), "ada")
    assert document(sms)["settings"] == {"own": 1}
    assert (document(sms)["legacy"], document(sms)["name"]) == (True, "Front desk")


def test_who_changed_what_is_in_the_audit_and_nothing_where_nothing_changed(runtime, sms):
    assert channels.configure(runtime, sms, Changes(threshold="60"), "ada") == ["idle_seconds"]
    assert channels.configure(runtime, sms, Changes(threshold="60"), "ada") == ()
    (entry,) = mongoengine.get_db().audit.find()
    assert (entry["by"], entry["action"], entry["details"]["channel"]) == ("ada", "channel_changed", sms)
    assert entry["details"]["changes"] == [{"field": "idle_seconds", "from": "(inherited)", "to": 60}]


def test_an_adopted_channel_is_found_by_its_own_id(runtime):
    key = ObjectId()
    line = {"phone_number": "+15017122661", "communication_type": "sms", "name": "Old"}
    mongoengine.get_db().channels.insert_one({"_id": key} | line)
    assert channels.configure(runtime, str(key), Changes(threshold="60"), "ada") == ["idle_seconds"]
    with pytest.raises(CannotSet, match="no such channel"):
        channels.configure(runtime, "sms:nowhere", Changes(), "ada")


def test_when_a_channel_was_last_written_to_is_stored_with_the_next_heartbeat(runtime, twilio, clock, sms):
    clock.move_to(minutes=3)
    twilio.sms()
    assert "last_webhook_at" not in document(sms)
    stored.note_heard(runtime.channels.take_heard(), clock.moment)
    assert document(sms)["last_webhook_at"] == clock.moment
    assert runtime.channels.take_heard() == {}


def test_a_message_of_a_simulated_future_came_now(runtime, clock, sms):
    runtime.channels.hear(sms, clock.moment + timedelta(hours=2))
    Presence(runtime, "web", dict).beat()
    assert document(sms)["last_webhook_at"] == clock.moment
