"""Counts that stop at a limit: exact below it, and above it not counted again for a while."""

import mongoengine
import pytest

from gateway.store import capped, connection
from gateway.store.capped import LIMIT, SECONDS, Capped
from gateway.store.listing import Wanted
from tests.conftest import TEN

SMS = {"sms": (Wanted("sms"), None)}


@pytest.fixture(autouse=True)
def connected(make_settings):
    connection.connect(make_settings())


@pytest.fixture
def times():
    return [0.0]


@pytest.fixture
def counter(times):
    return Capped(lambda: times[0])


def add(count, channel="sms:1"):
    row = {"communication_type": "sms", "channel_id": channel, "status": "closed", "last_message_at": TEN}
    mongoengine.get_db().sessions.insert_many([dict(row) for _ in range(count)])


def remove(count):
    for _ in range(count):
        mongoengine.get_db().sessions.delete_one({})


def test_below_the_limit_each_count_is_exact(counter):
    add(LIMIT - 1)
    assert counter.counts(SMS) == {"sms": LIMIT - 1}
    remove(9)
    assert counter.counts(SMS) == {"sms": LIMIT - 10}


def test_what_reached_the_limit_is_believed_to_for_a_while(counter, times):
    add(LIMIT)
    assert counter.counts(SMS) == {"sms": LIMIT}
    remove(1)
    times[0] = SECONDS - 1
    assert counter.counts(SMS) == {"sms": LIMIT}
    times[0] = SECONDS
    assert counter.counts(SMS) == {"sms": LIMIT - 1}


def test_what_was_believed_is_not_believed_for_longer_by_being_asked_for(counter, times):
    add(LIMIT)
    for times[0] in (0, SECONDS / 2):
        counter.counts(SMS)
    remove(1)
    times[0] = SECONDS
    assert counter.counts(SMS) == {"sms": LIMIT - 1}


def test_beside_many_the_others_are_counted(counter):
    add(LIMIT)
    wanted = SMS | {"chat": (Wanted("chat"), None)}
    assert counter.counts(wanted) == {"sms": LIMIT, "chat": 0}
    mongoengine.get_db().sessions.update_one({}, {"$set": {"communication_type": "chat"}})
    assert counter.counts(wanted) == {"sms": LIMIT, "chat": 1}


def test_what_one_sees_is_not_told_to_another(counter):
    add(LIMIT)
    counter.counts(SMS)
    assert counter.counts({"sms": (Wanted("sms"), ["sms:2"])}) == {"sms": 0}
    assert counter.counts({"sms": (Wanted("sms"), ["sms:1"])}) == {"sms": LIMIT}


def test_what_is_known_is_not_asked_for(counter, monkeypatch):
    add(LIMIT)
    counter.counts(SMS)
    monkeypatch.setattr(capped, "collection", None)
    assert counter.counts(SMS) == {"sms": LIMIT}
