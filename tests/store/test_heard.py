"""When somebody last wrote: found in the newest of their sessions, however many there are."""

from datetime import timedelta

import mongoengine
import pytest
from bson import ObjectId

from gateway.store import connection, heard
from tests.conftest import TEN

KEY, SINCE = "whatsapp|+15017122661|+15558675310", TEN - timedelta(days=1)


@pytest.fixture(autouse=True)
def connected(make_settings):
    connection.connect(make_settings())
    connection.create_indexes()


def spoke(began, *minutes, keys=(KEY,), **more):
    """Let a session have begun so many minutes before ten, and a message be in it at each of the others."""
    at = [TEN - timedelta(minutes=one) for one in minutes]
    session = {"_id": ObjectId(), "keys": list(keys), "first_message_at": TEN - timedelta(minutes=began)}
    mongoengine.get_db().sessions.insert_one(session | {"last_message_at": max(at)})
    said = {"session_id": session["_id"], "direction": "inbound", "communication_type": "whatsapp"} | more
    mongoengine.get_db().messages.insert_many({"_id": str(ObjectId()), "createdAt": one} | said for one in at)


def last():
    found = heard.last_inbound([KEY], "whatsapp", SINCE)
    return found and (TEN - found) / timedelta(minutes=1)


def test_it_is_the_last_of_their_messages_since_then():
    spoke(2000, 2000, 300)
    spoke(200, 200, 150)
    spoke(10, 5, keys=["whatsapp|+15017122661|+15550000001"])
    assert last() == 150


def test_a_session_may_have_begun_before():
    spoke(5000, 5000, 300)
    assert last() == 300


def test_what_is_older_does_not_count():
    spoke(2000, 2000, 1441)
    assert last() is None
    spoke(1440, 1440)
    assert last() == 1440


@pytest.mark.parametrize("other", [{"direction": "outbound"}, {"communication_type": "sms"}])
def test_nor_do_messages_of_ours_and_those_of_other_types(other):
    spoke(10, 10, **other)
    assert last() is None


def test_it_is_found_behind_many_sessions_that_began_since():
    spoke(1500, 1200)
    for number in range(heard.FEW * 2):
        spoke(1000 - number, 1000 - number, direction="outbound")
    assert last() == 1200
