"""`gateway simulate sms` and `whatsapp` with what comes beside words, and `status`."""

from datetime import UTC, datetime

import mongoengine
import pytest
from bson import ObjectId
from flask import Flask, Response

from gateway.clients import build
from gateway.conversation import media
from tests.conversation.worker import Worker
from tests.stand_ins.serving import Served

NOBODY = {"twilio_account_sid": "", "twilio": {}}


def test_what_follows_a_gap_goes_on_from_there(served, gateway, told):
    served(**NOBODY)
    gateway("simulate", "sms", "--at", datetime.now(UTC).isoformat())
    (later,) = told("simulate", "sms", "--gap", 400)
    said = gateway("simulate", "sms", "--body", "yes")
    assert "it goes on from the one before. --at sets another time." in said
    assert "reused: 1 s after the last message" in said
    assert f"session {later['decision']['session_id']}" in said
    assert "reused: 4 min 0 s after the last message" in gateway("simulate", "sms", "--gap", 240)
    assert "it goes on from the one before" in gateway("simulate", "whatsapp")
    assert "goes on" not in gateway("simulate", "sms", "--from", "+15550009999")


def test_a_message_that_is_not_answered_says_why(served, gateway, told):
    served(**NOBODY)
    (step,) = told("simulate", "sms")
    session = step["decision"]["session_id"]
    mongoengine.get_db().sessions.update_one({"_id": ObjectId(session)}, {"$set": {"bot_off": True}})
    assert "\n  not answered: the bot is off\n" in gateway("simulate", "sms")
    assert "\n  not answered: the bot is off\n" in gateway("sessions", "show", session)


@pytest.mark.parametrize(
    ("said", "why"), [(["STOP"], "a keyword"), (["STOP", "Hello?"], "opted out"), (["STOP", "START"], "a keyword")]
)
def test_a_keyword_and_whoever_opted_out_are_told_nothing_and_it_says_why(served, gateway, said, why):
    served(**NOBODY)
    shown = [gateway("simulate", "sms", "--body", words) for words in said]
    assert f"\n  not answered: {why}\n" in shown[-1]


def test_it_says_so_where_nobody_is_to_answer(served, gateway, monkeypatch):
    served(**NOBODY, reply={"responder": "none"})
    monkeypatch.setenv("GATEWAY_REPLY__RESPONDER", "none")
    assert "\n  nobody is to answer: GATEWAY_REPLY__RESPONDER is none\n" in gateway("simulate", "sms")


def test_what_a_worker_answers_is_left_to_it(served, gateway):
    served(**NOBODY, reply={"responder": "http_bot"}, http_bot={"url": "https://bot.example.com"})
    assert "\n  left to the worker: http://127.0.0.1:" in gateway("simulate", "sms")


def test_a_file_of_this_folder_is_fetched_and_kept(served, gateway, told, clock, tmp_path):
    app = served(**NOBODY)
    photo = tmp_path / "the cake.jpg"
    photo.write_bytes(b"\xff\xd8 a cake")
    (step,) = told("simulate", "sms", "--media", photo, "--body", "It looks like this")
    sid = step["decision"]["message_id"]
    Worker(app, clock, sender=build(app.extensions["gateway"].settings)).run()
    opened = media.read(app.extensions["gateway"], sid, 0)
    assert (opened.content_type, opened.filename) == ("image/jpeg", "the cake.jpg")
    assert opened.stream.read() == b"\xff\xd8 a cake"
    assert sid.startswith("MM")
    assert "missing.jpg cannot be read" in gateway("simulate", "sms", "--media", "missing.jpg", code=1)


@pytest.fixture
def site():
    """A site with one picture on it; gives its address."""
    app = Flask("site")
    app.add_url_rule("/cake.png", view_func=lambda: Response(b"a cake", content_type="image/png"))
    with Served(app) as served:
        yield served.url


def test_a_file_at_a_url_is_kept_too_and_one_at_twilio_is_left_there(served, gateway, told, site, monkeypatch):
    served(**NOBODY)
    (step,) = told("simulate", "whatsapp", "--media", f"{site}/cake.png")
    stored = mongoengine.get_db().messages.find_one({"_id": step["decision"]["message_id"]})
    assert stored["metadata"]["MessageType"] == "image"
    assert stored["media"][0]["url"].startswith("https://api.twilio.com/2010-04-01/Accounts/AC")
    assert "/none.png did not come (HTTPError)" in gateway("simulate", "sms", "--media", f"{site}/none.png", code=1)
    there = "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages/MM1/Media/ME1.png"
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", "AC" + "a" * 32)
    (step,) = told("simulate", "sms", "--media", there)
    stored = mongoengine.get_db().messages.find_one({"_id": step["decision"]["message_id"]})
    assert [(file["url"], file["content_type"]) for file in stored["media"]] == [(there, "image/png")]


def test_with_an_account_a_file_of_this_host_is_refused_with_the_remedy(served, gateway):
    served()
    refused = gateway("simulate", "sms", "--media", __file__, code=1)
    assert "fetches files from Twilio, since an account is set" in refused


def test_statuses_in_any_order_end_where_the_highest_is(served, gateway, told):
    served()
    (step,) = told("simulate", "whatsapp", "--button", "Confirm", "--payload", "confirm_42")
    asked = mongoengine.get_db().messages.find_one({"_id": step["decision"]["message_id"]})
    assert (asked["content"], asked["metadata"]["ButtonPayload"]) == ("Confirm", "confirm_42")
    after = told("simulate", "status", asked["_id"], "read", "delivered", "failed", "--error-code", "63016")
    assert [row["stored"] for row in after["statuses"]] == ["read", "read", "read"]
    answer = mongoengine.get_db().messages.find_one({"_id": f"re:{asked['_id']}"})
    history = [(entry["status"], entry.get("error_code")) for entry in answer["status_history"]]
    assert history == [("read", None), ("delivered", None), ("failed", "63016")]
    said = gateway("simulate", "status", answer["provider_sid"], "sent")
    assert "sent         is still read, and this is in its history" in said
    assert "keeps these for an hour" in gateway("simulate", "status", "SM" + "9" * 32, "sent")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("whatsapp", "--button", "Yes", "--location", "1,2"), "give --button or --location, not both"),
        (("whatsapp", "--payload", "yes"), "--payload belongs to --button: give that too."),
        (("whatsapp", "--location", "Little Rock"), "'Little Rock' is no place. Write it as 34.746481,-92.289595."),
        (("status", "SM1", "sent", "--error-code", "30003"), "--error-code belongs to failed or undelivered"),
    ],
)
def test_what_no_message_is_is_refused_before_anything_is_sent(gateway, arguments, reason):
    assert reason in gateway("simulate", *arguments, code=2)


def test_a_status_of_no_message_says_what_would_do(served, gateway):
    served()
    assert "There is no message of ours nothing." in gateway("simulate", "status", "nothing", "sent", code=1)
