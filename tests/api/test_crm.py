"""How a contact stands with the CRM, and asked for by a program."""

from typing import Any

import pytest

from tests.conftest import TEN
from tests.stand_ins.hubspot import TOKEN


@pytest.fixture
def app(make_app: Any) -> Any:
    return make_app(crm={"provider": "hubspot", "access_token": TOKEN, "base_url": "http://127.0.0.1:9"})


def test_a_contact_tells_how_it_stands_and_is_synchronised_on_demand(twilio: Any, db: Any, writer: Any) -> None:
    twilio.sms()
    (contact,) = writer.get("/contacts").get_json()["items"]
    assert contact["crm"] == {
        "provider": "hubspot", "status": "never", "contact_id": None, "url": None, "last_sync_at": None,
        "reason": None, "failed_at": None, "next_at": None, "notes": [],
    }  # fmt: skip
    asked = writer.post(f"/contacts/{contact['id']}/crm-sync")
    assert (asked.status_code, asked.get_json()) == (
        202, {"contact_id": contact["id"], "due": "2026-03-01T10:00:00.000Z"},
    )  # fmt: skip
    state = {"error": "HubSpot answered 503.", "error_at": TEN, "retry_at": TEN, "note": "left out"}
    db.contacts.update_one({}, {"$set": {"crm": {"hubspot": state}}})
    stands = writer.get(f"/contacts/{contact['id']}").get_json()["crm"]
    assert (stands["status"], stands["reason"], stands["notes"]) == ("retrying", "HubSpot answered 503.", ["left out"])


@pytest.mark.parametrize(
    "adopted",
    [
        "x",
        ["hubspot"],
        {"hubspot": "x"},
        {"hubspot": {"url": "javascript:alert(1)", "error": {"a": 1}, "error_at": "x"}},
    ],
    ids=str,
)
def test_what_an_older_system_kept_there_breaks_nothing_and_leads_nowhere(
    adopted: Any, twilio: Any, db: Any, writer: Any
) -> None:
    twilio.sms()
    db.contacts.update_one({}, {"$set": {"crm": adopted}})
    (contact,) = writer.get("/contacts").get_json()["items"]
    assert contact["crm"]["url"] is None


def test_who_may_not_and_where_there_is_no_crm(app: Any, make_app: Any, twilio: Any, db: Any, program: Any) -> None:
    twilio.sms()
    contact_id, channel = str(db.contacts.find_one()["_id"]), str(db.sessions.find_one()["channel_id"])
    limited = program("write", channels=[channel]).post(f"/contacts/{contact_id}/crm-sync")
    assert (limited.status_code, limited.get_json()["code"]) == (403, "all_channels_needed")
    writer = program("write")
    assert writer.post("/contacts/none/crm-sync").status_code == 404
    writer.client = make_app().test_client()
    refused = writer.post(f"/contacts/{contact_id}/crm-sync")
    assert (refused.status_code, refused.get_json()["code"]) == (409, "no_crm")
    assert writer.get(f"/contacts/{contact_id}").get_json()["crm"] is None
