"""Who may log in, what each role may do, and what somebody limited to channels never learns."""

import re

import pytest
from pymongo import _csot

from gateway.store import audit, users
from tests.admin.conftest import PASSWORD, Console
from tests.conftest import TEN, fixture

SMS, WHATSAPP = "sms:+15017122661", "whatsapp:+14155238886"


@pytest.fixture
def log_in(app):
    """Log a new user in; a console of their own."""

    def begin(name, role, channels=None):
        users.add(name, PASSWORD, TEN, role=role, channels=channels)
        console = Console(app.test_client())
        assert console.log_in(name=name).status_code == 302
        return console

    return begin


def test_an_admin_adds_somebody_whose_password_is_shown_once(console, app):
    answer = console.post("/admin/people", form_on="/admin/people", name=" Ada ", role="agent", sees="all")
    (password,) = re.findall(r'<code class="secret">([^<]+)</code>', answer.text)
    assert password not in console.page("/admin/people")
    ada = Console(app.test_client())
    assert ada.log_in(name="Ada", password=password).status_code == 302
    assert ada.get("/admin/people").status_code == 403
    assert "People</a>" not in ada.page()


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"name": "admin", "role": "agent"}, "There is a user &#39;admin&#39; already"),
        ({"name": " ", "role": "agent"}, "A name has 1 to 80 signs"),
        ({"name": "a\nb", "role": "agent"}, "A name has 1 to 80 signs"),
        ({"name": "ada", "role": "owner"}, "&#39;owner&#39; is no role"),
        ({"name": "ada", "role": "agent", "sees": "some"}, "needs one at least"),
        ({"name": "ada", "role": "admin", "sees": "some", "channels": SMS}, "An admin sees every channel"),
    ],
)
def test_what_cannot_be_added_is_said_and_nobody_is(console, form, said):
    answer = console.post("/admin/people", form_on="/admin/people", **form)
    assert answer.status_code == 409
    assert said in answer.text
    assert len(users.everybody()) == 1


def chosen(page, form):
    """Tell what a form of a page would send: the values of what is ticked in it."""
    (fields,) = re.findall(rf'action="{form}">(.*?)</form>', page, re.DOTALL)
    return re.findall(r'value="([^"]+)" checked', fields)


def test_who_is_refused_is_given_back_with_no_more_rights_than_were_chosen(console, log_in, twilio):
    twilio.sms()
    twilio.whatsapp()
    log_in("ben", "agent")
    wanted = {"name": "ben", "role": "viewer", "sees": "some", "channels": SMS}
    answer = console.post("/admin/people", form_on="/admin/people", **wanted)
    assert answer.status_code == 409
    assert chosen(answer.text, "/admin/people") == ["viewer", "some", SMS]
    assert chosen(answer.text, "/admin/people/ben") == ["agent", "all"]


def test_a_change_that_is_refused_stays_open_as_it_was_chosen(console, log_in, twilio):
    twilio.sms()
    log_in("ben", "agent")
    answer = console.post("/admin/people/ben", form_on="/admin/people", role="viewer", sees="some")
    assert answer.status_code == 409
    assert chosen(answer.text, "/admin/people/ben") == ["viewer", "some"]
    assert chosen(answer.text, "/admin/people") == ["agent", "all"]
    assert answer.text.count("<details open") == 1


def test_the_only_admin_stays_one(console):
    answer = console.post("/admin/people/admin", form_on="/admin/people", role="viewer", sees="all")
    assert answer.status_code == 409
    assert "admin is the only admin" in answer.text
    assert console.post("/admin/people/admin/remove", form_on="/admin/people", sure="yes").status_code == 409
    assert users.get("admin").access.role == "admin"


def test_who_is_changed_notices_at_once_and_who_is_removed_is_out(console, log_in, db):
    ben = log_in("ben", "agent")
    console.post("/admin/people/ben", form_on="/admin/people", role="viewer", sees="some", channels=WHATSAPP)
    assert users.get("ben").access == users.Access("ben", "viewer", frozenset({WHATSAPP}))
    assert ben.get().status_code == 200
    console.post("/admin/people/ben/remove", form_on="/admin/people", sure="yes")
    assert ben.get().status_code == 302
    entries = [(entry["by"], entry["action"], entry["details"]["user"]) for entry in db.audit.find().sort("_id", 1)]
    assert entries == [("admin", "user_changed", "ben"), ("admin", "user_removed", "ben")]


def test_another_admin_may_be_removed(console, log_in):
    log_in("eve", "admin")
    assert console.post("/admin/people/eve/remove", form_on="/admin/people", sure="yes").status_code == 302
    assert [user.access.name for user in users.everybody()] == ["admin"]


def test_nobody_is_removed_unasked(console, log_in):
    log_in("eve", "admin")
    asked = console.post("/admin/people/eve/remove", form_on="/admin/people", question="Remove eve?")
    assert "<h1>Remove eve?</h1>" in asked.text
    assert users.exists("eve")


