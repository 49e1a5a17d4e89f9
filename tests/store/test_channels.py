"""Our addresses as a process knows them: what it has read is not asked for again, and what is new is found."""

import mongoengine
import pytest

from gateway.core.participant import address
from gateway.store import connection
from gateway.store.channels import Channels, add

OURS = "+15017122661"


@pytest.fixture
def channels(make_settings):
    connection.connect(make_settings())
    connection.create_indexes()
    return Channels()


def adopt(kind, number):
    mongoengine.get_db().channels.insert_one({"_id": f"{kind}-1", "communication_type": kind, "phone_number": number})


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("stored", [OURS, f"whatsapp:{OURS}"])
def test_a_channel_is_found_by_its_address_however_it_is_spelled(channels, stored, known):
    adopt("whatsapp", stored)
    adopt("sms", OURS)
    if known:
        channels.get("sms-1")
    assert channels.find("whatsapp", address(f"whatsapp:{OURS}")).id == "whatsapp-1"
    assert channels.find("sms", address(OURS)).id == "sms-1"
    assert channels.find("voice", address(OURS)) is None


def test_one_that_is_new_is_found_beside_those_that_were_read(channels):
    add("sms", address(OURS), None)
    channels.get(f"sms:{OURS}")
    assert channels.find("sms", address("+15017122669")) is None
    add("sms", address("+15017122669"), None)
    assert channels.find("sms", address("+15017122669")).id == "sms:+15017122669"


@pytest.mark.parametrize(("seconds", "is_known"), [(5, True), (-1, False)])
def test_what_was_read_is_not_asked_for_again_for_some_seconds(channels, monkeypatch, seconds, is_known):
    monkeypatch.setattr("gateway.store.channels.CACHE_SECONDS", seconds)
    add("sms", address(OURS), None)
    channels.get(f"sms:{OURS}")
    mongoengine.get_db().channels.delete_many({})
    assert bool(channels.find("sms", address(OURS))) is is_known
