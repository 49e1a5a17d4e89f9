"""An operator works on a session in a real browser, with scripts and without."""

import re
from dataclasses import replace
from types import SimpleNamespace

import mongoengine
import pytest
from playwright.sync_api import expect

from gateway.admin import thread
from gateway.clients.loopback import Loopback
from tests.admin.conftest import log_in
from tests.conftest import Twilio, fixture
from tests.conversation.worker import Worker

HOST = "http://gateway.example.com"


class Taken(Loopback):
    """A provider that takes messages, and says later what became of them."""

    def send(self, outgoing):
        return replace(super().send(outgoing), later=())


@pytest.fixture
def scene(serve, clock):
    """A served gateway in which somebody wrote at length, in two directions; what Twilio and the worker do to it."""
    app, base = serve(public_url=HOST)
    twilio = Twilio(app.test_client(), base=HOST)
    twilio.sms("It leaks " + "x" * 300, From="+15558675310")
    clock.move_to(minutes=1)
    twilio.sms("שלום, הקומקום דולף", From="+15558675310")
    scene = SimpleNamespace()
    scene.base, scene.twilio, scene.clock, scene.worker = base, twilio, clock, Worker(app, clock, sender=Taken())
    scene.path = f"{base}/admin/sessions/{mongoengine.get_db().sessions.find_one()['_id']}"
    return scene


def reported(scene, status):
    """Let Twilio report what became of the newest reply."""
    message = mongoengine.get_db().messages.find_one({"_id": {"$regex": "^ag:"}}, sort=[("createdAt", -1)])
    scene.clock.tick(2)
    form = fixture("status/delivered") | {"MessageSid": message["provider_sid"], "MessageStatus": status}
    assert scene.twilio.post(f"/webhooks/status?m={message['_id']}", form).status_code in (200, 204)


def refresh(page):
    page.evaluate("htmx.trigger('#messages', 'changed')")


def test_an_operator_answers_sees_it_delivered_and_looks_after_the_session(scene, open_page):
    page = open_page()
    log_in(page, scene.base)
    page.goto(scene.path)

    # Written with the keyboard, sent, and seen to arrive without a reload.
    page.get_by_label("Message", exact=True).fill("Sorry to hear that!")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("status")).to_have_text("On its way.")
    reply = page.locator(".message.ours").last
    expect(reply).to_contain_text("Sorry to hear that!")
    expect(reply.locator(".delivery summary")).to_have_text("queued")
    scene.worker.run()
    reported(scene, "sent")
    page.locator(".decision summary").first.click()
    reply.locator(".delivery summary").click()
    page.get_by_label("Message", exact=True).fill("And your order")
    reported(scene, "delivered")
    refresh(page)
    expect(reply.locator(".delivery summary")).to_have_text("delivered")
    # What was opened stays open, and what is being written stays written, here and after a reload.
    assert "delivered 10:01:04" in reply.locator(".delivery ol").inner_text()
    assert page.get_by_text("first_message", exact=True).is_visible()
    assert page.get_by_label("Message", exact=True).input_value() == "And your order"
    page.reload()
    assert page.get_by_label("Message", exact=True).input_value() == "And your order"

    # A note is not a reply.
    page.get_by_label("Private note").check()
    expect(page.get_by_role("button", name="Send")).to_be_hidden()
    page.get_by_label("Message", exact=True).fill("Third leak this month")
    page.get_by_role("button", name="Keep the note").click()
    expect(page.locator(".message.private")).to_contain_text("Private note · never sent")
    assert page.get_by_label("Message", exact=True).input_value() == ""

    page.get_by_role("button", name="Take over from the bot").click()
    expect(page.get_by_text("The bot is off")).to_be_visible()
    page.get_by_role("button", name="Hand back to the bot").click()
    expect(page.get_by_text("The bot is off")).to_be_hidden()
    page.locator("#panel").get_by_label("Tag").fill("kettle")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Remove the tag kettle").click()
    expect(page.get_by_role("button", name="Remove the tag kettle")).to_have_count(0)
    page.get_by_role("button", name="Close", exact=True).click()
    expect(page.locator(".subject .badges")).to_have_text(re.compile("Closed"))
    scene.clock.tick(5)
    page.get_by_role("button", name="Reopen").click()
    expect(page.locator(".subject .badges")).to_have_text("Open")
    assert page.locator(".history li").first.inner_text() == "admin reopened it · 10:01"
    assert page.said == []


