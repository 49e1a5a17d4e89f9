"""The listing: what it shows, in which order, and what it says when there is nothing to show."""

import math
import re
from datetime import timedelta

import pytest

from gateway.admin import inbox, listed
from gateway.store import capped
from tests.conftest import TEN, fixture

ROW = re.compile(r'<li class="row.*?</li>', re.DOTALL)
SAID = re.compile(r'<span class="said">.*?</bdi></span>', re.DOTALL)
NUMBER = re.compile(r"\+\d+")


def rows(page):
    """Give the words of each row, without what was said last."""
    return [words(SAID.sub("", row)) for row in ROW.findall(page)]


def words(markup):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", markup)).strip()


def numbers(page):
    return [NUMBER.search(row)[0] for row in rows(page)]


def tabs(page):
    found = re.findall(r'<a href="[^"]*"[^>]*>([^<]+)(?:<span class="count">([^<]+)</span>)?</a></li>', page)
    return " ".join(f"{name.strip()} {count}".strip() for name, count in found)


def test_without_sessions_it_says_what_to_try(console):
    page = console.page()
    assert "No sessions yet" in page
    assert ".venv/bin/gateway simulate sms --from +15558675310 --body Hello" in page
    assert rows(page) == []


def test_the_empty_page_of_a_channel_names_the_channel(console, twilio):
    twilio.sms()
    assert "No WhatsApp sessions yet" in console.page("/admin/?type=whatsapp")


def test_a_row_tells_who_wrote_and_what_was_said_last(console, twilio, db, clock):
    twilio.whatsapp("  Where is\n my order? ")
    twilio.post("/webhooks/sms", fixture("sms/mms_2media") | {"Body": ""})
    db.messages.delete_many({"direction": "outbound"})
    db.messages.insert_one(
        db.messages.find_one({"communication_type": "whatsapp"})
        | {
            "_id": "note:1",
            "content": "for us only",
            "metadata": {"private": True},
            "createdAt": TEN + timedelta(hours=1),
        }
    )
    page = console.page()
    assert rows(page)[1].startswith("Unread: Ada Example +15558675310 just now WhatsApp")
    assert [words(said) for said in SAID.findall(page)] == ["Image, PDF", "Where is my order?"]
    db.messages.update_one({"_id": "note:1"}, {"$set": {"metadata": {}, "sender": "agent"}})
    assert "Agent: for us only" in words(console.page())


def test_a_row_tells_title_number_count_time_and_status(console, twilio, clock):
    twilio.sms()
    clock.move_to(minutes=2)
    page = console.page()
    assert rows(page) == ["Unread: SMS from +15558675310 2 min ago SMS Open 2 messages"]
    assert '<time datetime="2026-03-01T10:00:00+00:00" title="2026-03-01 10:00:00 UTC">2 min ago</time>' in page


def test_the_newest_session_comes_first_and_a_message_brings_an_old_one_back(console, twilio, clock):
    for minute, number in enumerate(("+15550000001", "+15550000002", "+15550000003")):
        clock.move_to(minutes=minute)
        twilio.sms(From=number)
    assert numbers(console.page()) == [
        "+15550000003",
        "+15550000002",
        "+15550000001",
    ]
    clock.move_to(minutes=4)
    twilio.sms(From="+15550000001")
    assert numbers(console.page())[0] == "+15550000001"


def test_who_has_no_number_is_shown_by_what_there_is(console, twilio):
    twilio.call(From="Anonymous", CallSid="CA" + "1" * 32)
    twilio.whatsapp(From="whatsapp:US.13491208655302741918")
    shown = "\n".join(rows(console.page()))
    assert "Call from withheld number just now Voice" in shown
    assert "Ada Example US.13491208655302741918 just now" in shown


def test_a_status_says_why(console, twilio, db, clock):
    for number in range(4):
        twilio.sms(From=f"+1555000000{number}")
    changes = [
        {"status": "closed", "closed_reason": "idle"},
        {"status": "archived"},
        {"live": ["CA1"], "live_until": TEN + timedelta(hours=4)},
        {"live": ["CA2"], "live_until": TEN - timedelta(hours=1)},
    ]
    for number, change in enumerate(changes):
        db.sessions.update_one({"metadata.fromNumber": f"+1555000000{number}"}, {"$set": change})
    page = console.page()
    states = (row.partition("just now SMS ")[2].rpartition(" 2 messages")[0] for row in rows(page))
    shown = dict(zip((number[-1] for number in numbers(page)), states, strict=True))
    assert shown == {"0": "Closed (idle)", "1": "Archived", "2": "On a call", "3": "Open"}


