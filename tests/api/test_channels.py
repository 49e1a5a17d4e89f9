"""Our numbers over the API: what holds on each, and changing what is the number's own."""

import pytest

from tests.api.conftest import problem

SMS, VOICE = "sms:+15017122661", "voice:+14155551212"
AT = SMS.replace("+", "%2B")


@pytest.fixture(autouse=True)
def numbers(app, twilio):
    twilio.sms()
    twilio.call(To="+14155551212")


def test_all_are_listed_with_what_holds(reader):
    listed = reader.get("/channels").json
    assert [one["id"] for one in listed["items"]] == [VOICE, SMS]
    assert listed["next_cursor"] is None
    sms = reader.get(f"/channels/{AT}").json
    assert sms == listed["items"][1]
    assert (sms["communication_type"], sms["phone_number"]) == ("sms", "+15017122661")
    assert (sms["idle_seconds"], sms["threshold_seconds"]) == (None, 300)
    assert (sms["responder"], sms["answered_by"]) == (None, "echo")


def test_what_is_left_out_stays_as_it_is(owner, db):
    assert owner.patch(f"/channels/{AT}", json={"idle_seconds": 90.5, "name": "Shop"}).json["threshold_seconds"] == 90.5
    changed = owner.patch(f"/channels/{AT}", json={"settings": {"segments_per_second": 3}}).json
    assert (changed["idle_seconds"], changed["name"]) == (90.5, "Shop")
    assert changed["settings"] == {"segments_per_second": 3}
    changed = owner.patch(f"/channels/{AT}", json={"idle_seconds": "never", "responder": "none"}).json
    assert (changed["idle_seconds"], changed["threshold_seconds"]) == ("never", None)
    assert (changed["responder"], changed["settings"]) == ("none", {"segments_per_second": 3})
    assert owner.patch(f"/channels/{AT}", json={"name": "Store"}).json["idle_seconds"] == "never"
    inherited = {"idle_seconds": None, "responder": None, "settings": {"segments_per_second": None}}
    changed = owner.patch(f"/channels/{AT}", json=inherited).json
    assert (changed["idle_seconds"], changed["threshold_seconds"], changed["answered_by"]) == (None, 300, "echo")
    assert changed["settings"] == {}
    assert db.audit.find_one({"action": "channel_changed"})["by"] == "key:test"


def test_the_next_message_obeys(owner, twilio, clock, db):
    owner.patch(f"/channels/{AT}", json={"idle_seconds": 30})
    clock.tick(31)
    twilio.sms("again", MessageSid="SM" + "e" * 32)
    assert db.messages.find_one({"_id": "SM" + "e" * 32})["decision"]["kind"] == "rolled_over"


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({"idle_seconds": -1}, 422, "wrong_value", "body.idle_seconds"),
        ({"idle_seconds": True}, 422, "wrong_value", "body.idle_seconds"),
        ({"idle_seconds": "300"}, 422, "wrong_value", "body.idle_seconds"),
        ({"idle_second": 1}, 422, "wrong_value", "body.idle_second"),
        ({"name": ""}, 422, "wrong_value", "body.name"),
        ({"responder": "nobody"}, 409, "cannot_set", "body.responder"),
        ({"settings": {"greeting": "Hello"}}, 409, "cannot_set", "body.settings.greeting"),
        ({"settings": {"pitch": 1}}, 422, "wrong_value", "body.settings.pitch"),
    ],
)
def test_what_cannot_be_set_is_named(owner, db, body, status, code, field):
    told = problem(owner.patch(f"/channels/{AT}", json=body), status, code)
    assert told["field"].startswith(field)
    assert "idle_seconds" not in db.channels.find_one({"_id": SMS})


def test_a_call_that_is_put_through_needs_a_number(owner):
    where = f"/channels/{VOICE.replace('+', '%2B')}"
    told = problem(owner.patch(where, json={"settings": {"mode": "dial"}}), 409, "cannot_set")
    assert "needs a number" in told["detail"]
    changed = owner.patch(where, json={"settings": {"mode": "dial", "dial_to": "+15550001111"}}).json
    assert changed["settings"] == {"mode": "dial", "dial_to": "+15550001111"}


def test_who_may_what(reader, writer, program):
    problem(reader.get("/channels/sms:nowhere"), 404, "not_found")
    problem(writer.patch(f"/channels/{AT}", json={"name": "Mine"}), 403, "scope_missing")
    limited = program("admin", channels=[VOICE])
    assert [one["id"] for one in limited.get("/channels").json["items"]] == [VOICE]
    problem(limited.get(f"/channels/{AT}"), 404, "not_found")
    problem(limited.patch(f"/channels/{AT}", json={"name": "Mine"}), 404, "not_found")
