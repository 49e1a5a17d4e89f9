"""Delivery statuses: in any order, any number of times, none lost and none taking effect backwards."""

import itertools
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from tests.conftest import TEN, fixture
from tests.webhooks.conftest import contents, named

SID = fixture("status/sent")["MessageSid"]


@pytest.fixture
def sent(db: Any) -> Any:
    """Store a message of ours that Twilio knows by a SID, and read it back."""
    message = {
        "_id": "re:SM1", "session_id": ObjectId(), "direction": "outbound", "sender": "ai", "content": "Hi",
        "provider_sid": SID, "createdAt": TEN, "storedAt": TEN,
    }  # fmt: skip
    db.messages.insert_one(message)
    return lambda: db.messages.find_one({"_id": "re:SM1"})


def report(twilio: Any, *statuses: str, **changes: str) -> None:
    for status in statuses:
        known = status in ("delivered", "failed", "queued", "read", "sent", "undelivered")
        form = fixture(f"status/{status if known else 'sent'}")
        answer = twilio.post("/webhooks/status", form | {"MessageStatus": status, "SmsStatus": status} | changes)
        assert (answer.status_code, answer.data) == (204, b"")


def history(message: dict[str, Any]) -> list[str]:
    return [entry["status"] for entry in message["status_history"]]


@pytest.mark.parametrize("status", ["queued", "sent", "delivered", "undelivered", "failed", "read"])
def test_the_first_status_takes_effect(twilio, sent, status):
    report(twilio, status)
    assert (sent()["status"], history(sent())) == (status, [status])


@pytest.mark.parametrize("order", list(itertools.permutations(["queued", "sent", "delivered", "read"])), ids="-".join)
def test_a_status_never_goes_back(twilio, sent, order):
    for seen in range(1, 5):
        report(twilio, order[seen - 1])
        highest = max(order[:seen], key=["queued", "sent", "delivered", "read"].index)
        assert sent()["status"] == highest
    report(twilio, *reversed(order))
    assert sent()["status"] == "read"
    assert history(sent()) == list(order)


@pytest.mark.parametrize("end", ["failed", "undelivered"])
@pytest.mark.parametrize("late", ["queued", "sending", "sent", "accepted", "scheduled"])
def test_a_failure_is_not_undone_by_what_came_before_it(twilio, sent, end, late):
    report(twilio, end, late)
    assert sent()["status"] == end
    assert sent()["error_code"] == fixture(f"status/{end}")["ErrorCode"]
    assert history(sent()) == [end, late]


@pytest.mark.parametrize("order", [("undelivered", "delivered"), ("delivered", "undelivered")], ids="-".join)
def test_delivered_outranks_undelivered_in_either_order(twilio, sent, order):
    report(twilio, *order)
    assert sent()["status"] == "delivered"
    assert sent().get("error_code") is None
    assert {entry["status"]: entry.get("error_code") for entry in sent()["status_history"]} == {
        "delivered": None, "undelivered": "30003",
    }  # fmt: skip


def test_the_history_says_when_each_status_came(twilio, sent, clock):
    report(twilio, "sent")
    clock.move_to(seconds=5)
    report(twilio, "delivered", "delivered")
    assert [entry["at"] for entry in sent()["status_history"]] == [TEN, TEN + timedelta(seconds=5)]


@pytest.mark.parametrize("status", ["teleported", "receiving", "received"])
def test_an_unknown_status_joins_the_history_alone(twilio, sent, status):
    report(twilio, "sent", status)
    assert (sent()["status"], history(sent())) == ("sent", ["sent", status])


def test_a_status_in_capitals_counts(twilio, sent):
    report(twilio, "sent", "DELIVERED")
    assert sent()["status"] == "delivered"


def test_a_status_is_logged(twilio, sent, logged):
    report(twilio, "undelivered")
    (event,) = named(logged, "status_applied")
    assert (event["message_sid"], event["status"], event["error_code"]) == (SID, "undelivered", "30003")


def test_a_status_of_an_unknown_message_is_parked(twilio, db, logged):
    report(twilio, "sent", "delivered", "sent")
    assert contents(db) == {"callbacks": 2}
    parked = db.callbacks.find_one({"parameters.MessageStatus": "delivered"})
    assert (parked["about"], parked["receivedAt"]) == (SID, TEN)
    assert parked["parameters"] == fixture("status/delivered")
    assert {event["message_sid"] for event in named(logged, "callback_parked")} == {SID}


def test_a_status_of_a_message_of_theirs_changes_nothing(twilio, db):
    twilio.sms()
    before = db.messages.find_one({"direction": "inbound"})
    report(twilio, "delivered", MessageSid=before["_id"])
    assert db.messages.find_one({"direction": "inbound"}) == before


def test_a_status_moves_no_session(twilio, db, clock):
    twilio.sms()
    answer = db.messages.find_one({"direction": "outbound"})
    db.messages.update_one({"_id": answer["_id"]}, {"$set": {"provider_sid": SID}})
    before = list(db.sessions.find())
    clock.move_to(minutes=4)
    report(twilio, "delivered")
    assert list(db.sessions.find()) == before
