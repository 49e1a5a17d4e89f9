"""The pages of operations: who may see them, what they say, and what they let an operator do."""

import html
import re
from datetime import timedelta

import mongoengine
import pytest

from gateway.conversation import migrating
from gateway.conversation.presence import Presence
from gateway.core.errors import StoreUnavailable
from gateway.store import api_keys, connection, health, heartbeats, inspections, users
from gateway.store.heartbeats import Heartbeat
from tests.admin.conftest import PASSWORD, Console
from tests.conftest import TEN

HERE = "/admin/operations"
PAGES = [HERE, f"{HERE}/outbox", f"{HERE}/webhooks", f"{HERE}/events", f"{HERE}/channels", f"{HERE}/keys"]


@pytest.fixture
def failed(console, db):
    """Three failed rows of two kinds."""
    errors = ["21211: Not a number.", "21211: Not a number.", "gave up <b>now</b>"]
    db.outbox.insert_many(
        {"_id": f"media:{n}", "step": "fetch", "about": "m", "state": "failed", "due": TEN, "queued_at": TEN,
         "finished_at": TEN, "tries": 1, "error": error}
        for n, error in enumerate(errors)
    )  # fmt: skip
    return db


def text_of(page):
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))


@pytest.mark.parametrize(
    ("role", "channels"),
    [("agent", None), ("viewer", None), ("admin", ["sms:+1501"])],
    ids=["agent", "viewer", "limited"],
)
def test_operations_are_for_admins_who_see_every_channel(app, console, twilio, db, role, channels):
    twilio.sms()
    users.add("other", PASSWORD, TEN, role=role, channels=channels)
    other = Console(app.test_client())
    other.log_in(name="other")
    assert "Operations" not in other.page()
    assert "Operations" in console.page()
    channel = db.channels.find_one()["_id"]
    before = {name: list(db[name].find()) for name in ("channels", "api_keys", "audit", "outbox")}
    for path in [*PAGES, f"{HERE}/channels/{channel}", f"{HERE}/webhooks/{'0' * 24}"]:
        assert (path, other.get(path).status_code) == (path, 403)
    acts = {
        f"{HERE}/outbox": {"act": "retry", "row": "x"},
        f"{HERE}/channels/{channel}": {"threshold": "1"},
        f"{HERE}/keys": {"name": "mine", "scope": "admin"},
        f"{HERE}/keys/00000000/revoke": {},
    }
    for path, fields in acts.items():
        assert (path, other.post(path, form_on="/admin/", **fields).status_code) == (path, 403)
    assert {name: list(db[name].find()) for name in before} == before


@pytest.mark.parametrize("path", PAGES)
def test_every_page_opens_with_nothing_there(console, path):
    assert "<h1>Operations</h1>" in console.page(path)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/outbox?cursor=x", 400), ("/outbox?step=dance", 404), ("/webhooks?cursor=1-x", 400),
        ("/webhooks?status=<i>", 404), ("/webhooks/nothing", 404), ("/webhooks/" + "0" * 24, 404),
        ("/channels/nothing", 404),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said(console, path, status):
    assert console.get(HERE + path).status_code == status


def test_health_says_what_is_wrong_and_with_whom(console, app, db, clock):
    serving = app.extensions["gateway"]
    Presence(serving, "web", lambda: {"spool": {"waiting": 0, "set_aside": 0}}).beat()
    heartbeats.beat(Heartbeat("w", "worker", "old-host", 77, "0.0.9", TEN, TEN - timedelta(minutes=47), 10, {}))
    db.outbox.insert_one({"_id": "m", "step": "send", "state": "waiting", "due": TEN, "queued_at": TEN})
    clock.tick(90)
    page = text_of(console.page(HERE))
    assert "old-host , pid 77 not seen for 48 min 30 s" in page
    assert "No worker runs" in page
    assert "its oldest row has waited for over a minute" in page
    heartbeats.beat(Heartbeat("w", "worker", "new-host", 78, "1", TEN, clock.moment, 10, {"hands": 16, "held": 1,
                    "rows": [{"id": "ag:9", "step": "send", "tries": 2}]}))  # fmt: skip
    db.outbox.delete_many({})
    page = text_of(console.page(HERE))
    assert "send ag:9, try 2" in page
    assert "Migrations are outstanding" in page
    migrating.run("test")
    page = text_of(console.page(HERE))
    assert "Nothing needs you" in page
    assert "j: true, w: majority" in page
    assert "primary" in page


def test_a_channel_that_never_had_a_message_says_so(console, twilio, db):
    """Whoever only imported has conversations, and no webhook was noted."""
    db.channels.insert_one({"_id": "sms:12345", "phone_number": "12345", "communication_type": "sms"})
    twilio.sms()
    assert re.search(r"12345 never .*\+15017122661 none noted yet", text_of(console.page(HERE)))


def test_a_process_that_stops_on_purpose_is_not_missed(app):
    presence = Presence(app.extensions["gateway"], "worker", dict)
    presence.beat()
    presence.beat()
    assert len(heartbeats.every()) == 1
    presence.leave()
    assert heartbeats.every() == []


