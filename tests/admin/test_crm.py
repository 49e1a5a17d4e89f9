"""How somebody stands with the CRM, beside their session, and asked for by hand."""

from typing import Any

import pytest

from tests.conftest import TEN
from tests.stand_ins.hubspot import TOKEN


@pytest.fixture
def app(make_app: Any) -> Any:
    return make_app(crm={"provider": "hubspot", "access_token": TOKEN, "base_url": "http://127.0.0.1:9"})


def test_the_contact_shows_what_failed_and_how_to_mend_it(
    console: Any, twilio: Any, db: Any, session_id: Any, clock: Any
) -> None:
    twilio.sms()
    path = f"/admin/sessions/{session_id()}"
    assert "Not there yet" in console.page(path)
    link = "https://app.hubspot.com/contacts/1/record/0-1/7"
    state = {"error": "The access token <lacks> it", "error_at": TEN, "contact_id": "7", "url": link}
    db.contacts.update_one({}, {"$set": {"crm": {"hubspot": state, "other": {"id": "x1"}}}})
    page = console.page(path)
    assert "The access token &lt;lacks&gt; it" in page
    assert f'href="{link}"' in page
    assert "x1" in page
    done = console.post(f"{path}/contact/crm-sync", form_on=path)
    assert done.status_code == 302
    row = db.outbox.find_one({"step": "crm"})
    assert (row["state"], row["whole"]) == ("waiting", True)
    page = console.page(path)
    assert "A worker takes what is new to the CRM" in page
    assert "Failed, tried again" in page
    assert db.audit.find_one({"action": "crm_sync_asked"})["by"] == "admin"


@pytest.mark.parametrize("adopted", ["x", {"hubspot": {"url": "javascript:alert(1)", "error": {"a": 1}}}], ids=str)
def test_what_an_older_system_kept_there_breaks_no_page_and_is_no_link(
    adopted: Any, console: Any, twilio: Any, db: Any, session_id: Any
) -> None:
    twilio.sms()
    db.contacts.update_one({}, {"$set": {"crm": adopted}})
    assert "javascript:" not in console.page(f"/admin/sessions/{session_id()}")
