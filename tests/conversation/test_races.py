"""Invariants under real races: four processes, sixteen threads each, one MongoDB."""

import random
from collections import Counter
from datetime import timedelta
from typing import Any

import mongoengine
import pytest

from gateway.store import connection
from tests.conftest import ACCOUNT, HOST, TEN, TOKEN, fixture
from tests.conversation.fleet import Fleet, Webhook

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def make_fleet(mongo, make_settings, tmp_path):
    """Start a fleet with these settings over this test's database."""
    started = []

    def make(**given: Any) -> Fleet:
        connection.connect(make_settings())
        connection.create_indexes()
        defaults = {
            "env": "test",
            "data_dir": str(tmp_path),
            "mongodb_uri": mongo.uri.replace("/gateway?", "/test?"),
            "public_url": HOST,
            "twilio_account_sid": ACCOUNT,
            "twilio_auth_token": [TOKEN],
            "secret_key": "test-secret-key",
        }
        started.append(Fleet(defaults | given))
        return started[-1]

    yield make
    for fleet in started:
        fleet.stop()


def webhook(channel, sid, sender, at):
    number = f"+1555{sender:07d}"
    if channel == "voice":
        return Webhook("/webhooks/voice", fixture("voice/incoming") | {"CallSid": sid, "From": number}, at)
    if channel == "whatsapp":
        params = {"MessageSid": sid, "From": f"whatsapp:{number}", "WaId": number[1:], "Body": sid}
        return Webhook("/webhooks/whatsapp", fixture("whatsapp/text") | params, at)
    return Webhook("/webhooks/sms", fixture("sms/text") | {"MessageSid": sid, "From": number, "Body": sid}, at)


def sid(number):
    return f"SM{number:032x}"


def sessions(**query):
    return list(mongoengine.get_db().sessions.find(query))


def messages(**query):
    return mongoengine.get_db().messages.count_documents(query)


ROUNDS, AT_ONCE = 20, 64


def test_i2_simultaneous_first_messages_share_one_open_session(make_fleet, channel):
    fleet = make_fleet(reply={"hourly_limit": 0})
    for number in range(ROUNDS):
        base = number * AT_ONCE
        answers = fleet.deliver([webhook(channel, sid(base + n), number, TEN) for n in range(AT_ONCE)])
        assert {status for status, _ in answers} == {200}
    found = sessions()
    assert len(found) == ROUNDS
    assert {s["status"] for s in found} == {"active"}
    # The answers: echo repeats texts; a call that only begins has no answer of its own yet.
    each = AT_ONCE if channel == "voice" else 2 * AT_ONCE
    assert [s["message_count"] for s in found] == [each] * ROUNDS
    assert messages(direction="inbound") == ROUNDS * AT_ONCE
    kinds = Counter(m["decision"]["kind"] for m in mongoengine.get_db().messages.find({"direction": "inbound"}))
    assert kinds["created"] == ROUNDS


def test_simultaneous_messages_past_the_threshold_roll_over_once(make_fleet, channel):
    fleet, past = make_fleet(reply={"responder": "none"}), TEN + timedelta(seconds=300.001)
    for number in range(10):
        base = 1000 * number
        fleet.deliver([webhook(channel, sid(base), number, TEN)])
        mongoengine.get_db().sessions.update_many({}, {"$set": {"live": []}})
        fleet.deliver([webhook(channel, sid(base + 1 + n), number, past) for n in range(AT_ONCE)])
    rolled = sessions(previous_session_id={"$ne": None})
    assert len(rolled) == 10
    assert [s["message_count"] for s in rolled] == [AT_ONCE] * 10
    old = sessions(previous_session_id=None)
    assert {(s["status"], s["closed_reason"], s["message_count"]) for s in old} == {("closed", "idle", 1)}


def test_i3_every_message_delivered_three_times_at_once_is_stored_once(make_fleet, channel):
    fleet = make_fleet()
    deliveries = [webhook(channel, sid(n), n % 50, TEN + timedelta(seconds=n)) for n in range(500)] * 3
    random.Random(7).shuffle(deliveries)
    answers: dict[str, set[str]] = {}
    for start in range(0, len(deliveries), 150):
        batch = deliveries[start : start + 150]
        for delivered, (status, twiml) in zip(batch, fleet.deliver(batch), strict=True):
            assert status == 200
            key = delivered.params.get("CallSid") or delivered.params["MessageSid"]
            answers.setdefault(key, set()).add(twiml)
    assert messages(direction="inbound") == 500
    assert messages(direction="outbound") == (0 if channel == "voice" else 500)
    assert {len(given) for given in answers.values()} == {1}
    assert sum(s["message_count"] for s in sessions()) == messages()
    for session in sessions():
        assert session["message_count"] == messages(session_id=session["_id"])


def test_threshold_zero_gives_65_simultaneous_messages_65_sessions(make_fleet, channel):
    fleet = make_fleet(reply={"responder": "none"}, sessions={"idle_seconds": 0})
    fleet.deliver([webhook(channel, sid(n), 1, TEN) for n in range(65)])
    assert [s["message_count"] for s in sessions()] == [1] * 65


def test_clocks_two_seconds_apart_reuse_and_never_move_a_session_back(make_fleet, channel):
    fleet = make_fleet(reply={"responder": "none"})
    fleet.deliver([webhook(channel, sid(1), 1, TEN)])
    skewed = [TEN + timedelta(seconds=60 - 2 * (n % 2)) for n in range(64)]
    fleet.deliver([webhook(channel, sid(n + 2), 1, at) for n, at in enumerate(skewed)])
    (only,) = sessions()
    assert (only["message_count"], only["last_message_at"]) == (65, TEN + timedelta(seconds=60))