def test_a_heartbeat_waits_for_nobody_while_mongodb_is_away(app, twilio, monkeypatch):
    def away():
        raise StoreUnavailable("away")

    twilio.sms()
    presence = Presence(app.extensions["gateway"], "web", dict)
    monkeypatch.setattr(connection.breaker, "check", away)
    presence.beat()
    presence.leave()
    assert "away" in health.mongodb().problem
    monkeypatch.undo()
    presence.beat()
    assert mongoengine.get_db().channels.find_one()["last_webhook_at"] == TEN


def test_one_failed_row_is_retried_and_one_canceled(console, failed):
    page = console.page(f"{HERE}/outbox")
    assert "<b>now</b>" not in page
    answer = console.post(f"{HERE}/outbox", form_on=f"{HERE}/outbox", act="retry", row="media:0")
    assert "It will be tried again now" in text_of(console.page(answer.location))
    console.post(f"{HERE}/outbox", form_on=f"{HERE}/outbox", act="cancel", row="media:1")
    again = console.post(f"{HERE}/outbox", form_on=f"{HERE}/outbox", act="retry", row="media:1")
    assert "It is no longer failed" in text_of(console.page(again.location))
    assert [row["state"] for row in failed.outbox.find().sort("_id", 1)] == ["waiting", "canceled", "failed"]
    assert [entry["by"] for entry in failed.audit.find()] == ["admin", "admin"]


def test_all_of_a_kind_are_retried(console, failed):
    chosen = f"{HERE}/outbox?step=fetch&reason=21211"
    assert text_of(console.page(chosen)).count("media:") == 2
    answer = console.post(f"{HERE}/outbox?step=fetch&reason=21211", form_on=chosen, act="retry", step="fetch",
                          reason="21211")  # fmt: skip
    assert answer.location.endswith("/outbox?step=fetch&reason=21211")
    assert "2 will be tried again" in text_of(console.page(answer.location))
    assert console.post(f"{HERE}/outbox", form_on=chosen, act="burn", row="media:2").status_code == 400
    assert [row["state"] for row in failed.outbox.find().sort("_id", 1)] == ["waiting", "waiting", "failed"]


def test_all_of_a_kind_are_canceled_by_whoever_is_sure(console, failed):
    chosen, wanted = f"{HERE}/outbox?step=fetch&reason=21211", {"act": "cancel", "step": "fetch", "reason": "21211"}
    asked = console.post(chosen, form_on=chosen, **wanted, question="Cancel all 2 of these?")
    assert "<h1>Cancel all 2 of these?</h1>" in asked.text
    assert f'href="{chosen}"'.replace("&", "&amp;") in asked.text
    assert failed.outbox.count_documents({"state": "canceled"}) == 0
    again = dict(re.findall(r'name="(\w+)" value="([^"]*)"', asked.text))
    assert again == wanted | {"csrf_token": again["csrf_token"], "sure": "yes"}
    console.post(chosen, form_on=chosen, **again)
    assert [row["state"] for row in failed.outbox.find().sort("_id", 1)] == ["canceled", "canceled", "failed"]


EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


def test_nothing_a_stranger_sends_becomes_html(make_app, clock):
    app = make_app(inspector={"sample_rate": 1, "redact": False})
    users.add("admin", PASSWORD, TEN)
    console = Console(app.test_client())
    console.log_in()
    stranger = app.test_client()
    headers = {"X-Twilio-Signature": EVIL, "User-Agent": EVIL, "X-Forwarded-For": EVIL, "X-Forwarded-Host": EVIL,
               "X-Request-Id": EVIL, "X-<b>": EVIL}  # fmt: skip
    fields = {EVIL: EVIL, "Body": EVIL, "MessageSid": EVIL, "AccountSid": "AC" + "a" * 32}
    stranger.post(f"/webhooks/sms?{EVIL}", data=fields, headers=headers)
    stranger.post(f"/webhooks/{EVIL}", data=fields, headers=headers)
    app.extensions["inspector"].flush()
    rows = inspections.page(limit=10).rows
    assert len(rows) == 2
    for path in (f"{HERE}/webhooks", *(f"{HERE}/webhooks/{row['id']}" for row in rows)):
        page = console.page(path)
        assert "<script>alert" not in page
        assert "<img" not in page.replace('<img src="/admin/static/', "")
        assert "alert(1)" in page
        assert not re.search(r"<script(?! src=\"/admin/static/)|\sstyle=|\son\w+=\"", page)


def test_a_webhooks_page_says_why_it_failed_and_what_to_do(console, app, twilio):
    twilio.token = "an-old-token"
    twilio.sms()
    app.test_client().post("/webhooks/sms", data={})
    app.extensions["inspector"].flush()
    listed = text_of(console.page(f"{HERE}/webhooks?verdict=bad_signature&path=/webhooks/sms&status=403"))
    assert "Signature is wrong" in listed
    assert "Mar 10:00:00 No signature" not in listed
    (row,) = inspections.page(verdict="bad_signature", limit=5).rows
    page = text_of(console.page(f"{HERE}/webhooks/{row['id']}"))
    assert "Compare TWILIO_AUTH_TOKEN with the primary token" in page
    assert "https://gateway.example.com:443/webhooks/sms" in page
    assert "No such webhook was kept" in console.page(f"{HERE}/webhooks?status=500")


