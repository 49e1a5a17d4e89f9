"""The what-if page: what it shows, to whom, and how a person finds a threshold on it."""

import re
from datetime import timedelta

import mongoengine
import pytest
from playwright.sync_api import expect

from gateway.admin import gap_chart, whatif
from gateway.conversation.runtime import build
from gateway.core.gaps import DAY, bin_of
from gateway.core.whatif import Bucket
from tests.admin.conftest import Console, log_in
from tests.conftest import TEN
from tests.conversation.test_whatif import send

SMS, WHATSAPP = "sms:+15017122661", "whatsapp:+15017122661"


def text(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


@pytest.fixture
def history(app, make_settings, clock):
    """Three sessions at five minutes: pauses of 2, 8, 20 minutes by SMS, and one of 8 by WhatsApp."""
    serving = build(make_settings(reply={"responder": "none"}), clock=clock)
    for number, minute in enumerate((0, 2, 10, 30)):
        send(serving, clock, f"SM{number}", at=TEN + timedelta(minutes=minute))
    for number, minute in enumerate((0, 8)):
        send(serving, clock, f"WA{number}", kind="whatsapp", sender="+15558675399", at=TEN + timedelta(minutes=minute))
    clock.move_to(minutes=40)


def test_without_history_it_says_what_to_try(console):
    page = console.page("/admin/whatif")
    assert "No history yet" in page
    assert "gateway simulate sms" in page
    assert '<svg class="gaps' not in page


def test_one_message_has_no_pause_and_the_page_says_so(console, twilio):
    twilio.sms()
    page = text(console.page("/admin/whatif"))
    assert "there is no pause to look at: 1 session with 2 messages" in page
    assert "Not enough data" in page


def test_todays_threshold_is_shown_unless_another_is_asked_for(console, history):
    page = text(console.page("/admin/whatif"))
    assert "At 5 min 5 sessions" in page
    assert "None: at 5 min every session is as it is stored." in page


def test_another_threshold_changes_figures_and_lists_what_would_join(console, history):
    page = text(console.page("/admin/whatif?threshold=600"))
    assert "At 10 min 3 sessions −2 against the 5 stored" in page
    assert page.count("would join") == 2
    assert "one of 3 messages" in page
    assert "after a pause of 8 min" in page


def test_a_shorter_threshold_lists_what_would_be_cut(console, history):
    page = text(console.page("/admin/whatif?threshold=60"))
    assert "+1 against the 5 stored" in page
    assert "would be cut into 2 : 1 + 1 messages" in page


def test_a_type_and_a_number_narrow_all_of_it(console, history):
    page = text(console.page("/admin/whatif?threshold=600&type=whatsapp"))
    assert "At 10 min 1 session −1 against the 2 stored" in page
    assert page.count("would join") == 1
    assert "3 sessions" in text(console.page("/admin/whatif?threshold=600&number=%2B15017122661"))
    assert console.get("/admin/whatif?type=fax").status_code == 404
    assert console.get("/admin/whatif?number=%2B15005550006").status_code == 404
    assert console.get("/admin/whatif?since=9y").status_code == 400


@pytest.mark.parametrize(
    ("wrong", "words"), [("soon", "is no threshold"), ("301", "The next is 305."), ("-1", "is no")]
)
def test_a_threshold_that_cannot_be_read_is_refused_and_kept_in_the_field(console, history, wrong, words):
    answer = console.get(f"/admin/whatif?threshold={wrong}")
    assert answer.status_code == 400
    assert words in answer.text
    assert f'value="{wrong}"' in answer.text


@pytest.mark.parametrize("width", [1280, 390])
def test_the_side_by_side_table_shows_all_its_columns_and_the_page_keeps_its_width(
    serve, clock, make_settings, open_page, width
):
    _, base = serve()
    serving = build(make_settings(reply={"responder": "none"}), clock=clock)
    for number, minute in enumerate((0, 2, 10, 30)):
        send(serving, clock, f"SM{number}", at=TEN + timedelta(minutes=minute))
    page = open_page(viewport={"width": width, "height": 860})
    log_in(page, base)
    page.goto(f"{base}/admin/whatif")
    last = page.get_by_role("columnheader", name="Cuts added")
    last.scroll_into_view_if_needed()
    expect(last).to_be_in_viewport(ratio=0.95)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_list_has_pages(console, history, monkeypatch):
    monkeypatch.setattr(whatif, "PAGE_SIZE", 1)
    first = console.page("/admin/whatif?threshold=600")
    older = re.search(r'rel="next"[^>]*href="([^"]+)"', first)[1].replace("&amp;", "&")
    second = console.page(older)
    assert text(first).count("would join") == text(second).count("would join") == 1
    assert first != second
    assert 'rel="next"' not in second
    assert console.get("/admin/whatif?cursor=nonsense").status_code == 400


def test_who_is_limited_to_a_channel_learns_nothing_of_others(app, console, history):
    mongoengine.get_db().users.update_one({"name": "admin"}, {"$set": {"channels": [WHATSAPP]}})
    limited = Console(console.client).page("/admin/whatif?threshold=600")
    assert "At 10 min 1 session −1 against the 2 stored" in text(limited)
    assert "+15558675310" not in limited
    assert 'value="sms"' not in limited


def test_a_call_is_never_cut(app, console, twilio, clock):
    twilio.call(CallSid="CA" + "1" * 32)
    clock.move_to(minutes=3)
    assert "At 1 min 1 session" in text(console.page("/admin/whatif?threshold=60"))


@pytest.mark.parametrize(
    ("chosen", "today", "side"),
    [(600, 300, "end"), (300, 300, "start"), (200, 300, "start"), (10_000, 15_000, "start"), (86_400, 300, "start")],
)
def test_the_text_of_todays_threshold_does_not_lie_across_the_chosen_line(chosen, today, side):
    chart = gap_chart.draw([Bucket(60, 90, 3)], {"chosen": chosen, "now": today}, size="wide", width=960, height=250)
    line, mark = chart.marks
    assert mark.anchor == side
    text = (mark.x, mark.x + 140) if side == "start" else (mark.x - 140, mark.x)
    assert not text[0] < line.x < text[1]


def test_every_stop_of_the_slider_can_be_asked_for():
    assert all(bin_of(step) == step for step in whatif.STEPS)
    assert max(whatif.STEPS) == 7 * DAY


@pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_a_person_tries_thresholds_and_opens_what_would_change(serve, clock, make_settings, open_page, scripts):
    _, base = serve(public_url="http://gateway.example.com")
    serving = build(make_settings(reply={"responder": "none"}), clock=clock)
    for number, minute in enumerate((0, 2, 10)):
        send(serving, clock, f"SM{number}", at=TEN + timedelta(minutes=minute))
    clock.move_to(minutes=40)
    page = open_page(java_script_enabled=scripts, viewport={"width": 390, "height": 844})
    log_in(page, base)
    page.goto(f"{base}/admin/whatif")
    figure, line = page.locator(".tile.main .figure"), page.locator("svg.narrow .mark.chosen")
    assert figure.inner_text() == "2 sessions"
    before = line.get_attribute("transform")
    slider = page.get_by_label("or slide:")
    assert slider.is_visible() == scripts
    if scripts:
        slider.focus()
        while page.get_by_label("Threshold in seconds").input_value() != "600":
            page.keyboard.press("ArrowRight")
        assert line.get_attribute("transform") != before
        page.wait_for_url("**/whatif?threshold=600")
    else:
        page.get_by_label("Threshold in seconds").fill("600")
        page.get_by_role("button", name="Show").click()
    page.get_by_text("1 session", exact=True).wait_for()
    assert line.get_attribute("transform") != before
    assert page.get_by_text("would join").is_visible()
    page.get_by_role("link", name="1 min", exact=True).click()
    page.get_by_text("3 sessions", exact=True).wait_for()
    page.get_by_text("would be cut into 2").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    page.locator(".changes").get_by_role("link", name="SMS from +15558675310").click()
    page.wait_for_url(f"{base}/admin/sessions/*")
    assert page.said == []


def test_a_session_after_one_that_was_merged_is_shown_beside_what_that_went_into(console, history, db):
    sessions = [str(one["_id"]) for one in db.sessions.find({"communication_type": "sms"}, sort=[("_id", 1)])]
    merged = f"/admin/sessions/{sessions[1]}"
    assert console.post(f"{merged}/merge", form_on=merged).status_code == 302
    page = console.page("/admin/whatif?threshold=1800&type=sms")
    assert text(page).count("would join the session before (3 messages)") == 1
    assert f'href="/admin/sessions/{sessions[0]}"' in page


def test_a_link_out_of_the_list_takes_nothing_of_this_page_along(console, history, monkeypatch):
    monkeypatch.setattr(whatif, "PAGE_SIZE", 1)
    older = re.search(r'class="older" href="([^"]+)#', console.page("/admin/whatif?threshold=1800&type=sms"))[1]
    page = console.page(older.replace("&amp;", "&"))
    link = re.search(r'href="(/admin/sessions/[^"]+)"', page)[1]
    assert "?" not in link
    assert console.get(link).status_code == 200
