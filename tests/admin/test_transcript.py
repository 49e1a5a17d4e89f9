"""A session's page: what was said, by whom, and why each message is here."""

import re
from datetime import timedelta

import pytest

from gateway.admin import thread
from gateway.admin.transcript import days
from gateway.channels import messaging
from gateway.channels.base import Form
from gateway.conversation import intake
from gateway.conversation.respond import TOO_LATE
from gateway.core.messages import Delivery
from tests.conftest import TEN, fixture


@pytest.fixture
def page(console, session_id):
    """Show the newest session."""
    return lambda: console.page(f"/admin/sessions/{session_id()}")


def words(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_the_decision_of_each_inbound_message_is_told_in_words(page, twilio, clock):
    twilio.sms()
    assert "created: the first message of this sender" in page()
    clock.move_to(minutes=2)
    twilio.sms()
    assert "reused: 2 min 0 s after the last message, threshold 5 min" in page()
    assert page().count('<details class="decision') == 2


def test_a_decision_opens_to_everything_it_was_made_of(page, twilio, clock):
    twilio.sms()
    clock.move_to(minutes=2)
    twilio.sms()
    shown = words(page())
    for fact in (
        "kind reused",
        "rule within_threshold",
        "gap_seconds 120",
        "threshold_seconds 300",
        "scope channel",
    ):
        assert fact in shown
    assert "previous_session_id none" in shown


def test_a_rollover_leads_to_the_session_before(console, twilio, clock, db, session_id):
    twilio.sms("before the gap")
    first = session_id()
    clock.move_to(minutes=6)
    twilio.sms("after the gap")
    page = console.page(f"/admin/sessions/{session_id()}")
    assert "rolled over: 6 min 0 s after the last message, threshold 5 min" in page
    assert f'<a rel="prev" href="/admin/sessions/{first}">' in page
    assert "before the gap" not in console.page(f"/admin/sessions/{session_id()}/messages")
    assert "before the gap" in console.page(f"/admin/sessions/{first}/messages")


def test_the_head_tells_what_the_session_is(page, twilio, clock):
    twilio.sms()
    clock.move_to(minutes=2)
    shown = words(page())
    assert "SMS SMS from +15558675310 Open" in shown
    assert "Number +15558675310" in shown
    assert "To our line +15017122661" in shown
    assert "Messages 2" in shown
    assert "First message 2026-03-01 10:00:00 UTC" in shown
    assert "(2 min ago)" in shown


def test_contact_and_answer_stand_on_their_sides_in_order(page, twilio):
    twilio.sms("ping")
    sides = re.findall(r'<li class="message (\w+)"', page())
    assert sides == ["theirs", "ours"]
    assert "AI · echo" in page()


def test_what_people_wrote_is_never_markup(page, twilio):
    twilio.sms("<script>alert('x')</script><img src=x onerror=alert(1)>")
    assert "<script>" not in page()
    assert "<img src=x" not in page()
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in page()


def test_a_profile_name_is_never_markup(page, twilio):
    twilio.whatsapp(ProfileName="<b>Ada</b>")
    assert '<bdi class="who">&lt;b&gt;Ada&lt;/b&gt;</bdi>' in page()


def test_text_keeps_its_lines_and_finds_its_direction(page, twilio):
    twilio.sms("שלום\nעולם")
    assert '<p class="text" dir="auto">שלום\nעולם</p>' in page()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("location", "Location Example Plaza Label Example Plaza Address 1 Example Plaza"),
        ("button", "Button Confirm Button Confirm Payload confirm_appt_42"),
        ("list", "List choice Haircut Choice Haircut Id svc_haircut"),
        ("referral", "Came from Example Repairs Headline Example Repairs Body Book a repair today"),
        ("reply", "In reply to SM22222222222222222222222222222222"),
    ],
)
def test_what_came_beside_the_text_is_shown(page, twilio, name, shown):
    twilio.post("/webhooks/whatsapp", fixture(f"whatsapp/{name}"))
    assert shown in words(page())


def test_a_place_without_a_name_is_shown_by_its_coordinates(page, twilio):
    place = fixture("whatsapp/location")
    del place["Label"], place["Address"]
    twilio.post("/webhooks/whatsapp", place)
    assert "Location 34.746481, -92.289595" in words(page())


def test_a_message_without_anything_says_so(page, twilio):
    twilio.sms("")
    assert '<p class="event">no text</p>' in page()


def test_a_call_shows_its_beginning_its_turns_and_its_end(page, twilio, clock):
    twilio.post("/webhooks/voice", fixture("voice/incoming"))
    clock.move_to(seconds=10)
    twilio.post("/webhooks/voice/turn?turn=1", fixture("voice/gather_speech"))
    assert "ringing" in words(page()) or "received" in words(page())
    clock.move_to(seconds=49)
    twilio.post("/webhooks/voice/status", fixture("voice/status_completed"))
    twilio.post("/webhooks/voice/recording", fixture("voice/recording"))
    shown = words(page())
    assert "EXAMPLE ADA 10:00:00 Voice lasted 49 s Call began completed" in shown
    assert "EXAMPLE ADA 10:00:10 Voice spoken, 91% sure I would like to book a repair for Tuesday morning." in shown
    assert "reused: said in the same call" in shown
    assert "Audio · 21 s is being fetched" in shown
    assert "no text" not in shown


def test_an_opt_out_is_marked(page, twilio):
    twilio.sms("STOP")
    assert "STOP · opted out" in page()


