"""Attempts at the provider that share their trips to MongoDB: each row is judged as if it were alone."""

from datetime import timedelta

import pytest
from bson import ObjectId

from gateway.store import attempts, outbox, outbox_claims
from gateway.store.attempts import Beginning, Confirmed, Outcome
from gateway.store.outbox import Row
from tests.conftest import TEN

LEASE = timedelta(seconds=60)
SECOND = timedelta(seconds=1)
PERSON, LINE = ObjectId(), "+15017122661"


def queued(db, name, *, lane="", status="queued", **fields):
    """Store a message with its row, and claim that."""
    sent = Row(name, outbox.SEND, name, due=TEN, queued_at=TEN, lane=lane)
    outbox.put(sent)
    place = {"session_id": ObjectId(), "channel_id": "c", "communication_type": "sms", "contact_id": PERSON}
    said = {"status": status, "status_history": [{"status": status, "at": TEN}]} if status else {}
    db.messages.insert_one({"_id": name, "direction": "outbound", "createdAt": TEN} | place | said | fields)
    return outbox_claims.claim(f"owner of {name}", TEN, LEASE, row_id=name)


def test_many_rows_are_claimed_once_whoever_asks(app, db):
    for number in range(6):
        outbox.put(Row(f"m{number}", outbox.SEND, f"m{number}", due=TEN + number * SECOND, queued_at=TEN))
    now = TEN + 4 * SECOND
    due = [row_id for row_id, _ in outbox_claims.due(now, limit=10)]
    mine = outbox_claims.claim_all("me", now, LEASE, due[:3])
    others = outbox_claims.claim_all("other", now, LEASE, due)
    assert ([row.id for row in mine], [row.id for row in others]) == (["m0", "m1", "m2"], ["m3", "m4"])
    assert {(row.owner, row.tries, row.due) for row in mine} == {("me", 1, now + LEASE)}


def test_i9_a_claim_that_was_lost_is_told_from_those_beside_it(app, db):
    rows = [queued(db, name) for name in ("held", "taken", "over")]
    db.outbox.update_one({"_id": "taken"}, {"$set": {"owner": "somebody else"}})
    db.outbox.update_one({"_id": "over"}, {"$set": {"due": TEN}})
    now = TEN + SECOND
    assert attempts.begin_all([Beginning(row, now, now + LEASE) for row in rows]) == [True, False, False]
    begun = {row["_id"]: row.get("attempted_at") for row in db.outbox.find()}
    assert begun == {"held": now, "taken": None, "over": None}


def test_a_second_attempt_keeps_the_time_of_the_first(app, db):
    row = queued(db, "m1")
    assert [attempts.begin(row, TEN + wait, LEASE) for wait in (SECOND, 3 * SECOND)] == [True, True]
    stored = db.outbox.find_one()
    assert (stored["attempted_at"], stored["last_attempt_at"]) == (TEN + SECOND, TEN + 3 * SECOND)


def test_each_row_learns_of_its_own_message_and_lane(app, db):
    db.contacts.insert_one({"_id": PERSON, "opted_out": {LINE: {"at": TEN}}})
    rows = [queued(db, name, lane=lane) for name, lane in [("a", "x"), ("b", "x"), ("c", "y"), ("d", "")]]
    rows.append(Row("gone", outbox.SEND, "gone", due=TEN, queued_at=TEN))
    known = attempts.look_all(rows)
    assert [one.message and one.message.id for one in known] == ["a", "b", "c", "d", None]
    assert [one.crowded for one in known] == [True, True, False, False, False]
    assert {one.opted_out for one in known[:4]} == {(LINE,)}


def test_where_queues_are_long_nobody_is_taken_to_be_alone_unread(app, db):
    rows = [queued(db, f"{lane}{number}", lane=lane) for lane in "abc" for number in range(7)]
    one_of_each = [row for row in rows if row.id.endswith("0")]
    assert [one.crowded for one in attempts.look_all(one_of_each)] == [True, True, True]


@pytest.mark.parametrize(
    ("status", "stays", "history"),
    [
        ("queued", "queued", ["queued"]),
        ("delivered", "delivered", ["delivered", "queued"]),
        (None, "queued", ["queued"]),
    ],
)
def test_i8_the_first_status_takes_effect_over_lower_ones_only(app, db, status, stays, history):
    row = queued(db, "m1", status=status)
    assert attempts.confirm(row, "SM1", "queued", TEN) == Confirmed(next_waits=False, statuses_wait=False)
    stored = db.messages.find_one()
    assert (stored["provider_sid"], stored["status"]) == ("SM1", stays)
    assert [entry["status"] for entry in stored["status_history"]] == history
    assert db.outbox.find_one()["state"] == "done"


def test_what_takes_effect_clears_the_error_of_an_earlier_try(app, db):
    row = queued(db, "m1", error_code="30001", error_message="Busy.")
    failed = queued(db, "m2", error_message="The model failed.", has_error=True)
    attempts.confirm_all([Outcome(row, "SM1", "sent", TEN), Outcome(failed, "SM2", "sent", TEN)])
    first, second = db.messages.find().sort("_id")
    assert ("error_code" in first, "error_message" in first, first["status"]) == (False, False, "sent")
    assert second["error_message"] == "The model failed."


def test_ids_and_words_are_taken_literally(app, db):
    attempts.confirm(queued(db, "m1"), "$status", "$createdAt", TEN)
    stored = db.messages.find_one()
    assert (stored["provider_sid"], stored["status_history"][-1]["status"]) == ("$status", "$createdAt")


def test_who_waits_behind_a_message_and_what_came_early_is_told_of_each(app, db):
    rows = [queued(db, name, lane=lane) for name, lane in [("a", "x"), ("b", "y")]]
    outbox.put(Row("next", outbox.SEND, "next", due=TEN, queued_at=TEN, lane="x"))
    db.outbox.update_one({"_id": "next"}, {"$set": {"behind": True}})
    db.callbacks.insert_one({"_id": "early", "about": "SM b"})
    told = attempts.confirm_all([Outcome(row, f"SM {row.id}", "queued", TEN) for row in rows])
    assert told == [Confirmed(next_waits=True, statuses_wait=False), Confirmed(next_waits=False, statuses_wait=True)]
