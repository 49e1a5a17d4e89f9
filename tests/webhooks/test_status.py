"""Delivery statuses: in any order, any number of times, none lost and none taking effect backwards."""

import itertools
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from bson import ObjectId

from gateway.conversation.status import apply_status
from gateway.core.messages import StatusUpdate
from gateway.store import callbacks, delivery
from tests.conftest import HOST, TEN, Twilio, fixture
from tests.webhooks.conftest import contents, named, twiml

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
    parked = db.callbacks.find_one({"event.status": "delivered"})
    assert (parked["about"], parked["receivedAt"]) == (SID, TEN)
    assert parked["event"]["parameters"] == fixture("status/delivered")
    assert {event["message_sid"] for event in named(logged, "callback_parked")} == {SID}


def test_i8_a_status_whose_sid_is_stored_just_before_it_is_parked_takes_effect(twilio, db, sent, monkeypatch):
    db.messages.update_one({"_id": "re:SM1"}, {"$unset": {"provider_sid": ""}})
    park = callbacks.park

    def after_the_worker(about, callback):
        # It stores the SID and looks for what is parked, where nothing is yet.
        db.messages.update_one({"_id": "re:SM1"}, {"$set": {"provider_sid": SID}})
        park(about, callback)

    monkeypatch.setattr(callbacks, "park", after_the_worker)
    report(twilio, "delivered")
    assert sent()["status"] == "delivered"


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


def report_on(twilio: Any, message_id: str, status: str, sid: str, **changes: str) -> None:
    form = fixture("status/sent") | {"MessageSid": sid, "SmsSid": sid, "MessageStatus": status} | changes
    assert twilio.post(f"/webhooks/status?m={message_id}", form).status_code == 204


def test_an_inline_answer_gets_its_sid_and_state_from_its_callback(twilio, db):
    (message,) = twiml(twilio.sms("Hello", MessageSid="SM7")).iter("Message")
    url = message.attrib["statusCallback"].removeprefix(HOST)
    assert url == "/webhooks/status?m=re:SM7"
    for status in ("sent", "delivered"):
        report_on(twilio, "re:SM7", status, "SMinline")
    answer = db.messages.find_one({"_id": "re:SM7"})
    assert (answer["provider_sid"], answer["status"]) == ("SMinline", "delivered")
    assert history(answer) == ["sent", "delivered"]


def test_every_piece_of_a_long_inline_answer_has_a_state_of_its_own(make_app, db):
    app = make_app(reply={"responder": "canned"}, canned={"default": "word " * 700})
    twilio = Twilio(app.test_client())
    parts = list(twiml(twilio.sms("Hello", MessageSid="SM7")).iter("Message"))
    for number, part in enumerate(parts):
        message_id = part.attrib["statusCallback"].partition("?m=")[2]
        report_on(twilio, message_id, ("delivered", "sent", "failed")[number], f"SMpart{number}")
    stored = list(db.messages.find({"direction": "outbound"}).sort("_id", 1))
    assert [message["status"] for message in stored] == ["delivered", "sent", "failed"]
    assert [message["content"] for message in stored] == [part.text for part in parts]
    assert db.sessions.find_one()["message_count"] == 4


@pytest.mark.parametrize("message_id", ["re:SM404", "SM7", "", "re:SM7&m=x", "%00", "$where"])
def test_a_callback_that_names_no_message_of_ours_is_parked(twilio, db, message_id):
    twilio.sms("Hello", MessageSid="SM7", From="+15550001111")
    report_on(twilio, message_id, "delivered", "SMother")
    inbound = db.messages.find_one({"_id": "SM7"})
    assert (inbound["provider_sid"], inbound["status"]) == ("SM7", "received")
    if message_id != "re:SM7&m=x":
        assert db.callbacks.count_documents({"about": "SMother"}) == 1


def test_a_callback_may_not_rename_a_message_whose_sid_is_known(twilio, sent, db):
    report_on(twilio, "re:SM1", "delivered", "SMimpostor")
    assert sent()["provider_sid"] == SID
    assert "status" not in sent()
    assert db.callbacks.count_documents({}) == 1


