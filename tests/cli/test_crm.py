"""`gateway crm`: asked for on the command line, and how it stands."""

import json
from typing import Any

import pytest

from tests.cli.test_commands import run
from tests.conftest import TEN
from tests.stand_ins.hubspot import TOKEN


@pytest.fixture
def gateway(make_settings: Any, db: Any, twilio: Any, tmp_path: Any) -> Any:
    twilio.sms()
    environ = {
        "MONGODB_URI": make_settings().mongodb_uri, "GATEWAY_DATA_DIR": str(tmp_path),
        "GATEWAY_CRM__PROVIDER": "hubspot", "GATEWAY_CRM__ACCESS_TOKEN": TOKEN,
    }  # fmt: skip
    return lambda *arguments, **more: run("crm", *arguments, **environ | more)


def test_contacts_are_queued_and_failures_are_shown(gateway: Any, db: Any) -> None:
    contact_id = str(db.contacts.find_one()["_id"])
    told = json.loads(gateway("sync", "--contact", contact_id, "--json").stdout)
    assert told["contact_id"] == contact_id
    assert json.loads(gateway("sync", "--all", "--json").stdout) == {"contacts": 1}
    assert db.outbox.find_one({"_id": f"crm:{contact_id}"})["asked"] == 2
    state = {"error": "The access token lacks the scope a.b (403).", "error_at": TEN, "error_code": "403"}
    db.contacts.update_one({}, {"$set": {"name": "Ada", "crm_error_at": TEN, "crm": {"hubspot": state}}})
    shown = gateway("status").stdout
    assert "HubSpot: 1 waiting, 1 of them due, 1 failed." in shown
    assert contact_id in shown
    assert "Ada" in shown
    found = json.loads(gateway("status", "--json").stdout)
    assert [(one["id"], one["status"], one["reason"]) for one in found["contacts"]] == [
        (contact_id, "failed", state["error"])
    ]


def test_what_cannot_be_done_is_said_in_a_line(gateway: Any) -> None:
    off = {"GATEWAY_CRM__PROVIDER": ""}
    for arguments, environ, why in [
        (("sync",), {}, "--contact ID, or --all"),
        (("sync", "--contact", "nobody"), {}, "There is no contact 'nobody'"),
        (("sync", "--all"), off, "No CRM is set up. Set GATEWAY_CRM__PROVIDER"),
        (("status",), off, "No CRM is set up"),
        (("status",), {"GATEWAY_CRM__ACCESS_TOKEN": ""}, "GATEWAY_CRM__ACCESS_TOKEN is not set"),
    ]:
        done = gateway(*arguments, **environ)
        assert done.returncode != 0
        assert why in done.stderr
        assert "Traceback" not in done.stderr
