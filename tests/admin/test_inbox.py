"""Finding sessions and looking after them: search, filters, who reads what, and whose they are."""

import re

import pytest

from gateway.admin import inbox
from gateway.store import users
from gateway.store.listing import Page
from tests.admin.conftest import PASSWORD, Console
from tests.admin.test_sessions import numbers, rows
from tests.conftest import TEN, Twilio

ADA, BEA, CARL = "+15550000001", "+15550000002", "+4915550000003"
LINE, OTHER_LINE = "sms:+15017122661", "sms:+15017122669"


@pytest.fixture
def three(twilio, clock):
    """Three people, a minute apart: the newest is Carl, who wrote to another line of ours."""
    twilio.sms("My parcel is late, the blue one", From=ADA)
    clock.move_to(minutes=1)
    twilio.sms("Where is the invoice for order 4711?", From=BEA)
    clock.move_to(minutes=2)
    twilio.sms("أين طلبي", From=CARL, To="+15017122669")


@pytest.fixture
def agent(app):
    """Somebody who sees one line only."""
    users.add("bea", PASSWORD, TEN, role="agent", channels=[LINE])
    agent = Console(app.test_client())
    agent.log_in(name="bea")
    return agent


def session_of(db, number):
    return str(db.sessions.find_one({"metadata.fromNumber": number})["_id"])


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("+15550000001", [ADA]),
        ("1 (555) 000", [BEA, ADA]),
        ("00491", [CARL]),
        ("4711", [BEA]),
        ("late", [ADA]),
        ("LATE parcel", [ADA]),
        ("late invoice", []),
        ('"blue one"', [ADA]),
        ('"one blue"', []),
        ("طلبي", [CARL]),
        ("Hopper", [BEA]),
        ("wholesale", [CARL]),
        ("-parcel $where", []),
    ],
)
def test_search_finds_numbers_words_names_and_titles(console, db, three, asked, found):
    contact = db.contacts.insert_one({"name": "Grace Hopper"}).inserted_id
    db.sessions.update_one({"metadata.fromNumber": BEA}, {"$set": {"contact_id": contact}})
    db.sessions.update_one({"metadata.fromNumber": CARL}, {"$set": {"title": f"Wholesale {CARL}"}})
    page = console.client.get("/admin/", query_string={"q": asked}).text
    assert numbers(page) == found
    if not found:
        assert "Nothing found" in page


def test_where_looking_took_too_long_the_page_leads_on(console, three, monkeypatch):
    monkeypatch.setattr(inbox, "_page", lambda *_: Page([], "1772359200000-" + "0" * 24))
    page = console.page("/admin/?q=1555")
    assert "Nothing found yet" in page
    assert '<a rel="next" href="/admin/?q=1555&amp;cursor=1772359200000-000000000000000000000000">' in page


def test_filters_choose_and_combine(console, db, three):
    for number, change in (
        (ADA, {"has_failed": True, "tags": ["vip"]}),
        (BEA, {"tags": ["vip"], "assigned_to": "admin"}),
        (CARL, {"needs_person": {"reason": "handed_over", "at": TEN}, "last_message_at": TEN.replace(day=3)}),
    ):
        db.sessions.update_one({"metadata.fromNumber": number}, {"$set": change})
    for query, found in (
        ("error=1", [ADA]),
        ("tag=vip", [BEA, ADA]),
        ("tag=vip&error=1", [ADA]),
        ("person=1", [CARL]),
        ("assigned=me", [BEA]),
        ("assigned=admin", [BEA]),
        ("assigned=nobody", [CARL, ADA]),
        (f"channel={OTHER_LINE.replace('+', '%2B')}", [CARL]),
        ("from=2026-03-01&to=2026-03-01", [BEA, ADA]),
        ("from=2026-03-02", [CARL]),
        ("tag=vip&type=whatsapp", []),
        ("tag=vip&status=closed", []),
        ("tag=vip&q=parcel", [ADA]),
    ):
        assert numbers(console.page(f"/admin/?{query}")) == found, query