def test_statuses_that_arrive_together_take_effect_like_those_that_come_one_by_one(app, sent, db):
    db.messages.insert_one({"_id": "re:SM2", "session_id": ObjectId(), "direction": "outbound", "createdAt": TEN})
    updates = [
        StatusUpdate(SID, "sent", TEN, {}),
        StatusUpdate("SMnew", "queued", TEN, {}, message_id="re:SM2"),
        StatusUpdate("SMnew", "delivered", TEN, {}, message_id="re:SM2"),
        StatusUpdate("SMother", "delivered", TEN, {}, message_id="re:SM1"),
        StatusUpdate("SMunknown", "sent", TEN, {}),
    ]
    applied = delivery.apply_together(updates)
    assert [one and (one.message_id, one.found_out) for one in applied] == [
        ("re:SM1", False), ("re:SM2", True), ("re:SM2", True), None, None,
    ]  # fmt: skip
    assert (sent()["status"], history(sent())) == ("sent", ["sent"])
    second = db.messages.find_one({"_id": "re:SM2"})
    assert (second["provider_sid"], second["status"], history(second)) == (
        "SMnew",
        "delivered",
        ["queued", "delivered"],
    )


def test_a_group_in_which_two_name_the_same_message_is_done_one_by_one_and_nothing_waits_on(app, db):
    db.messages.insert_one({"_id": "re:SM2", "session_id": ObjectId(), "direction": "outbound", "createdAt": TEN})
    serving = app.extensions["gateway"]
    callbacks.park("SMnew", StatusUpdate("SMnew", "delivered", TEN, {}))
    first = StatusUpdate("SMnew", "queued", TEN, {}, message_id="re:SM2")
    assert delivery.apply_together([first, replace(first, sid="SMother")]) == [None, None]
    with patch.object(delivery, "apply_together", lambda updates: [None] * len(updates)):
        apply_status(serving, first)
        apply_status(serving, replace(first, sid="SMother"))
    second = db.messages.find_one({"_id": "re:SM2"})
    assert (second["provider_sid"], second["status"], history(second)) == (
        "SMnew",
        "delivered",
        ["queued", "delivered"],
    )


def test_what_waited_for_an_id_is_applied_though_the_write_that_told_it_was_confirmed_too_late(app, sent, db):
    serving = app.extensions["gateway"]
    callbacks.park(SID, StatusUpdate(SID, "delivered", TEN, {}))
    apply_status(serving, StatusUpdate(SID, "sent", TEN, {}, message_id="re:SM1"), again=True)
    assert (sent()["status"], history(sent())) == ("delivered", ["sent", "delivered"])


def test_an_odd_document_costs_no_other_status_of_its_group(app, sent, db):
    db.messages.insert_one({"_id": "odd", "direction": "outbound", "provider_sid": "SModd", "status_history": "odd"})
    updates = [StatusUpdate("SModd", "sent", TEN, {}), StatusUpdate(SID, "sent", TEN, {})]
    assert delivery.apply_together(updates) == [None, None]
    apply_status(app.extensions["gateway"], updates[1])
    assert sent()["status"] == "sent"


def test_i8_ten_thousand_shuffled_and_repeated_callbacks_leave_every_message_in_its_highest_state(app, db):
    rng = random.Random(8)
    ways = [
        ["queued", "sending", "sent", "delivered", "read"],
        ["accepted", "queued", "sent", "undelivered"],
        ["queued", "sending", "failed"],
        ["scheduled", "canceled"],
        ["queued", "sent", "delivered"],
    ]
    updates, expected = [], {}
    for number in range(600):
        way = ways[number % len(ways)]
        db.messages.insert_one(
            {
                "_id": f"re:SM{number}", "session_id": ObjectId(), "direction": "outbound", "sender": "ai",
                "content": "Hi", "createdAt": TEN, "storedAt": TEN,
            }
        )  # fmt: skip
        expected[f"re:SM{number}"] = (way[-1], set(way))
        updates += [
            StatusUpdate(f"SMout{number}", status, TEN, {}, message_id=f"re:SM{number}" if rng.random() < 0.5 else "")
            for status in way
        ]
        updates.append(StatusUpdate(f"SMout{number}", way[0], TEN, {}, message_id=f"re:SM{number}"))
    updates = (updates * 4)[:10_000]
    rng.shuffle(updates)
    serving = app.extensions["gateway"]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda update: apply_status(serving, update), updates))
    # What came before its SID was known is applied by whatever tells the SID.
    found = {message["_id"]: message for message in db.messages.find()}
    assert {name: message["status"] for name, message in found.items()} == {
        name: status for name, (status, _) in expected.items()
    }
    for name, (_, way) in expected.items():
        statuses = history(found[name])
        assert len(statuses) == len(set(statuses))
        assert set(statuses) == way
    assert len(updates) == 10_000
