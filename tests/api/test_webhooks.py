"""Programs subscribe over the API to whatever the gateway tells of."""

import re
from pathlib import Path

import pytest

from gateway.api import documentation
from gateway.core.notifications import PING, TYPES

URL = "https://crm.example.com/hooks"
PAGE = Path(__file__).parents[2] / "docs/api/events.md"


@pytest.mark.parametrize("event", [*TYPES, "*"])
def test_every_event_can_be_subscribed_to(owner, event):
    made = owner.post("/webhooks", json={"url": URL, "events": [event]})
    assert made.status_code == 201, made.text
    assert owner.get(f"/webhooks/{made.json['id']}").json["events"] == [event]


def test_an_event_that_is_never_told_is_refused(owner):
    refused = owner.post("/webhooks", json={"url": URL, "events": ["flow.begun"]})
    assert (refused.status_code, refused.json["field"]) == (422, "body.events.0")
    assert "'flow.started'" in refused.json["detail"]


def test_the_openapi_file_and_the_page_name_the_events_there_are(app):
    body = documentation.document(app)["components"]["schemas"]["NewWebhookBody"]
    assert body["properties"]["events"]["items"]["enum"] == [*TYPES, "*"]
    named = re.findall(r"^\| `([a-z_.]+)` \| ", PAGE.read_text(), re.MULTILINE)
    assert set(named) - {PING} == set(TYPES)