@pytest.mark.parametrize(
    ("query", "status"), [("from=yesterday", 400), ("to=2026-13-01", 400), ("to=9999-12-31", 200), ("status=lost", 404)]
)
def test_an_address_nobody_was_given_is_told(console, query, status):
    assert console.get(f"/admin/?{query}").status_code == status


def test_every_link_keeps_the_list_as_it_is(console, db, three):
    page = console.page("/admin/?tag=vip&q=late&status=active")
    assert 'href="/admin/?type=sms&amp;status=active&amp;q=late&amp;tag=vip"' in page
    opened = f"/admin/sessions/{session_of(db, ADA)}?status=active&q=late"
    assert opened.replace("&", "&amp;") in console.page("/admin/?q=late&status=active")
    beside = console.page(opened)
    assert numbers(beside) == [ADA]
    assert 'class="back"><a href="/admin/?status=active&amp;q=late">' in beside
    assert '/messages?status=active&amp;q=late" data-draft' in beside
    assert re.search(r'hx-get="/admin/list\?status=active&amp;q=late&amp;open=\w+"', beside)


def test_a_word_in_too_many_messages_is_told(console, three, monkeypatch):
    from gateway.store import searching

    monkeypatch.setattr(searching, "SECONDS", 0.000001)
    assert "These words take too long to look for" in console.page("/admin/?q=late")


def test_a_session_is_unread_until_somebody_opens_it_and_again_when_more_comes(console, twilio, clock, session_id):
    twilio.sms(From=ADA)
    assert rows(console.page())[0].startswith("Unread: ")
    clock.tick(5)
    console.page(f"/admin/sessions/{session_id()}")
    assert not rows(console.page())[0].startswith("Unread: ")
    clock.tick(5)
    twilio.sms(From=ADA)
    assert 'data-unread="1"' in console.page()
    clock.tick(5)
    console.post(f"/admin/sessions/{session_id()}/seen", form_on="/admin/")
    assert 'data-unread="0"' in console.page()


def test_a_session_whose_last_message_lies_in_the_future_is_read_when_it_is_opened(console, twilio, clock, session_id):
    clock.move_to(minutes=60)
    twilio.sms(From=ADA)
    clock.move_to(minutes=0)
    assert 'data-unread="1"' in console.page()
    console.page(f"/admin/sessions/{session_id()}")
    assert 'data-unread="0"' in console.page()


def test_a_session_can_be_marked_as_unread(console, twilio, clock, db, session_id):
    twilio.sms(From=ADA)
    clock.tick(5)
    path = f"/admin/sessions/{session_id()}"
    answer = console.post(f"{path}/unread?tag=vip", form_on=path)
    assert answer.location == "/admin/?tag=vip"
    assert 'data-unread="1"' in console.page()
    assert [entry["action"] for entry in db.audit.find()] == ["session_marked_unread"]


def test_a_viewer_reads_without_marking(app, twilio, clock, db, session_id):
    twilio.sms(From=ADA)
    users.add("vera", PASSWORD, TEN, role="viewer")
    vera = Console(app.test_client())
    vera.log_in(name="vera")
    clock.tick(5)
    page = vera.page(f"/admin/sessions/{session_id()}")
    assert "Mark as unread" not in page
    assert "seen_at" not in db.sessions.find_one()
    for action in ("seen", "unread", "assign"):
        assert vera.post(f"/admin/sessions/{session_id()}/{action}", form_on="/admin/").status_code == 403


