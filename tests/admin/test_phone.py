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


@pytest.mark.parametrize("scripts", [True, False])
@pytest.mark.parametrize("width", [1280, 390])
def test_what_was_just_sent_is_in_sight_below_a_long_history(serve, open_page, scripts, width):
    _, base = serve()
    page = open_page(java_script_enabled=scripts, viewport={"width": width, "height": 700})
    log_in(page, base)
    page.goto(f"{base}/admin/phone")
    for number in range(1, 9):
        page.get_by_label("Message").fill(f"text {number}")
        page.get_by_role("button", name="Send").click()
        expect(page.locator(".step:not(.ours)").get_by_text(f"text {number}", exact=True)).to_be_in_viewport()
    if scripts and width == 1280:
        expect(page.get_by_label("Message")).to_be_focused()


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


def test_a_viewer_has_no_handset(make_app):
    app = make_app(env="development", public_url="")
    users.add("admin", PASSWORD, TEN, role="viewer")
    console = Console(app.test_client())
    console.log_in()
    assert "Phone</a>" not in console.page()
    assert console.get("/admin/phone").status_code == 403


@pytest.mark.parametrize("ahead", ["-5", "x", str(10**12)])
def test_a_clock_is_never_behind_nor_beyond_a_year(make_app, ahead):
    app = make_app(env="development", public_url="")
    users.add("admin", PASSWORD, TEN)
    console = Console(app.test_client())
    console.log_in()
    assert console.get(f"/admin/phone?ahead={ahead}").status_code == 200
    assert console.get("/admin/phone?type=chat").status_code == 404
