"""The inbox as somebody works in it: news that come by themselves, keys, filters that stay, a phone."""

import re

import mongoengine
import pytest
from playwright.sync_api import expect

from gateway.admin import live
from gateway.store import users
from tests.admin.conftest import ADA, PASSWORD, log_in
from tests.conftest import TEN, Twilio

BEA = "+15550000002"
SOON = 8000  # milliseconds, on a machine that may stand still


@pytest.mark.parametrize("way", ["stream", "polling"])
def test_messages_and_sessions_arrive_by_themselves(office, open_page, clock, monkeypatch, way):
    twilio, base = office
    if way == "polling":
        monkeypatch.setattr(live._seats, "acquire", lambda **_: False)
    page = open_page()
    log_in(page, base)
    page.get_by_role("link", name=re.compile(ADA.replace("+", r"\+"))).click()
    page.locator("#reply textarea").fill("I am looking into")
    page.evaluate("document.body.dataset.mark = 'same page'")
    page.locator("#live").wait_for(state="visible" if way == "stream" else "hidden", timeout=SOON)
    clock.tick(5)
    twilio.sms("It was blue.", From=ADA)
    page.locator(".messages").get_by_text("It was blue.").first.wait_for(timeout=SOON)
    twilio.whatsapp("Hello", From=f"whatsapp:{BEA}")
    page.locator(".row", has_text=BEA).wait_for(timeout=SOON)
    expect(page).to_have_title(re.compile(r"^\(1\) "), timeout=SOON)
    assert page.locator("#reply textarea").input_value() == "I am looking into"
    assert page.evaluate("document.activeElement.name") == "text"
    assert page.evaluate("document.body.dataset.mark") == "same page"
    assert page.said == []


@pytest.mark.parametrize("width", [1280, 390])
def test_what_is_said_from_right_to_left_is_shown_from_its_beginning(office, open_page, width):
    twilio, base = office
    said = "أين طلبي من فضلك؟ " * 12
    twilio.sms(said, From=BEA)
    page = open_page(viewport={"width": width, "height": 860})
    log_in(page, base)
    words = page.locator(".row", has_text=BEA).locator(".words")
    expect(words).to_have_css("direction", "rtl")
    # What does not fit is cut off at the left, where such words end.
    first, box = words.evaluate(
        "words => { const range = document.createRange(); range.setStart(words.firstChild, 0);"
        " range.setEnd(words.firstChild, 3);"
        " const [a, b] = [range, words.closest('.said')].map(one => one.getBoundingClientRect());"
        " return [[a.left, a.right], [b.left, b.right]] }"
    )
    assert box[0] <= first[0]
    assert first[1] <= box[1]


@pytest.mark.parametrize("scripts", [True, False])
def test_keys_are_told_of_where_there_are_some(office, open_page, scripts):
    _, base = office
    page = open_page(java_script_enabled=scripts)
    log_in(page, base)
    expect(page.get_by_text("shows all keys")).to_be_visible(visible=scripts)
    page.locator(".row a").click()
    expect(page.locator(".composer .keys-hint")).to_be_visible(visible=scripts)


