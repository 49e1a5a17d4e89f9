"""What only a real browser can show: forms, layout, and that nothing leaves the host."""

import io
import wave

import pytest
from playwright.sync_api import expect

from gateway.core.fetching import Fetched
from gateway.store import media
from tests.admin.conftest import PASSWORD, log_in
from tests.conftest import TEN, Twilio, fixture


@pytest.fixture
def filled(serve, clock):
    """A served gateway with something of everything, read five minutes later."""
    app, base = serve(public_url="http://gateway.example.com")
    twilio = Twilio(app.test_client(), base="http://gateway.example.com")
    twilio.post("/webhooks/sms", fixture("sms/mms_2media"))
    clock.move_to(minutes=2)
    twilio.sms("x" * 400 + "\n<script>document.title='broken'</script>")
    twilio.whatsapp("مرحبا، هل يمكنني تغيير الموعد؟")
    twilio.post("/webhooks/whatsapp", fixture("whatsapp/bsuid"))
    twilio.post("/webhooks/whatsapp", fixture("whatsapp/media"))
    keep(fixture("sms/mms_2media")["MessageSid"], Fetched("image/svg+xml", b"<svg/>"), Fetched("image/gif", PIXEL))
    keep(fixture("whatsapp/media")["MessageSid"], Fetched("audio/wav", silence(seconds=4)))
    twilio.call()
    clock.move_to(minutes=5)
    return base


PIXEL = b"GIF89a\x01\x00\x01\x00\x80\x00\x00" + b"\x00" * 6 + b",\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"


def silence(*, seconds):
    sound = io.BytesIO()
    with wave.open(sound, "wb") as written:
        written.setparams((1, 2, 44_100, 0, "NONE", ""))
        written.writeframes(bytes(2 * 44_100 * seconds))
    return sound.getvalue()


def keep(message_id, *fetched):
    for file, one in zip(media.of(message_id).files, fetched, strict=True):
        assert media.keep(file, one)


def row(page, channel):
    """The session of the fixtures' number: its contact is named by the WhatsApp profile in all channels."""
    return page.locator(".row a").filter(has_text="+15558675310").filter(has=page.get_by_text(channel, exact=True))


@pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_an_operator_logs_in_finds_a_session_and_reads_why(filled, open_page, scripts):
    page = open_page(java_script_enabled=scripts)
    log_in(page, filled)
    expect(page.locator(".row")).to_have_count(4)
    row(page, "SMS").click()
    decision = page.get_by_text("reused: 2 min 0 s after the last message, threshold 5 min")
    expect(decision).to_be_visible()
    assert not page.get_by_text("within_threshold").is_visible()
    decision.click()
    expect(page.get_by_text("within_threshold")).to_be_visible()
    page.get_by_role("link", name="Sessions", exact=True).click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Password")).to_be_visible()


def test_a_wrong_password_is_said_and_can_be_corrected(filled, open_page):
    page = open_page()
    page.goto(f"{filled}/admin/")
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill("wrong")
    page.keyboard.press("Enter")
    assert page.get_by_role("alert").inner_text().startswith("That name and password do not match.")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{filled}/admin/")


def test_tabs_choose_a_channel(filled, open_page):
    page = open_page()
    log_in(page, filled)
    page.get_by_role("link", name="WhatsApp 2").click()
    expect(page).to_have_url(f"{filled}/admin/?type=whatsapp")
    expect(page.locator(".row")).to_have_count(2)
    assert page.locator(".tabs a[aria-current]").inner_text() == "WhatsApp 2"


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_screen(filled, open_page, width, scheme):
    page = open_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
    log_in(page, filled)
    sessions = page.locator(".rows a").evaluate_all("links => links.map(link => link.href)")
    for address in [f"{filled}/admin/", *sessions, f"{filled}/admin/nothing"]:
        page.goto(address)
        page.locator("details").evaluate_all("all => all.forEach(details => { details.open = true; })")
        width_of = "document.documentElement.{}"
        assert page.evaluate(width_of.format("scrollWidth")) <= page.evaluate(width_of.format("clientWidth")), address


def test_pages_ask_no_other_host_and_break_no_rule_of_their_own(filled, open_page):
    page = open_page()
    log_in(page, filled)
    sessions = page.locator(".rows a").evaluate_all("links => links.map(link => link.href)")
    for address in sessions:
        page.goto(address)
    assert page.title() != "broken"
    assert len(page.asked) > len(sessions)
    assert [url for url in page.asked if not url.startswith((filled, "data:"))] == []
    assert page.said == []


def test_a_photograph_is_seen_and_opens(filled, open_page):
    page = open_page()
    log_in(page, filled)
    row(page, "SMS").click()
    photo = page.locator(".media img")
    expect(photo).to_have_count(1)
    photo.scroll_into_view_if_needed()
    expect(page.locator(".media img")).to_have_js_property("naturalWidth", 1)
    photo.click()
    page.wait_for_url(f"{filled}/admin/media/*/1")
    assert page.locator("img").evaluate("image => image.naturalWidth") == 1
    assert page.said == []


def test_a_recording_plays_on_the_page_and_can_be_jumped_in(filled, open_page):
    page = open_page()
    log_in(page, filled)
    row(page, "WhatsApp").click()
    assert not [url for url in page.asked if "/media/" in url]
    jumped = page.locator("audio").evaluate(
        """audio => new Promise((done, failed) => {
            audio.onerror = () => failed(new Error(audio.error.message));
            audio.onloadedmetadata = () => { audio.currentTime = 3; };
            audio.onseeked = () => done([Math.round(audio.duration), audio.currentTime]);
            audio.preload = "auto";
            audio.load();
        })"""
    )
    assert jumped == [4, 3]
    assert page.said == []


def test_the_keyboard_shows_where_it_is(filled, open_page):
    page = open_page()
    log_in(page, filled)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    for _ in range(12):
        page.keyboard.press("Tab")
        seen = page.evaluate(
            "(() => { const style = getComputedStyle(document.activeElement);"
            " return style.outlineStyle != 'none' || style.boxShadow != 'none' })()"
        )
        assert seen, page.evaluate("document.activeElement.outerHTML")


def test_text_in_arabic_runs_from_the_right(filled, open_page):
    page = open_page()
    log_in(page, filled)
    row(page, "WhatsApp").click()
    text = page.locator(".theirs .text").first
    assert text.evaluate("element => getComputedStyle(element).direction") == "rtl"


def test_the_clock_of_the_page_is_the_gateways(filled, open_page):
    page = open_page()
    log_in(page, filled)
    assert f"As of {TEN.hour}:05:00 UTC" in page.locator(".as-of").inner_text()
