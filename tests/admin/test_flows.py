"""The flow of a session at the console: shown beside it, begun and canceled there."""

import re

import pytest

from gateway.store import users
from tests.admin.conftest import PASSWORD, Console
from tests.conftest import TEN
from tests.conversation.flowing import with_flows


@pytest.fixture
def app(make_app):
    return with_flows(make_app(reply={"responder": "none"}))


@pytest.fixture
def at(twilio, session_id):
    twilio.sms("hello")
    return f"/admin/sessions/{session_id()}"


def panel(console, at):
    section = console.page(at).partition('<section class="flow">')[2].partition("</section>")[0]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", section)), section


def test_a_flow_is_begun_beside_a_session_and_canceled(console, at, twilio, db):
    assert "Begin a flow" in panel(console, at)[0]
    assert console.post(f"{at}/flow", form_on=at, flow="order").status_code == 302
    page = console.page(at)
    assert "The flow has begun. Its first question is on its way." in page
    assert "began a flow" in page
    assert "Step 1 of 3: what" in panel(console, at)[0]
    assert console.post(f"{at}/flow", form_on=at, flow="order").status_code == 409
    twilio.sms('<b>hats</b> "' + "long " * 40)
    words, html = panel(console, at)
    assert "Step 2 of 3: who" in words
    assert "&lt;b&gt;hats&lt;/b&gt;" in html
    assert '<dd dir="auto">' in html
    assert console.post(f"{at}/flow/cancel", form_on=at).status_code == 302
    assert "Canceled" in panel(console, at)[0]
    assert "Begin another flow" in panel(console, at)[0]
    console.post(f"{at}/flow/cancel", form_on=at)
    assert "No flow is under way here any more." in console.page(at)
    assert db.flow_runs.find_one()["outcome"] == "canceled"


def test_a_finished_flow_shows_what_was_said_and_what_stands_in_the_way_is_told(console, at, twilio):
    console.post(f"{at}/flow", form_on=at, flow="order")
    for line in ("ten hats", "هاري", "Harbour"):
        twilio.sms(line)
    words, _ = panel(console, at)
    assert "Completed" in words
    assert "هاري" in words
    assert "Harbour" in words
    twilio.sms("STOP")
    refused = console.post(f"{at}/flow", form_on=at, flow="order")
    assert refused.status_code == 409
    assert "opted out" in refused.text
    assert console.post(f"{at}/flow", form_on=at, flow="none").status_code == 409


def test_a_viewer_sees_a_flow_and_changes_none_and_others_see_nothing(app, console, at, session_id):
    console.post(f"{at}/flow", form_on=at, flow="order")
    users.add("vera", PASSWORD, TEN, role="viewer")
    users.add("otto", PASSWORD, TEN, role="agent", channels=["sms:+15550009999"])
    viewer, other = (Console(app.test_client()) for _ in range(2))
    viewer.log_in(name="vera")
    other.log_in(name="otto")
    words, html = panel(viewer, at)
    assert "Step 1 of 3" in words
    assert "<form" not in html
    assert viewer.post(f"{at}/flow/cancel", form_on="/admin/account").status_code == 403
    for path in (f"{at}/flow", f"{at}/flow/cancel"):
        assert other.post(path, form_on="/admin/account", flow="order").status_code == 404
