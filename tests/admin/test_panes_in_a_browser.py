"""Panes that scroll by themselves in a page that does not: what is long stays in its own."""

import re

import pytest
from playwright.sync_api import expect

from tests.admin.conftest import log_in
from tests.conftest import Twilio

PERSON = "+15550000001"
SOON = 20_000  # milliseconds, on a machine that may stand still


@pytest.fixture
def busy(serve, clock):
    """A served gateway with more unread sessions than a screen shows, and Twilio's side of it."""
    app, base = serve(public_url="http://gateway.example.com")
    twilio = Twilio(app.test_client(), base="http://gateway.example.com")
    for number in range(2, 30):
        twilio.sms("Hello?", From=f"+155500000{number:02}")
    clock.tick(5)
    twilio.sms("Where is my parcel?", From=PERSON)
    return twilio, base


def open_session(page):
    page.get_by_role("link", name=re.compile(PERSON.replace("+", r"\+"))).click()
    page.wait_for_url("**/admin/sessions/*")


@pytest.mark.parametrize("width", [820, 1280, 1600])
def test_the_page_itself_never_scrolls(busy, open_page, width):
    _, base = busy
    page = open_page(viewport={"width": width, "height": 800})
    log_in(page, base)
    assert page.locator(".row.unread").count() == 25
    assert page.evaluate("document.documentElement.scrollHeight") == 800
    open_session(page)
    page.locator("#reply textarea").fill("I am looking into it.")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("status").filter(has_text="On its way")).to_be_visible(timeout=SOON)
    page.wait_for_url("**#ag:*")
    assert page.evaluate("document.documentElement.scrollHeight") == 800
    page.evaluate("document.getElementById('reply').scrollIntoView()")
    tops = "[scrollY, ...[...document.querySelectorAll('main, .panes, .opened')].map(one => one.scrollTop)]"
    assert page.evaluate(tops)[:3] == [0, 0, 0]
    assert page.locator("header.bar").bounding_box()["y"] == 0


@pytest.fixture
def long_session(busy, clock):
    """A session of a few messages that are longer than a window together."""
    twilio, base = busy
    for number in range(2):
        clock.tick(5)
        twilio.sms(f"{number}: " + "It is still not here. " * 30, From=PERSON)
    clock.tick(5)
    twilio.sms("And that was all.", From=PERSON)
    return base


@pytest.mark.parametrize("size", [(390, 844), (820, 800), (1280, 800)])
def test_a_session_opens_on_its_newest_message(long_session, open_page, size):
    page = open_page(viewport={"width": size[0], "height": size[1]})
    log_in(page, long_session)
    open_session(page)
    said = page.locator(".messages .message").last
    said.wait_for(timeout=SOON)
    low = "one => one.getBoundingClientRect().bottom <= document.getElementById('reply').getBoundingClientRect().top"
    assert said.evaluate(low)
    first = page.locator(".messages .message").first
    page.goto("about:blank")
    page.go_back()
    page.goto(f"{page.url}#{first.get_attribute('id')}")
    page.reload()
    expect(first).to_be_in_viewport()


@pytest.mark.parametrize("width", [820, 1280])
def test_nothing_is_read_below_what_is_being_written(long_session, open_page, width):
    page = open_page(viewport={"width": width, "height": 800})
    log_in(page, long_session)
    open_session(page)
    page.locator(".messages .message").first.scroll_into_view_if_needed()
    below = """() => {
        const box = document.getElementById("reply").getBoundingClientRect();
        return document.elementFromPoint(box.left + box.width / 2, innerHeight - 2).closest("#reply") !== null;
    }"""
    assert page.evaluate(below)