def test_everything_on_a_sessions_page_works_without_scripts(scene, open_page, monkeypatch):
    page = open_page(java_script_enabled=False, viewport={"width": 390, "height": 844})
    log_in(page, scene.base)
    monkeypatch.setattr(thread, "PAGE_SIZE", 2)
    page.goto(scene.path)
    expect(page.get_by_text("It leaks")).to_have_count(0)
    page.get_by_role("button", name="Show earlier messages").click()
    expect(page.get_by_text("It leaks")).to_have_count(2)
    page.get_by_role("link", name="Back to the newest messages").click()
    page.get_by_label("Message", exact=True).fill("Sorry!")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".message.ours").last).to_contain_text("Sorry!")
    page.get_by_label("Private note").check()
    page.get_by_label("Message", exact=True).fill("Careful")
    page.get_by_role("button", name="Keep the note").click()
    expect(page.locator(".message.private")).to_contain_text("Careful")
    page.get_by_text("More", exact=True).click()
    page.get_by_label("Title").fill("כביסה")
    page.get_by_role("button", name="Change the title").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("כביסה")
    page.get_by_text("More", exact=True).click()
    page.get_by_label("New session").fill("Hello again")
    page.get_by_role("button", name="Begin a new session").click()
    expect(page.get_by_role("status")).to_contain_text("A new session has begun")
    assert page.url.split("#")[0] != scene.path


def test_earlier_messages_are_put_before_the_others_and_days_are_named_once(scene, open_page, monkeypatch):
    monkeypatch.setattr(thread, "PAGE_SIZE", 2)
    page = open_page()
    log_in(page, scene.base)
    page.goto(scene.path)
    assert page.locator(".message").count() == 2
    page.get_by_role("button", name="Show earlier messages").click()
    expect(page.locator(".message")).to_have_count(4)
    expect(page.locator(".message").first).to_contain_text("It leaks")
    expect(page.locator(".day:visible")).to_have_count(1)
    expect(page.get_by_role("button", name="Show earlier messages")).to_have_count(0)
    scene.twilio.sms("one more", From="+15558675310")
    refresh(page)
    expect(page.locator(".message")).to_have_count(6)
    assert page.said == []


@pytest.mark.parametrize("width", [1280, 900, 390])
@pytest.mark.parametrize("scrolled", [0, 60])
def test_what_is_read_stays_in_its_place_below_earlier_messages(scene, open_page, monkeypatch, width, scrolled):
    for number in range(20):
        scene.clock.tick(1)
        scene.twilio.sms(f"text {number} " + "x" * 200, From="+15558675310")
    monkeypatch.setattr(thread, "PAGE_SIZE", 20)
    page = open_page(viewport={"width": width, "height": 860})
    log_in(page, scene.base)
    page.goto(scene.path)
    page.locator("#earlier").evaluate(
        "(link, scrolled) => { link.scrollIntoView({ block: 'start' }); for (let at = link; at; at = at.parentElement)"
        " at.scrollTop += scrolled - 60; }", scrolled,
    )  # fmt: skip
    first = page.locator(".message").first.get_attribute("id")
    before = page.locator(f"[id='{first}']").bounding_box()["y"]
    page.locator("#earlier a").evaluate("link => link.click()")
    expect(page.locator(".message")).to_have_count(40)
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert abs(page.locator(f"[id='{first}']").bounding_box()["y"] - before) < 2
    assert page.said == []