def test_a_session_is_assigned_with_an_entry_and_stays_so_in_the_next(console, agent, twilio, clock, db, session_id):
    twilio.sms(From=ADA)
    first, path = session_id(), f"/admin/sessions/{session_id()}"
    assert console.post(f"{path}/assign?q=1555", form_on=path, to="bea").location == f"{path}?q=1555"
    assert "Assigned to bea." in console.page(path)
    entry = db.audit.find_one()
    assert (entry["by"], entry["action"], str(entry["session_id"])) == ("admin", "session_assigned", first)
    assert entry["details"] == {"to": "bea"}
    assert numbers(agent.page("/admin/?assigned=me")) == [ADA]
    clock.move_to(minutes=30)
    twilio.sms(From=ADA)
    assert session_id() != first
    assert len(rows(agent.page("/admin/?assigned=me"))) == 2
    console.post(f"/admin/sessions/{session_id()}/assign", form_on=path, to="")
    assert "assigned_to" not in db.sessions.find_one({"_id": db.sessions.find_one(sort=[("_id", -1)])["_id"]})


def test_a_session_is_assigned_to_nobody_who_may_not_see_it(console, agent, db, three):
    path = f"/admin/sessions/{session_of(db, CARL)}"
    assert '<option value="bea"' not in console.page(path).partition('name="to"')[2]
    for name in ("bea", "nobody-here"):
        assert console.post(f"{path}/assign", form_on=path, to=name).status_code == 409
    assert db.audit.count_documents({}) == 0


def options(page, name):
    """Give what may be chosen of a name on a page."""
    chosen = re.search(rf'<select (?:id="\w+" )?name="{name}">(.*?)</select>', page, re.DOTALL)[1]
    return [one.removesuffix(" (me)").strip() for one in re.findall(r"<option[^>]*>([^<]*)", chosen)]


def test_beside_a_session_those_people_and_lines_are_offered_that_its_reader_may_know(console, agent, db, three):
    users.add("carl", PASSWORD, TEN, role="agent", channels=[OTHER_LINE])
    path = f"/admin/sessions/{session_of(db, ADA)}"
    db.channels.insert_one({"_id": "chat:site", "communication_type": "chat", "phone_number": "site"})
    db.channels.insert_one({"_id": "sms:lost", "communication_type": "sms"})
    mine, all_of_it = agent.page(path), console.page(path)
    assert options(mine, "to") == options(all_of_it, "to") == ["nobody", "admin", "bea"]
    assert options(mine, "assigned")[3:] == ["admin", "bea"]
    assert options(all_of_it, "assigned")[3:] == ["admin", "bea", "carl"]
    assert options(mine, "line") == ["of all our lines", "+15017122661"]
    assert options(all_of_it, "line") == ["of all our lines", "+15017122661", "+15017122669"]
    assert options(mine, "channel") == ["any", "SMS +15017122661"]
    assert len(options(all_of_it, "channel")) == 5


def test_somebody_limited_to_channels_learns_nothing_of_others(agent, db, three):
    db.sessions.update_many(
        {}, {"$set": {"tags": ["vip"], "has_failed": True, "needs_person": {"reason": "x", "at": TEN}}}
    )
    hidden = session_of(db, CARL)
    for query in ("", "q=%2B491", "q=طلبي", "tag=vip", "error=1", "person=1", f"channel={OTHER_LINE}", "q=from"):
        page = agent.page(f"/admin/?{query}")
        assert CARL not in page
        assert hidden not in page
        assert "2669" not in page or query.startswith("channel=")
    assert "All 2 SMS 2" in re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", agent.page()))
    for action in ("seen", "unread", "assign"):
        assert agent.post(f"/admin/sessions/{hidden}/{action}", form_on="/admin/").status_code == 404


def test_a_failed_message_flags_its_session(console, twilio, db, app):
    twilio.sms(From=ADA)
    db.messages.update_one({"direction": "outbound"}, {"$set": {"provider_sid": "SM" + "9" * 32, "status": "sent"}})
    for status in ("delivered", "undelivered"):
        form = {"MessageSid": "SM" + "9" * 32, "MessageStatus": status, "AccountSid": "AC" + "a" * 32}
        assert bool(rows(console.page("/admin/?error=1"))) is False
        Twilio(app.test_client()).post(
            "/webhooks/status", form | ({"ErrorCode": "30003"} if status != "delivered" else {})
        )
    assert "Failed message" in console.page("/admin/?error=1")
