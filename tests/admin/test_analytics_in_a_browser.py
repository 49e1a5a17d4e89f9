"""Analytics, a CSV file and paper as somebody in a real browser gets them."""

import csv

import pytest

from gateway.conversation import daily
from tests.admin.conftest import PASSWORD
from tests.conftest import Twilio


@pytest.fixture
def counted(serve, clock):
    """A served gateway with some messages that were counted."""
    app, base = serve(public_url="http://gateway.example.com")
    twilio = Twilio(app.test_client(), base="http://gateway.example.com")
    twilio.sms("مرحبا، هل يمكنني تغيير الموعد؟")
    twilio.sms("x" * 400, From="+15550000001")
    twilio.whatsapp()
    clock.move_to(minutes=2)
    daily.count(app.extensions["gateway"])
    return base


def open_analytics(page, base):
    page.goto(f"{base}/admin/analytics")
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{base}/admin/analytics")
    return page


def is_wider_than_the_screen(page):
    return page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")


def test_days_and_channel_are_chosen_and_a_chart_is_taken_along(counted, open_page):
    page = open_analytics(open_page(), counted)
    page.get_by_role("link", name="30 days").click()
    page.get_by_label("Channel").select_option("whatsapp")
    page.get_by_label("From").fill("2026-02-27")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**/analytics?from=2026-02-27&to=2026-03-01&type=whatsapp&channel=")
    messages = page.get_by_role("region", name="Messages per day", exact=True)
    assert messages.get_by_role("img").is_visible()
    assert messages.locator("rect").last.evaluate("bar => getComputedStyle(bar).fill") != "rgb(0, 0, 0)"
    messages.get_by_text("Numbers").click()
    assert messages.get_by_role("row").last.inner_text().split() == ["2026-03-01", "2", "2", "1", "1", "0", "0"]
    with page.expect_download() as started:
        messages.get_by_role("link", name="Messages per day as CSV").click()
    assert started.value.suggested_filename == "messages-2026-02-27-2026-03-01.csv"
    lines = started.value.path().read_text(encoding="utf-8-sig").splitlines()
    assert [row["WhatsApp"] for row in csv.DictReader(lines)] == ["0", "0", "2"]
    assert page.said == []


def test_on_a_phone_in_the_dark_without_scripts_nothing_is_wider_than_the_screen(counted, open_page):
    phone = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark", "java_script_enabled": False}
    page = open_analytics(open_page(**phone), counted)
    for numbers in page.locator(".chart summary").all():
        numbers.click()
    assert page.get_by_role("table").count() == 5
    assert not is_wider_than_the_screen(page)


def test_a_session_goes_on_paper_without_what_is_for_the_screen(counted, open_page):
    page = open_analytics(open_page(viewport={"width": 390, "height": 844}), counted)
    page.goto(f"{counted}/admin/?type=sms")
    page.get_by_role("link", name="SMS from +15550000001").click()
    page.get_by_role("link", name="Print").click()
    page.wait_for_url("**/print?type=sms")
    assert not is_wider_than_the_screen(page)
    assert page.get_by_role("button", name="Print").is_visible()
    page.emulate_media(media="print")
    assert not page.get_by_role("button", name="Print").is_visible()
    assert not page.get_by_role("link", name="Back to the session").is_visible()
    assert page.get_by_role("heading", name="SMS from +15550000001").is_visible()
    assert page.get_by_text("x" * 400).first.is_visible()
    assert page.pdf().startswith(b"%PDF")
    assert page.said == []
