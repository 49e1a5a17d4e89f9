"""Split, merge and undo as an operator does them: with a mouse, with the keyboard, on a phone, without JavaScript."""

import time

import pytest

from tests.admin.conftest import log_in
from tests.conftest import Twilio
from tests.conversation.test_regroup import sid


@pytest.fixture
def talked(serve, clock):
    """Two sessions of one sender: two messages at ten, and three half an hour later."""
    app, base = serve(public_url="http://gateway.example.com")
    twilio = Twilio(app.test_client(), base="http://gateway.example.com")
    for number, minute in enumerate((0, 1, 30, 31, 32)):
        clock.move_to(minutes=minute)
        twilio.sms(f"Number {number}", MessageSid=sid(number))
    clock.move_to(minutes=35)
    return base


def said(page):
    """Read what the other side said in the session that is shown."""
    return page.locator(".theirs .text").all_inner_texts()


def sizes(page, base):
    page.goto(f"{base}/admin/")
    return page.locator("#list .row .amount").all_inner_texts()


@pytest.mark.parametrize(
    "given",
    [{}, {"java_script_enabled": False, "viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}],
    ids=["desktop", "phone without JavaScript"],
)
def test_a_session_is_split_merged_and_both_are_undone(talked, open_page, given):
    page = open_page(**given)
    log_in(page, talked)
    page.get_by_role("link", name="SMS from").first.click()
    assert said(page) == ["Number 2", "Number 3", "Number 4"]
    second = page.url

    page.locator(".theirs .traces > summary").last.click()
    page.get_by_text("Split here").last.click()
    page.get_by_role("button", name="Split", exact=True).last.click()
    page.get_by_text("Split off from the session before by admin").wait_for()
    assert said(page) == ["Number 4"]
    assert page.get_by_text("moved here by admin").count() == 1
    page.get_by_role("link", name="the session before").click()
    assert (page.url, said(page)) == (second, ["Number 2", "Number 3"])

    page.locator(".deeds summary", has_text="More").click()
    page.get_by_text("Merge with the previous session").click()
    page.get_by_role("button", name="Merge", exact=True).click()
    page.get_by_text("The session after this one was merged into it by admin").wait_for()
    assert said(page) == ["Number 0", "Number 1", "Number 2", "Number 3"]
    first = page.url
    page.goto(second)
    assert page.url == first

    page.get_by_role("button", name="Undo this merge").click()
    page.get_by_role("button", name="Undo this split").wait_for()
    assert (page.url, said(page)) == (second, ["Number 2", "Number 3"])
    page.get_by_role("button", name="Undo this split").click()
    page.locator(".theirs .text", has_text="Number 4").wait_for()
    assert (page.url, said(page)) == (second, ["Number 2", "Number 3", "Number 4"])
    assert sizes(page, talked) == ["6 messages", "4 messages"]
    assert page.said == []


def test_what_cannot_be_undone_yet_says_what_comes_first(talked, open_page):
    page = open_page()
    log_in(page, talked)
    page.get_by_role("link", name="SMS from").first.click()
    page.locator(".theirs .traces > summary").last.focus()
    page.keyboard.press("Enter")
    page.get_by_text("Split here").last.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_text("Split off from").wait_for()
    page.locator(".deeds summary", has_text="More").click()
    page.get_by_text("Merge with the previous session").click()
    page.get_by_role("button", name="Merge", exact=True).click()
    page.get_by_text("was merged into it").wait_for()
    page.get_by_role("button", name="Undo this split").click()
    page.get_by_role("heading", name="That cannot be done now").wait_for()
    assert page.get_by_text("Undo that first").is_visible()


def test_what_comes_in_while_a_form_is_sent_does_not_load_the_page_anew(talked, open_page):
    """Whoever merges would land beside what the form leads to, on a page that may not tell of the merge yet."""
    page = open_page()
    log_in(page, talked)
    page.get_by_role("link", name="SMS from").first.click()
    page.locator(".deeds summary", has_text="More").click()
    page.get_by_text("Merge with the previous session").click()
    later, loaded = page.url, []
    page.on("request", lambda one: loaded.append(one.url) if one.is_navigation_request() else None)

    def slowly(route):
        answer = route.fetch(max_redirects=0)
        time.sleep(3)
        route.fulfill(response=answer)

    page.route("**/merge", slowly)
    page.get_by_role("button", name="Merge", exact=True).click()
    page.get_by_text("was merged into it").wait_for()
    assert later not in loaded