def test_an_opt_out_and_a_closed_window_are_seen_before_anything_is_written(scene, open_page):
    page = open_page(color_scheme="dark", viewport={"width": 390, "height": 844})
    scene.twilio.sms("STOP", From="+15558675310")
    scene.twilio.whatsapp()
    scene.clock.move_to(minutes=25 * 60)
    why = "Bulk order: 20 T-shirts, 5 caps, pickup at Main Street"
    mongoengine.get_db().sessions.update_many({}, {"$set": {"needs_person": {"reason": why}}})
    log_in(page, scene.base)
    page.goto(scene.path)
    expect(page.get_by_label("Reply", exact=True)).to_be_disabled()
    expect(page.get_by_text("The contact opted out (STOP)")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    page.goto(f"{scene.base}/admin/")
    page.locator(".row a").filter(has_text="WhatsApp").click()
    expect(page.get_by_text("24-hour window is closed")).to_be_visible()
    page.get_by_label("Template", exact=True).fill("HX" + "1" * 32)
    page.get_by_label("Variables").fill("1=Ada")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".message.ours").last).to_contain_text("Template HX1111")
    wide, seen = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide <= seen


@pytest.fixture
def closed_window(serve, clock, open_page):
    """Open a long WhatsApp session whose 24 hours are over, as wide as a test asks."""
    app, base = serve(public_url=HOST)
    twilio = Twilio(app.test_client(), base=HOST)
    for _ in range(12):
        twilio.whatsapp("It leaks " + "x" * 100)
    clock.move_to(minutes=25 * 60)

    def opened(width):
        page = open_page(viewport={"width": width, "height": 860})
        log_in(page, base)
        page.goto(f"{base}/admin/sessions/{mongoengine.get_db().sessions.find_one()['_id']}")
        return page

    return opened


@pytest.mark.parametrize("width", [1280, 390])
def test_a_refused_template_says_why_where_one_writes(closed_window, width):
    page = closed_window(width)
    page.get_by_label("Template", exact=True).fill("HXnope")
    page.get_by_label("Variables").fill("1 Ada")
    page.get_by_role("button", name="Send").click()
    refusal = page.locator("#reply").get_by_role("alert")
    expect(refusal).to_contain_text("name=value")
    expect(refusal).to_be_in_viewport(ratio=1)
    expect(page.get_by_label("Variables")).to_be_focused()
    expect(page.get_by_label("Variables")).to_have_accessible_description(re.compile("This is none: 1 Ada"))
    expect(page.get_by_label("Template", exact=True)).to_have_value("HXnope")


@pytest.mark.parametrize("width", [1280, 390])
def test_a_refused_form_beside_a_session_stays_open_with_what_was_written(closed_window, width):
    page = closed_window(width)
    page.get_by_text("Add an e-mail").click()
    page.get_by_label("E-mails").fill("not an email, ada@example.com")
    page.get_by_role("button", name="Save").last.click()
    expect(page.get_by_label("E-mails")).to_have_value("not an email, ada@example.com")
    expect(page.get_by_label("E-mails")).to_be_focused()
    expect(page.get_by_label("E-mails")).to_be_in_viewport()
    expect(page.locator("#panel").get_by_role("alert")).to_be_in_viewport(ratio=1)
    expect(page.get_by_role("alert")).to_have_count(1)

    for field in ("Tag", "Title"):
        if field == "Title":
            page.get_by_text("More", exact=True).click()
        page.locator(".opened").get_by_label(field, exact=True).fill(" ")
        page.locator(".opened").get_by_label(field, exact=True).press("Enter")
        expect(page.locator(".opened").get_by_label(field, exact=True)).to_be_focused()
        expect(page.locator(".opened").get_by_label(field, exact=True)).to_have_accessible_description(
            re.compile("at least one")
        )
        expect(page.get_by_role("alert")).to_be_in_viewport(ratio=1)
