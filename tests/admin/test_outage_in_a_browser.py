"""MongoDB is away for a while: what is shown stays, what is written too, and both go on when it is back."""

import re

import mongoengine
import pytest
from playwright.sync_api import expect

from gateway.store import connection
from tests.admin.conftest import ADA, PASSWORD, log_in

SOON = 30_000  # milliseconds, on a machine that may stand still


@pytest.fixture(autouse=True)
def comes_back():
    yield
    connection.breaker.reset()


def goes_away():
    connection.breaker._reason = "away"


def session_of(page, base):
    log_in(page, base)
    page.get_by_role("link", name=re.compile(ADA.replace("+", r"\+"))).click()
    page.wait_for_url("**/admin/sessions/*")
    page.locator("#live").wait_for(timeout=SOON)


def write(page, text):
    page.locator("#reply textarea[name=text]").fill(text)


def test_a_page_that_is_open_outlives_an_outage_and_goes_on_by_itself(office, open_page, clock):
    twilio, base = office
    page = open_page()
    session_of(page, base)
    write(page, "I am looking into")
    goes_away()
    page.evaluate("htmx.trigger('#list', 'changed'); htmx.trigger('#messages', 'changed')")
    notice = page.get_by_role("status").filter(has_text="The database is away")
    expect(notice).to_be_visible(timeout=SOON)
    expect(page.locator("#live")).to_be_hidden()
    assert page.locator("main").count() == 1
    expect(page.locator(".messages").get_by_text("Where is my parcel?").first).to_be_visible()
    asked = len(page.asked)
    page.wait_for_timeout(3000)
    assert [url for url in page.asked[asked:] if "/list" in url]
    assert [url for url in page.asked[asked:] if url.endswith("/seen")] == []
    connection.breaker.reset()
    clock.tick(5)
    twilio.sms("It was blue.", From=ADA)
    page.locator(".messages").get_by_text("It was blue.").first.wait_for(timeout=SOON)
    expect(notice).to_be_hidden(timeout=SOON)
    expect(page.locator("#live")).to_be_visible(timeout=SOON)
    assert page.locator("#reply textarea").input_value() == "I am looking into"


def test_a_session_that_is_gone_says_so(office, open_page):
    _, base = office
    page = open_page()
    session_of(page, base)
    mongoengine.get_db().sessions.delete_many({})
    page.evaluate("htmx.trigger('#messages', 'changed')")
    page.get_by_role("heading", name="Not found").wait_for(timeout=SOON)
    assert page.locator("main").count() == 1


def test_a_reply_that_could_not_be_stored_is_still_there(office, open_page):
    _, base = office
    page = open_page()
    session_of(page, base)
    write(page, "It was <blue>.")
    page.get_by_label("Private note").check()
    goes_away()
    page.get_by_role("button", name="Keep the note").click()
    expect(page.locator("#written")).to_have_value("It was <blue>.", timeout=SOON)
    assert page.get_by_text("Go to the login").count() == 0
    connection.breaker.reset()
    page.get_by_role("button", name="Back to the session").click()
    expect(page.locator("#reply textarea")).to_have_value("It was <blue>.", timeout=SOON)
    expect(page.get_by_label("Private note")).to_be_checked()
    page.get_by_role("button", name="Keep the note").click()
    page.locator(".messages").get_by_text("It was <blue>.").wait_for(timeout=SOON)
    expect(page.locator("#reply textarea")).to_have_value("")
    page.reload()
    expect(page.locator("#reply textarea")).to_have_value("")


def test_a_reply_written_over_the_end_of_a_login_is_there_after_the_next(office, open_page):
    _, base = office
    page = open_page()
    session_of(page, base)
    session = page.url
    write(page, "It was blue.")
    page.context.clear_cookies()
    page.get_by_role("button", name="Send").click()
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("#reply textarea")).to_have_value("It was blue.", timeout=SOON)
    assert page.url.split("#")[0] == session
