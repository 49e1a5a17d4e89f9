"""Operators answer on a session's page: queued once, and given back with the reason where it cannot be."""

import pytest

from tests.conftest import TEN


@pytest.fixture
def path(console, twilio, session_id):
    """The page of a session somebody texted in."""
    twilio.sms()
    return f"/admin/sessions/{session_id()}"


@pytest.fixture
def write(console, path):
    """Send the page's form."""
    return lambda **fields: console.post(f"{path}/messages", form_on=path, **fields)


def test_an_operators_reply_is_queued_and_shown(console, write, db, path):
    answer = write(text="On it")
    assert answer.status_code == 302
    message = db.messages.find_one({"sender": "agent"})
    assert answer.location.endswith(f"{path}#{message['_id']}")
    assert (message["content"], message["status"], message["metadata"]["author"]) == ("On it", "queued", "admin")
    assert db.outbox.find_one({"_id": message["_id"]})["state"] == "waiting"
    page = console.page(path)
    assert "On it" in page
    assert "Agent · admin" in page


def test_a_form_sent_twice_is_one_reply(write, db):
    for _ in range(2):
        write(text="On it", nonce="a" * 32)
    assert db.messages.count_documents({"sender": "agent"}) == 1


@pytest.mark.parametrize("text", ["", "   "])
def test_an_empty_reply_says_so_and_sends_nothing(write, db, text):
    answer = write(text=text)
    assert answer.status_code == 409
    assert "The message is empty" in answer.text
    assert db.messages.count_documents({"sender": "agent"}) == 0


def test_a_reply_that_cannot_be_sent_is_given_back_with_the_reason(write, twilio, db):
    twilio.sms("STOP", From=db.sessions.find_one()["metadata"]["fromNumber"])
    answer = write(text="<b>Please</b>")
    assert answer.status_code == 409
    assert "opted out" in answer.text
    assert "&lt;b&gt;Please&lt;/b&gt;</textarea>" in answer.text


def test_a_reply_without_the_forms_token_is_refused(console, db, path):
    answer = console.client.post(f"{path}/messages", data={"text": "On it"})
    assert answer.status_code == 400
    assert db.messages.count_documents({"sender": "agent"}) == 0


@pytest.mark.parametrize(("reason", "count"), [("idle", 1), ("agent", 2)])
def test_where_a_reply_goes_from_a_closed_session_is_said_beforehand(console, write, db, clock, path, reason, count):
    clock.tick(3600)
    closed = {"status": "closed", "closed_reason": reason, "closed_at": TEN}
    db.sessions.update_one({}, {"$set": closed, "$unset": {"open_keys": ""}})
    said = {"idle": "closed (idle): your reply opens it again", "agent": "a reply begins a new one"}
    assert said[reason] in console.page(path)
    write(text="On it")
    assert (db.sessions.count_documents({}), db.sessions.count_documents({"status": "active"})) == (count, 1)


def test_a_reply_from_a_session_closed_as_idle_goes_into_a_newer_one_and_says_so(
    console, write, twilio, db, clock, path
):
    clock.tick(3600)
    twilio.sms()
    assert db.sessions.find_one({}, sort=[("_id", 1)])["closed_reason"] == "idle"
    assert "so a reply goes into the one that is open" in console.page(path)
    write(text="On it")
    newer = db.sessions.find_one({}, sort=[("_id", -1)])
    assert db.messages.find_one({"sender": "agent"})["session_id"] == newer["_id"]


def test_a_session_that_needs_a_person_says_so(console, db, path):
    db.sessions.update_one({}, {"$set": {"needs_person": {"reason": "hourly_limit"}}})
    assert "Needs a person: too many automatic answers" in console.page(path)
    assert "Needs a person" in console.page("/admin/")


def test_a_session_handed_over_is_handed_back_with_a_button(console, db, path):
    db.sessions.update_one({}, {"$set": {"bot_off": True, "needs_person": {"reason": "angry"}}})
    assert "Hand back to the bot" in console.page(path)
    assert console.post(f"{path}/hand-back", form_on=path).status_code == 302
    session = db.sessions.find_one()
    assert "bot_off" not in session
    assert "needs_person" not in session
    assert "Hand back to the bot" not in console.page(path)


def test_an_operators_reply_answers_the_call_for_a_person(console, write, db, path):
    db.sessions.update_one({}, {"$set": {"bot_off": True, "needs_person": {"reason": "angry"}}})
    write(text="I am here")
    session = db.sessions.find_one()
    assert "needs_person" not in session
    assert session["bot_off"] is True
