"""The handset for development, in a real browser: what is sent from it goes through the very webhooks."""

import pytest
from playwright.sync_api import expect

from gateway.store import users
from tests.admin.conftest import PASSWORD, Console, log_in
from tests.conftest import TEN


def test_a_text_a_jump_and_a_rollover(serve, open_page):
    _, base = serve(reply={"responder": "echo"})
    page = open_page()
    log_in(page, base)
    page.get_by_role("link", name="Phone").click()
    page.get_by_label("Message").fill("مرحبا <b>")
    page.get_by_role("button", name="Send").click()
    page.get_by_text("created: the first message of this sender").wait_for()
    assert "<Message" in page.locator(".twiml").inner_text()
    page.get_by_role("button", name="+4 min").click()
    page.get_by_label("Message").fill("still there")
    page.get_by_role("button", name="Send").click()
    page.get_by_text("reused: 4 min").wait_for()
    page.get_by_role("button", name="+6 min").click()
    page.get_by_label("Message").fill("and now?")
    page.get_by_role("button", name="Send").click()
    page.get_by_text("rolled over: 6 min").wait_for()
    assert page.locator("h2.session").count() == 2
    assert not page.said


def test_a_call_is_answered_turn_by_turn_until_it_is_over(serve, open_page):
    _, base = serve(reply={"responder": "echo"})
    page = open_page()
    log_in(page, base)
    page.goto(f"{base}/admin/phone?type=voice")
    page.get_by_role("button", name="Call +15017122661").click()
    page.get_by_label("Say or key in").fill("a table for two")
    page.get_by_role("button", name="Say").click()
    expect(page.locator("form .twiml")).to_contain_text("a table for two")
    page.get_by_role("button", name="Hang up").click()
    expect(page.get_by_role("button", name="Call +15017122661")).to_be_visible()
    expect(page.locator(".step.ours").get_by_text("a table for two")).to_be_visible()


def test_there_is_no_handset_outside_development(console):
    assert console.get("/admin/phone").status_code == 404
    assert "Phone</a>" not in console.page()


@pytest.mark.parametrize("ahead", ["-5", "x", str(10**12)])
def test_a_clock_is_never_behind_nor_beyond_a_year(make_app, ahead):
    app = make_app(env="development", public_url="")
    users.add("admin", PASSWORD, TEN)
    console = Console(app.test_client())
    console.log_in()
    assert console.get(f"/admin/phone?ahead={ahead}").status_code == 200
    assert console.get("/admin/phone?type=chat").status_code == 404