def test_a_message_out_of_the_spool_says_how_late_it_was_filed_and_that_nobody_answered(console, page, app, clock):
    runtime = app.extensions["gateway"]
    text = fixture("sms/text")
    message = messaging.parse(Form(text), TEN)
    clock.move_to(minutes=20)
    intake.apply(runtime, message, Delivery(waiting=False, unanswered=TOO_LATE))
    assert "filed 20 min 0 s later" in page()
    assert "filed too late to be answered" in page()
    assert "too late for an automatic answer" in console.page()


def test_a_failed_message_tells_its_code_in_plain_words_and_leads_to_twilios_page(page, twilio, db):
    twilio.sms()
    steps = [("queued", 0), ("sent", 1), ("undelivered", 9)]
    history = [{"status": status, "at": TEN + timedelta(seconds=after)} for status, after in steps]
    failed = {"status": "undelivered", "error_code": "30003", "status_history": history[::-1]}
    db.messages.update_one({"direction": "outbound"}, {"$set": failed})
    shown = page()
    assert "30003 The phone is switched off or out of reach. Twilio on 30003" in words(shown)
    assert 'href="https://www.twilio.com/docs/api/errors/30003"' in shown
    assert "undelivered queued 10:00:00 sent 10:00:01 1 s later undelivered 10:00:09 9 s later" in words(shown)


def test_what_a_responder_failed_with_is_told_apart_from_the_delivery(page, twilio, db):
    twilio.sms()
    failed = {"status": "delivered", "has_error": True, "error_message": "http_bot: timeout after 10 s"}
    db.messages.update_one({"direction": "outbound"}, {"$set": failed})
    assert "The responder failed: http_bot: timeout after 10 s delivered" in words(page())


def test_why_a_message_was_not_answered_is_told(page, twilio, db):
    twilio.sms()
    db.messages.update_one({"direction": "inbound"}, {"$set": {"answer.reason": "handed_over"}})
    assert "not answered: the bot is off" in page()


def test_a_template_and_what_an_answer_took_are_shown(page, twilio, db):
    twilio.sms()
    sent = {"template": {"content_sid": "HX1", "variables": {"1": "Ada"}}, "processing_time_ms": 1200.0}
    db.messages.update_one({"direction": "outbound"}, {"$set": sent | {"token_count": 1312, "tools_used": ["orders"]}})
    shown = words(page())
    assert "Template HX1 Id HX1 {{1}} Ada" in shown
    assert "took 1.2 s, tokens 1,312, tools orders" in shown


def test_the_words_of_a_recording_are_called_its_transcription(page, twilio):
    twilio.post("/webhooks/voice", fixture("voice/incoming"))
    twilio.post("/webhooks/voice/recording", fixture("voice/recording"))
    assert "Transcription" not in page()
    twilio.post("/webhooks/voice/transcription", fixture("voice/transcription"))
    assert "Transcription Hi this is Ada please call me back about the repair." in words(page())


def test_earlier_messages_come_when_they_are_asked_for_and_none_twice(console, twilio, clock, session_id, monkeypatch):
    monkeypatch.setattr(thread, "PAGE_SIZE", 3)
    for number in range(4):
        clock.move_to(seconds=5 * number)
        twilio.sms(f"text {number}")
    path, seen, pages = f"/admin/sessions/{session_id()}", [], 0
    while path:
        shown = console.page(path)
        # A message and its answer have the same moment, and stay together.
        seen = re.findall(r'<p class="text" dir="auto">(.+?)</p>', shown) + seen
        link = re.search(r'href="([^"]+messages_before[^"]+)"[^>]*>Show earlier', shown.replace("\n", " "))
        path, pages = link and link[1].replace("&amp;", "&"), pages + 1
    assert seen == [text for number in range(4) for text in (f"text {number}", f"text {number}")]
    assert pages == 2


def test_a_page_that_is_open_gets_all_that_came_since_its_oldest_message(
    console, twilio, clock, session_id, monkeypatch
):
    monkeypatch.setattr(thread, "PAGE_SIZE", 2)
    twilio.sms("first")
    clock.move_to(seconds=5)
    twilio.sms("second")
    path = f"/admin/sessions/{session_id()}"
    refresh = re.search(r'id="messages" hx-get="([^"]+)"', console.page(path))[1]
    for number in range(3):
        clock.move_to(seconds=10 + number)
        twilio.sms(f"more {number}")
    shown = console.page(refresh)
    assert shown.count('<li class="message ') == 8
    assert "first" not in shown
    assert "Show earlier" not in shown
    assert re.search(r'id="messages" hx-get="([^"]+)"', shown)[1] == refresh


@pytest.mark.parametrize("name", ["messages_before", "messages_since"])
@pytest.mark.parametrize("wrong", ["x", "-1", "9" * 20])
def test_a_wrong_moment_is_told_and_is_no_server_error(console, twilio, session_id, name, wrong):
    twilio.sms()
    assert console.get(f"/admin/sessions/{session_id()}/messages?{name}={wrong}").status_code == 400


def test_an_unknown_session_is_not_found_in_the_consoles_own_words(console):
    for unknown in ("65f000000000000000000000", "nonsense", "%3Cscript%3E"):
        answer = console.get(f"/admin/sessions/{unknown}")
        assert answer.status_code == 404
        assert "There is no session of that id" in answer.text
        assert "Log out" in answer.text


def test_days_are_told_apart():
    moments = [TEN, TEN.replace(hour=23), TEN.replace(day=2)]
    shown = days([{"_id": str(n), "createdAt": at, "sender": "agent"} for n, at in enumerate(moments)])
    assert [(day.words, len(day.bubbles)) for day in shown] == [
        ("Sunday, 1 March 2026", 2),
        ("Monday, 2 March 2026", 1),
    ]
    assert {bubble.side for day in shown for bubble in day.bubbles} == {"ours"}