def test_tabs_count_and_choose_a_channel(console, twilio):
    twilio.sms()
    twilio.sms(From="+15550000001")
    twilio.whatsapp()
    twilio.call()
    states = "Open 4 Closed 0 Archived 0"
    assert tabs(console.page()) == "All 4 SMS 2 WhatsApp 1 Voice 1 Chat 0 " + states
    for kind, name, count in (("sms", "SMS", 2), ("whatsapp", "WhatsApp", 1), ("voice", "Voice", 1)):
        page = console.page(f"/admin/?type={kind}")
        assert tabs(page) == f"All 4 SMS 2 WhatsApp 1 Voice 1 Chat 0 Open {count} Closed 0 Archived 0"
        assert len(rows(page)) == count
        assert all(f"just now {name} " in row for row in rows(page))
        assert re.search(rf'aria-current="page">{name} ', page)
    assert "No Chat sessions yet" in console.page("/admin/?type=chat")


def test_a_large_count_is_given_as_a_limit(console, twilio, monkeypatch):
    monkeypatch.setattr(capped, "LIMIT", 2)
    for number in range(3):
        twilio.sms(From=f"+1555000000{number}")
    assert tabs(console.page()) == "All 2+ SMS 2+ WhatsApp 0 Voice 0 Chat 0 Open 2+ Closed 0 Archived 0"


def test_a_count_is_exact_below_the_limit():
    assert [listed.at_most(count) for count in (0, 99, 100, 2500)] == ["0", "99", "100+", "100+"]


def test_paging_shows_every_session_once_whatever_arrives_meanwhile(console, twilio, db, clock):
    for number in range(120):
        # Several share a moment, so that a page may end between two of the same time.
        clock.move_to(minutes=number // 7)
        twilio.sms(From=f"+1555000{number:04}")
    seen, path, pages = [], "/admin/?type=sms", 0
    while path:
        page = console.page(path)
        assert len(rows(page)) <= inbox.PAGE_SIZE
        seen += numbers(page)
        older = re.search(r'rel="next" class="older" href="([^"]+)"', page)
        path, pages = older and older[1].replace("&amp;", "&"), pages + 1
        clock.move_to(minutes=60 + pages)
        twilio.sms(From=f"+1666000{pages:04}")
    assert pages == math.ceil(120 / inbox.PAGE_SIZE)
    assert len(seen) == 120
    assert set(seen) == {f"+1555000{number:04}" for number in range(120)}
    assert '<a rel="first" href="/admin/?type=sms">' in page


def test_a_single_page_has_no_links_to_others(console, twilio):
    twilio.sms()
    assert 'class="pages"' not in console.page()


def test_a_page_past_the_end_leads_back(console, twilio):
    twilio.sms()
    assert "Back to the newest sessions" in console.page("/admin/?cursor=0-000000000000000000000000")


@pytest.mark.parametrize("cursor", ["zz", "1-", "-1-000000000000000000000000", "9" * 40 + "-x", "1-\0", "%00"])
def test_a_wrong_cursor_is_told_and_is_no_server_error(console, cursor):
    answer = console.client.get("/admin/", query_string={"cursor": cursor})
    assert answer.status_code == 400
    assert "Start again from the newest sessions" in answer.text


def test_an_unknown_channel_type_is_not_found(console):
    answer = console.get("/admin/?type=fax")
    assert answer.status_code == 404
    assert "no channel of that type" in answer.text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "just now"),
        (59, "just now"),
        (60, "1 min ago"),
        (3599, "59 min ago"),
        (3600, "1 h ago"),
        (86_399, "23 h ago"),
        (86_400, "1 d ago"),
        (7 * 86_400 - 1, "6 d ago"),
        (7 * 86_400, "1 Mar 2026"),
    ],
)
def test_times_are_told_as_people_do(seconds, words):
    assert listed.ago(TEN, TEN + timedelta(seconds=seconds)) == words