def test_a_channel_is_changed_as_its_form_says(console, twilio, db):
    twilio.call()
    (channel,) = db.channels.find()
    path = f"{HERE}/channels/{channel['_id']}"
    given = {"name": "Front desk", "threshold": "60", "responder": "canned", "mode": "voicemail", "filler": ""}
    console.post(path, form_on=path, **given, **{"own.mode": "1", "own.filler": "1"})
    (channel,) = db.channels.find()
    assert (channel["name"], channel["idle_seconds"], channel["responder"]) == ("Front desk", 60, "canned")
    assert channel["settings"] == {"mode": "voicemail", "filler": ""}
    page = text_of(console.page(f"{HERE}/channels"))
    assert "Front desk voicemail" in page
    assert "1 min 0 s own" in page
    # Nothing ticked, as it is shown: everything is inherited again.
    console.post(path, form_on=path, name="Front desk", mode="voicemail")
    (channel,) = db.channels.find()
    assert (channel["settings"], "idle_seconds" in channel, "responder" in channel) == ({}, False, False)


def test_what_somebody_writes_is_not_lost_for_want_of_a_tick(console, twilio, db):
    twilio.call()
    path = f"{HERE}/channels/{db.channels.find_one()['_id']}"
    console.post(path, form_on=path, name="x", mode="converse", greeting="Hello there.")
    assert db.channels.find_one()["settings"] == {"greeting": "Hello there."}


def test_a_value_that_is_not_possible_is_said_and_what_was_written_is_still_there(console, twilio, db):
    twilio.call()
    path = f"{HERE}/channels/{db.channels.find_one()['_id']}"
    answer = console.post(path, form_on=path, name="Mine", threshold="-5", greeting="Hello there.")
    assert answer.status_code == 409
    assert "must be 0 or more seconds" in html.unescape(answer.text)
    assert 'value="-5"' in answer.text
    assert 'value="Hello there."' in answer.text
    assert 'value="Mine"' in answer.text
    assert "idle_seconds" not in db.channels.find_one()


def test_a_stored_threshold_that_cannot_be_read_is_said(console, twilio, db):
    twilio.sms()
    db.channels.update_one({}, {"$set": {"idle_seconds": -4}})
    assert "idle_seconds = -4: must be 0 or more" in text_of(console.page(f"{HERE}/channels"))


def test_a_key_is_shown_once_and_ended(console, db):
    path = f"{HERE}/keys"
    made = console.post(path, form_on=path, name="crm", scope="write", days="30")
    (key,) = re.findall(r"gw_[0-9a-f]{8}_[\w-]{40,}", made.text)
    assert made.headers["Cache-Control"] == "no-store"
    found = api_keys.authenticate(key, TEN)
    assert (found.access.role, found.expires_at) == ("agent", TEN + timedelta(days=30))
    assert key not in console.page(path)
    asked = console.post(f"{path}/{found.prefix}/revoke", form_on=path, question="Revoke crm?")
    assert "<h1>Revoke crm?</h1>" in asked.text
    assert api_keys.authenticate(key, TEN)
    console.post(f"{path}/{found.prefix}/revoke", form_on=path, sure="yes")
    assert api_keys.authenticate(key, TEN) is None
    assert "revoked" in console.page(path)


def test_a_key_is_limited_to_the_channels_that_are_ticked_whatever_else_is(console, twilio, db):
    twilio.sms()
    twilio.whatsapp()
    path = f"{HERE}/keys"
    refused = console.post(path, form_on=path, name=" ", scope="read", channel="sms:+15017122661")
    assert re.findall(r'value="([^"]+)" checked', refused.text) == ["read", "sms:+15017122661"]
    assert "<details open" in refused.text
    console.post(path, form_on=path, name="crm", scope="read", channel="sms:+15017122661")
    assert db.api_keys.find_one()["channels"] == ["sms:+15017122661"]


@pytest.mark.parametrize("days", ["-3", "1.5", "soon"])
def test_days_that_are_no_whole_number_are_refused_with_what_they_can_be(console, days):
    answer = console.post(f"{HERE}/keys", form_on=f"{HERE}/keys", name="crm", scope="read", days=days)
    assert (answer.status_code, "a whole number, 1 or more" in answer.text) == (409, True)


@pytest.mark.parametrize(
    "given", [{"name": "", "scope": "read"}, {"name": "x"}, {"name": "x", "scope": "read", "days": "soon"},
              {"name": "x", "scope": "read", "limited": "1"}], ids=str
)  # fmt: skip
def test_a_key_of_no_use_is_not_made(console, db, given):
    assert console.post(f"{HERE}/keys", form_on=f"{HERE}/keys", **given).status_code == 409
    assert db.api_keys.count_documents({}) == 0