def test_no_password_is_hashed_while_mongodb_is_waited_for(console, app, monkeypatch):
    """On a busy machine hashing takes longer than that, and the answer would be that the database is away."""
    usual, left = users._hasher(), []

    class Hasher:
        def hash(self, password):
            left.append(_csot.remaining())
            return usual.hash(password)

        def verify(self, kept, password):
            left.append(_csot.remaining())
            return usual.verify(kept, password)

    monkeypatch.setattr(users, "_hasher", Hasher)
    console.post("/admin/people", form_on="/admin/people", name="ada", role="agent", sees="all")
    console.post("/admin/people/ada/password", form_on="/admin/people")
    fields = {"current": PASSWORD, "wanted": "another good one", "again": "another good one"}
    assert "is changed" in console.post("/admin/account/password", form_on="/admin/account", **fields).text
    assert Console(app.test_client()).log_in(password="another good one").status_code == 302
    assert left == [None] * 6


def test_a_password_that_is_reset_ends_the_logins(console, log_in):
    ben = log_in("ben", "agent")
    assert "secret" in console.post("/admin/people/ben/password", form_on="/admin/people").text
    assert ben.get().status_code == 302


def test_one_changes_ones_own_password_and_goes_on(console, visitor, app):
    elsewhere = Console(app.test_client())
    elsewhere.log_in()
    fields = {"current": PASSWORD, "wanted": "another good one", "again": "another good one"}
    wrong = console.post("/admin/account/password", form_on="/admin/account", **(fields | {"current": "guess"}))
    assert "The current password is not right" in wrong.text
    differs = console.post("/admin/account/password", form_on="/admin/account", **(fields | {"again": "x"}))
    assert "differ" in differs.text
    assert "fewer than 8" in console.post(
        "/admin/account/password", form_on="/admin/account", current=PASSWORD, wanted="short", again="short"
    ).text  # fmt: skip
    assert "is changed" in console.post("/admin/account/password", form_on="/admin/account", **fields).text
    assert console.get().status_code == 200
    assert elsewhere.get().status_code == 302
    assert elsewhere.log_in(password="another good one").status_code == 302


def test_guessing_the_current_password_is_limited_like_a_login(console):
    guess = {"current": "guess", "wanted": "another good one", "again": "another good one"}
    answers = [console.post("/admin/account/password", form_on="/admin/account", **guess).status_code for _ in range(6)]
    assert answers[-1] == 429


def test_logging_out_everywhere_ends_this_login_too(console, app):
    elsewhere = Console(app.test_client())
    elsewhere.log_in()
    assert console.post("/admin/account/logins", form_on="/admin/account").location == "/admin/login"
    assert console.get().status_code == elsewhere.get().status_code == 302


def test_a_viewer_reads_and_may_do_nothing_else(log_in, twilio, session_id, db):
    twilio.sms("Hello")
    viewer = log_in("vera", "viewer")
    shown = f"/admin/sessions/{session_id()}"
    assert "Hello" in viewer.page(shown)
    answer = viewer.post(f"{shown}/messages", form_on="/admin/account", text="I may not", nonce="0" * 32)
    assert answer.status_code == 403
    assert "Your role does not include this" in answer.text
    assert db.messages.count_documents({"content": "I may not"}) == 0


def test_two_agents_with_a_channel_each_know_nothing_of_each_other(log_in, twilio, db):
    twilio.post("/webhooks/sms", fixture("sms/mms_2media"))
    twilio.whatsapp("for the other one")
    ada, ben = log_in("ada", "agent", [SMS]), log_in("ben", "agent", [WHATSAPP])
    sms, whatsapp = (str(db.sessions.find_one({"communication_type": kind})["_id"]) for kind in ("sms", "whatsapp"))
    assert "+15558675310" in ada.page() and sms in ada.page()
    assert whatsapp not in ada.page()
    assert sms not in ben.page()
    assert ben.get(f"/admin/sessions/{sms}").status_code == 404
    assert ben.get(f"/admin/sessions/{sms}/messages").status_code == 404
    media = f"/admin/media/{fixture('sms/mms_2media')['MessageSid']}/0"
    assert "There is no such message" in ben.get(media).text
    for path in (f"/admin/sessions/{sms}/messages", f"/admin/sessions/{sms}/hand-back"):
        assert ben.post(path, form_on="/admin/account", text="Hello", nonce="0" * 32).status_code == 404


def test_the_audit_of_a_session_is_newest_first(app, db, twilio, session_id):
    twilio.sms()
    audit.note(TEN, "ada", "session_closed", session_id=session_id())
    audit.note(TEN.replace(hour=11), "ben", "session_reopened", session_id=session_id(), why="asked")
    assert [entry["by"] for entry in audit.of_session(session_id())] == ["ben", "ada"]


def test_what_was_somebodys_is_nobodys_once_they_may_not_see_it_or_are_gone(console, log_in, twilio, db):
    twilio.sms()
    twilio.whatsapp()
    log_in("ben", "agent")
    db.sessions.update_many({}, {"$set": {"assigned_to": "ben"}})
    console.post("/admin/people/ben", form_on="/admin/people", role="agent", sees="some", channels=WHATSAPP)
    assert db.sessions.distinct("channel_id", {"assigned_to": "ben"}) == [WHATSAPP]
    console.post("/admin/people/ben/remove", form_on="/admin/people", sure="yes")
    assert db.sessions.count_documents({"assigned_to": {"$exists": True}}) == 0
    assert console.page("/admin/?assigned=nobody").count('class="row ') == 2
