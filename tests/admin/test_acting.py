"""What operators do on a session's page: each form does one thing, says so, and leads back to where it was sent."""

import re
from urllib.parse import parse_qs, urlsplit

import mongoengine
import pytest
from bson import ObjectId

from gateway.store import users
from tests.admin.conftest import PASSWORD, Console
from tests.conftest import TEN, Twilio


@pytest.fixture
def path(console, twilio, session_id):
    """The page of a session somebody texted in."""
    twilio.sms()
    return f"/admin/sessions/{session_id()}"


@pytest.fixture
def do(console, path):
    """Send one of the page's forms, and give what the page says afterwards."""

    def sent(deed, **fields):
        answer = console.post(f"{path}/{deed}", form_on=path, **fields)
        assert answer.status_code == 302, answer.text
        return words(console.page(answer.location))

    return sent


def words(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def somebody(app, name, role="agent", channels=None):
    users.add(name, PASSWORD, TEN, role=role, channels=channels)
    console = Console(app.test_client())
    console.log_in(name=name)
    return console


def test_a_session_is_closed_and_reopened_and_the_panel_tells_who_did_it(do, clock):
    shown = do("close")
    assert "Closed. Whatever comes next begins a new session." in shown
    assert "Closed (operator)" in shown
    assert "admin closed it · 10:00" in shown
    clock.move_to(minutes=1)
    shown = do("reopen")
    assert "Open again." in shown
    assert "admin reopened it · 10:01 admin closed it · 10:00" in shown


def test_reopening_while_another_is_open_is_a_conflict_that_leads_to_that_one(
    console, do, path, twilio, clock, session_id
):
    do("close")
    clock.move_to(minutes=1)
    twilio.sms()
    answer = console.post(f"{path}/reopen", form_on=path)
    assert answer.status_code == 409
    assert "Another session of theirs is open." in answer.text
    assert f'<a href="/admin/sessions/{session_id()}">Go to the open one</a>' in answer.text


def test_a_session_is_archived_and_taken_out_again(do):
    assert "Archived Take over" in do("archive").replace("Archived, and closed for good.", "")
    assert "Taken out of the archive. It is closed." in do("unarchive")


def test_taking_over_and_handing_back(do, db):
    assert "The bot is off: nothing is answered automatically" in do("take-over")
    assert db.sessions.find_one()["bot_off"] is True
    assert "The bot answers again." in do("hand-back")
    assert "The bot answered already." in do("hand-back")


def test_a_note_is_shown_as_one_and_nothing_is_sent(console, do, db, path):
    sent = db.outbox.count_documents({})
    shown = do("messages", kind="note", text="<b>Careful</b>")
    assert "Note · admin 10:00:00 Private note · never sent &lt;b&gt;Careful&lt;/b&gt;" in shown
    assert "Messages 3" in shown
    assert db.outbox.count_documents({}) == sent
    answer = console.post(f"{path}/messages", form_on=path, kind="note", text=" ")
    assert (answer.status_code, "The note is empty" in answer.text) == (409, True)


def test_a_title_and_tags(console, do, path):
    assert "<bdi>A leak &amp; more</bdi></h1>" in console.page(
        console.post(f"{path}/title", form_on=path, title="A leak & more").location
    )
    assert "kettle ×" in do("tags", tag="kettle")
    assert "kettle" not in do("untag", tag="kettle")
    assert console.post(f"{path}/tags", form_on=path, tag=" ").status_code == 409


def test_a_new_session_with_and_without_a_first_message(console, do, path, db, session_id):
    assert "Closed. Whatever comes next begins a new session." in do("begin", text="")
    answer = console.post(f"{path}/begin", form_on=path, text="Hello again")
    assert answer.location == f"/admin/sessions/{session_id()}" != path
    page = console.page(answer.location)
    assert "A new session has begun" in page
    assert "Hello again" in page


def test_the_contact_gets_a_name(do, db):
    shown = do("contact", name="Ada Lovelace")
    assert "Ada Lovelace Rename" in shown
    assert db.contacts.find_one()["name"] == "Ada Lovelace"
    assert "admin renamed the contact" in shown


def test_after_a_deed_the_list_beside_the_session_is_as_it_was(console, path):
    answer = console.post(f"{path}/close?type=sms&q=a%26b&messages_before=1&session_id=x&_external=1", form_on=path)
    assert parse_qs(urlsplit(answer.location).query) == {"type": ["sms"], "q": ["a&b"]}
    assert urlsplit(answer.location).path == path
    page = console.page(f"{path}?type=sms&q=a%26b%22%3E")
    form = re.search(r'action="([^"]+/reopen[^"]*)"', page)[1]
    assert parse_qs(urlsplit(form.replace("&amp;", "&")).query) == {"type": ["sms"], "q": ['a&b">']}


def test_a_viewer_reads_and_is_offered_nothing_to_do(app, path):
    viewer = somebody(app, "vera", role="viewer")
    page = viewer.page(path)
    assert page.count('method="post"') == 1  # logging out
    for deed in ("messages", "close", "reopen", "take-over", "title", "tags", "begin", "contact"):
        assert viewer.post(f"{path}/{deed}", form_on=path, text="x").status_code == 403


def test_who_is_limited_to_channels_can_do_nothing_elsewhere(app, db, path):
    outsider = somebody(app, "otto", channels=["whatsapp:+15017122661"])
    for deed in ("messages", "close", "reopen", "archive", "title", "tags", "begin", "contact"):
        answer = outsider.post(f"{path}/{deed}", form_on="/admin/", text="x", title="x", tag="x")
        assert answer.status_code == 404, deed
    assert db.audit.count_documents({}) == 0
    assert db.messages.count_documents({"sender": "agent"}) == 0


def test_the_panel_tells_nothing_of_channels_its_reader_does_not_see(app, db, console, path, twilio, clock):
    twilio.whatsapp("secret", To="whatsapp:+15550009999")
    db.contacts.update_one({}, {"$push": {"phones": "+15551112222"}})
    stop = {"at": TEN, "message_id": "SM1"}
    db.contacts.update_one({}, {"$set": {"opted_out": {"+15550009999": stop, "+15017122661": stop}}})
    contact_id = db.contacts.find_one()["_id"]
    assert db.sessions.count_documents({"contact_id": contact_id}) == 2
    whole = words(console.page(path))
    for told in ("+15551112222", "+15550009999", "WhatsApp from"):
        assert told in whole
    limited = somebody(app, "lena", channels=["sms:+15017122661"])
    part = words(limited.page(path))
    assert "Opted out of +15017122661" in part
    for hidden in ("+15551112222", "+15550009999", "WhatsApp from"):
        assert hidden not in part
    everything = limited.page(f"/admin/contacts/{contact_id}/sessions")
    assert (everything.count("SMS from"), "WhatsApp" in everything) == (1, False)
    outsider = somebody(app, "otto", channels=["voice:+1"])
    for query in ("", "?before=99999999999999"):
        assert outsider.get(f"/admin/contacts/{contact_id}/sessions{query}").status_code == 404


def test_all_sessions_of_a_person_come_in_pages(console, db, path, monkeypatch):
    monkeypatch.setattr("gateway.admin.contact_pages.PAGE_SIZE", 4)
    session = db.sessions.find_one()
    for number in range(11):
        at = TEN.replace(hour=number % 24, day=2)
        copy = {"_id": ObjectId(), "last_message_at": at, "title": f"Old {number}", "status": "closed"}
        held = {name: value for name, value in session.items() if name not in ("open_keys", "slot")}
        db.sessions.insert_one(held | copy)
    page = console.page(path)
    assert "All of their sessions" in page
    found, at = [], re.search(r'href="(/admin/contacts/[^"]+/sessions)"', page)
    while at:
        shown = console.page(at[1])
        found += re.findall(r"<bdi>(Old \d+|SMS from [^<]+)</bdi></a>", shown)
        at = re.search(r'rel="next" class="older" href="([^"]+)"', shown)
    assert found == [f"Old {number}" for number in range(10, -1, -1)] + ["SMS from +15558675310"]


def test_the_panels_questions_each_use_an_index(db, path):
    contact = db.sessions.find_one()["contact_id"]
    plans = [
        db.sessions.find({"contact_id": {"$in": [contact]}}).sort([("last_message_at", -1), ("_id", -1)]).explain(),
        db.audit.find({"session_id": ObjectId()}).sort("at", -1).explain(),
        db.messages.find({"session_id": ObjectId(), "createdAt": {"$lt": TEN}}).sort("createdAt", -1).explain(),
    ]
    for plan in plans:
        assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"])
        assert "IXSCAN" in str(plan["queryPlanner"]["winningPlan"])


def test_a_whatsapp_window_that_is_closed_is_said_beforehand_and_a_template_goes_out(
    console, twilio, clock, db, session_id
):
    twilio.whatsapp()
    path = f"/admin/sessions/{session_id()}"
    assert "WhatsApp's window is open until 10:00 UTC tomorrow" in console.page(path).replace("&#39;", "'")
    clock.move_to(minutes=15 * 60)
    assert "window is open until 10:00 UTC<" in console.page(path).replace("\n", "")
    clock.move_to(minutes=24 * 60 + 1)
    assert "24-hour window is closed" in console.page(path)
    answer = console.post(f"{path}/messages", form_on=path, text="Hello?")
    assert (answer.status_code, "approved template" in answer.text, "Hello?</textarea>" in answer.text) == (
        409,
        True,
        True,
    )
    wrong = console.post(f"{path}/messages", form_on=path, content_sid="HX1", variables="Ada")
    assert (wrong.status_code, "name=value" in wrong.text, "Ada</textarea>" in wrong.text) == (409, True, True)
    sent = console.post(f"{path}/messages", form_on=path, content_sid="HX1", variables="1=Ada\n2 = 5=5")
    assert sent.status_code == 302
    template = db.messages.find_one({"sender": "agent"})["template"]
    assert template == {"content_sid": "HX1", "variables": {"1": "Ada", "2": "5=5"}}


def test_who_opted_out_cannot_be_written_to_and_the_page_says_so(console, twilio, path, db):
    twilio.sms("STOP")
    page = console.page(path)
    assert "The contact opted out (STOP)." in page
    assert re.search(r'value="reply" disabled>', page)
    assert "Opted out" in page
    answer = console.post(f"{path}/messages", form_on=path, text="Hello?")
    assert answer.status_code == 409
    assert db.messages.count_documents({"sender": "agent"}) == 0


def test_a_reply_of_a_megabyte_is_refused_before_it_becomes_hundreds_of_texts(console, path, db):
    answer = console.post(f"{path}/messages", form_on=path, kind="reply", text="x" * 10_001)
    assert answer.status_code == 409
    assert "10,000 characters" in answer.text
    assert db.messages.count_documents({"sender": "agent"}) == 0


def test_an_answer_that_goes_into_a_session_one_does_not_see_leads_back_to_ones_own(make_app, clock):
    app = make_app(sessions={"scope": "contact"}, reply={"responder": "none"})
    db, twilio = mongoengine.get_db(), Twilio(app.test_client())
    twilio.sms(From="+15550001111")
    clock.move_to(minutes=30)
    twilio.whatsapp(From="whatsapp:+15550001111", WaId="15550001111")
    mine, theirs = db.sessions.find({}, sort=[("first_message_at", 1)])
    agent = somebody(app, "ben", channels=[mine["channel_id"]])
    where = f"/admin/sessions/{mine['_id']}"
    sent = agent.post(f"{where}/messages", form_on=where, kind="reply", text="Hello")
    assert db.messages.find_one({"sender": "agent"})["session_id"] == theirs["_id"]
    assert sent.location.startswith(f"{where}#ag:")


def test_a_variable_no_document_can_hold_is_refused_by_name_before_anything_is_done(console, path, db):
    fields = {"kind": "reply", "content_sid": "HX1", "variables": "1\0=Ada"}
    answer = console.post(f"{path}/messages", form_on=path, **fields)
    assert (answer.status_code, "name=value" in answer.text) == (409, True)


def test_a_first_message_that_is_refused_stays_in_the_form_of_the_new_session(console, path):
    text = "x" * 10_001
    answer = console.post(f"{path}/begin", form_on=path, text=text)
    assert answer.status_code == 409
    assert re.search(rf'<textarea id="first"[^>]* autofocus>{text}</textarea>', answer.text)
    assert answer.text.count(text) == 1