def test_the_keyboard_moves_opens_searches_and_replies(office, open_page):
    twilio, base = office
    twilio.sms("Second", From=BEA)
    page = open_page()
    log_in(page, base)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/sessions/*")
    page.keyboard.press("r")
    page.keyboard.type("jk/r?")
    assert page.locator("#reply textarea").input_value() == "jk/r?"
    page.keyboard.press("Escape")
    page.locator("#reply textarea").blur()
    page.keyboard.press("/")
    page.keyboard.type("second")
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/?q=second**")
    expect(page.locator(".row")).to_have_count(1)
    assert page.said == []


def test_a_found_session_is_assigned_and_the_list_stays(office, open_page):
    twilio, base = office
    twilio.sms("Second", From=BEA)
    users.add("bea", PASSWORD, TEN, role="agent")
    page = open_page()
    log_in(page, base)
    page.get_by_label("Search number, name or words").fill("1 (555) 000")
    page.get_by_role("button", name="Search").click()
    page.get_by_text("Filters", exact=True).click()
    page.get_by_label("From", exact=True).fill("2026-03-01")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator(".row")).to_have_count(2)
    page.locator(".row a").nth(1).click()
    page.get_by_label("Assigned to", exact=True).last.select_option("bea")
    page.get_by_role("button", name="Assign", exact=True).click()
    page.locator(".row", has_text="bea").wait_for(timeout=SOON)
    assert "q=1+(555)+000" in page.url.replace("%28", "(").replace("%29", ")")
    assert "from=2026-03-01" in page.url
    page.get_by_role("link", name="Unassigned").click()
    expect(page.locator(".row")).to_have_count(1)


def test_a_phone_shows_one_at_a_time(office, open_page):
    _, base = office
    page = open_page(viewport={"width": 390, "height": 844})
    log_in(page, base)
    page.locator(".row a").click()
    expect(page.locator("#reply")).to_be_visible()
    expect(page.locator("#list")).to_be_hidden()
    page.get_by_role("link", name="All sessions").click()
    expect(page.locator("#list")).to_be_visible()


def test_a_stream_tells_only_of_what_its_reader_sees(serve, clock):
    app, _ = serve(public_url="http://gateway.example.com")
    users.add("limited", PASSWORD, TEN, role="agent", channels=["sms:+15017122669"])
    found = users.authenticate("limited", PASSWORD)
    events = live._events(f"{found.id}.{found.token}", found.access)
    assert next(events) == "retry: 1000\n\n"
    twilio = Twilio(app.test_client(), base="http://gateway.example.com")
    # On a slow machine the stream of changes may begin again, which says "[]": anything may have changed.
    assert next(event for event in events if "[]" not in event) == ":\n\n"
    twilio.sms("not theirs", From=ADA)
    twilio.sms("theirs", From=BEA, To="+15017122669")
    told = next(event for event in events if event.startswith("event") and "[]" not in event)
    assert told.count('"') == 2
    assert users.set_password("limited", "another password")
    events.close()


def test_a_stream_ends_with_its_login(serve, monkeypatch):
    serve()
    monkeypatch.setattr(live, "LOGIN_SECONDS", 0)
    found = users.authenticate("admin", PASSWORD)
    events = live._events(f"{found.id}.{found.token}", found.access)
    next(events)
    users.set_password("admin", "another password")
    assert list(events) == []


def test_streams_leave_threads_for_everybody_else(serve):
    app, _ = serve()
    client = app.test_client()
    with app.test_request_context():
        # A stream of the test before may be about to end.
        taken = [live._seats.acquire(timeout=20) for _ in range(live.MOST)]
    try:
        assert all(taken)
        assert live.MOST == 16
        token = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/admin/login").text)[1]
        client.post("/admin/login", data={"csrf_token": token, "name": "admin", "password": PASSWORD})
        answer = client.get("/admin/live")
        assert (answer.status_code, answer.headers["Retry-After"]) == (204, "60")
    finally:
        for _ in taken:
            live._seats.release()


def test_what_a_colleague_does_to_a_session_is_seen_beside_what_one_writes(office, open_page):
    _, base = office
    page = open_page()
    log_in(page, base)
    page.get_by_role("link", name=re.compile(ADA.replace("+", r"\+"))).click()
    page.locator("#live").wait_for(timeout=20_000)
    page.locator("#reply textarea").fill("I am looking into")
    page.get_by_text("More", exact=True).click()
    page.get_by_label("Title").fill("A parcel")
    users.add("bea", PASSWORD, TEN, role="agent")
    sessions = mongoengine.get_db().sessions
    sessions.update_one({}, {"$set": {"tags": ["kettle"], "assigned_to": "bea"}})
    expect(page.locator(".subject .tags")).to_have_text("kettle", timeout=20_000)
    expect(page.locator("#to")).to_have_value("bea", timeout=20_000)
    page.locator("#to").select_option("admin")
    sessions.update_one({}, {"$set": {"status": "closed", "closed_reason": "agent"}})
    expect(page.locator(".subject .badges")).to_contain_text("Closed", timeout=20_000)
    expect(page.get_by_role("button", name="Reopen")).to_be_visible()
    expect(page.locator("#outlook")).to_contain_text("a reply begins a new one")
    assert page.locator("#to").input_value() == "admin"
    assert page.get_by_label("Title").input_value() == "A parcel"
    assert page.locator("#reply textarea").input_value() == "I am looking into"
    assert page.said == []


def test_a_session_that_is_deleted_leaves_the_list(office, open_page):
    twilio, base = office
    page = open_page()
    log_in(page, base)
    page.locator("#live").wait_for(timeout=20_000)
    twilio.sms("Second", From=BEA)
    page.locator(".row", has_text=BEA).wait_for(timeout=20_000)
    mongoengine.get_db().sessions.delete_many({"metadata.fromNumber": ADA})
    expect(page.locator(".row", has_text=ADA)).to_have_count(0, timeout=20_000)
    expect(page.locator(".row")).to_have_count(1)
