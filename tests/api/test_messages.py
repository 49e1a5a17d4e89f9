"""Messages over the API: read in either direction, sent once, and the files that came with them."""

import itertools

import pytest

from gateway import clients, downloads
from gateway.seats import Seats
from tests.api.conftest import problem
from tests.conftest import ACCOUNT, TOKEN, Twilio, fixture
from tests.conversation.worker import Worker
from tests.stand_ins.twilio import File, TwilioStandIn

SMS, ADA = "sms:+15017122661", "+15556667777"


@pytest.fixture
def make_app(make_app):
    return lambda **given: make_app(**({"reply": {"responder": "none"}} | given))


@pytest.fixture
def session(twilio, db):
    """The id of a session with one message of ADA's."""
    twilio.sms("first", From=ADA, MessageSid="SM" + "1" * 32)
    return str(db.sessions.find_one()["_id"])


def said(program, path):
    """Go through all pages of a list of messages."""
    cursor = ""
    while cursor is not None:
        page = program.get(f"{path}&cursor={cursor}").json
        yield [one["content"] for one in page["items"]]
        cursor = page["next_cursor"]


def test_messages_are_read_in_either_direction_and_after_a_moment(reader, writer, twilio, clock, session):
    for number in range(2, 6):
        clock.tick(10)
        twilio.sms(f"{number}", From=ADA)
    writer.post(f"/sessions/{session}/notes", json={"text": "a note"})  # at the very moment of the last one
    path = f"/sessions/{session}/messages"
    words = ["first", "2", "3", "4", "5", "a note"]
    for limit, order in itertools.product((1, 2, 3, 200), ("-created_at", "created_at")):
        pages = list(said(reader, f"{path}?limit={limit}&sort={order}"))
        assert [one for page in pages for one in page] == (words if order == "created_at" else words[::-1])
        assert any({"5", "a note"} <= set(page) for page in pages)
    after = reader.get(f"{path}?sort=created_at&after=2026-03-01T10:00:30Z").json
    assert [one["content"] for one in after["items"]] == ["5", "a note"]
    assert after["items"][1]["private"]
    for wrong in ("x", "9" * 15, "-" + "9" * 14, "٣"):
        problem(reader.get(f"{path}?cursor={wrong}"), 404, "no_such_page")


def test_a_message_is_told_with_its_decision(reader, session):
    told = reader.get(f"/messages/SM{'1' * 32}").json
    assert (told["session_id"], told["direction"], told["sender"]) == (session, "inbound", "contact")
    assert told["decision"]["rule"] == "first_message"
    assert told["decision"]["explanation"] == "created: the first message of this sender"
    assert told["metadata"]["FromCountry"]
    problem(reader.get("/messages/none"), 404, "not_found")


def test_a_message_is_sent_and_its_way_told(writer, session, db, app, clock):
    answer = writer.post(f"/sessions/{session}/messages", json={"text": "Hello", "media": ["https://x.test/a.png"]})
    assert answer.status_code == 202, answer.text
    (sent,) = answer.json["messages"]
    assert answer.json["session_id"] == session
    assert (sent["status"], sent["outbox"]["state"]) == ("queued", "waiting")
    told = writer.get(f"/messages/{sent['id']}").json
    assert (told["content"], told["author"], told["sender"]) == ("Hello", "key:test", "agent")
    assert told["media"] == [
        {"number": 0, "state": "sent", "content_type": "", "size": 0, "filename": "", "url": "https://x.test/a.png",
         "reason": ""}
    ]  # fmt: skip
    assert [one["status"] for one in told["status_history"]] == ["queued"]
    assert told["outbox"]["tries"] == 0
    assert "address" not in told["metadata"]


def test_a_template_and_a_long_text_are_sent(writer, session, db):
    template = {"content_sid": "HX" + "1" * 32, "variables": {"1": "Ada"}}
    (sent,) = writer.post(f"/sessions/{session}/messages", json={"template": template}).json["messages"]
    assert writer.get(f"/messages/{sent['id']}").json["template"] == template
    long = writer.post(f"/sessions/{session}/messages", json={"text": "word " * 500}).json["messages"]
    assert len(long) == 2
    assert db.outbox.count_documents({"_id": {"$in": [one["id"] for one in long]}}) == 2


@pytest.mark.parametrize(
    "body",
    [{}, {"text": ""}, {"text": "x", "media": []}, {"text": 7}, {"text": "x", "who": "me"}, {"media": ["ftp://x"]},
     {"template": {"content_sid": "12"}}, {"text": "\0"}, {"text": "\ud800"}, {"text": "x" * 10_001}],
)  # fmt: skip
def test_what_is_no_message_is_refused(writer, session, body, db):
    problem(writer.post(f"/sessions/{session}/messages", json=body), 422, "wrong_value")
    assert db.outbox.count_documents({}) == 0


def test_what_would_not_go_out_is_refused_with_the_reason(writer, session, twilio):
    problem(writer.post(f"/sessions/{session}/messages", json={"text": "  "}), 409, "cannot_send")
    twilio.sms("STOP", From=ADA)
    told = problem(writer.post(f"/sessions/{session}/messages", json={"text": "Hi"}), 409, "cannot_send")
    assert "opted out" in told["detail"]


def test_a_number_is_written_to_and_a_session_begun(writer, session, db):
    body = {"channel_id": SMS, "to": ADA, "text": "Hi"}
    assert writer.post("/messages", json=body).json["session_id"] == session
    begun = writer.post("/sessions", json=body)
    assert begun.status_code == 202
    told = writer.get(f"/sessions/{begun.json['session_id']}").json
    assert (told["previous_session_id"], told["message_count"]) == (session, 1)
    problem(writer.post("/sessions", json={"channel_id": SMS, "to": ADA}), 422, "wrong_value")


def test_the_same_key_and_body_send_once_and_another_body_is_refused(writer, program, session, db):
    keyed = {"headers": {"Idempotency-Key": "one"}}
    path = f"/sessions/{session}/messages"
    first = writer.post(path, json={"text": "Hi"}, **keyed)
    db.outbox.update_many({}, {"$set": {"state": "done"}})
    assert writer.post(path, json={"text": "Hi"}, **keyed).json == first.json
    assert db.messages.count_documents({"direction": "outbound"}) == 1
    body = {"text": "Bye"}
    problem(writer.post(path, json=body, **keyed), 422, "idempotency_key_reused")
    problem(
        writer.post("/messages", json={"channel_id": SMS, "to": ADA, "text": "Hi"}, **keyed),
        422,
        "idempotency_key_reused",
    )
    assert program("write").post(path, json=body, **keyed).status_code == 202
    note = [writer.post(f"/sessions/{session}/notes", json=body, headers={"Idempotency-Key": "n"}) for _ in range(2)]
    assert [one.status_code for one in note] == [201, 201]
    assert note[0].json == note[1].json


@pytest.fixture
def pictured(make_app, clock, program):
    """A message with two files, kept, and programs that may read them."""
    with TwilioStandIn(tokens={ACCOUNT: [TOKEN]}) as provider:
        app = make_app(twilio={"api_base_url": provider.url, "timeout_seconds": 1})
        form = fixture("sms/mms_2media")
        for number, content in enumerate((b"0123456789", b"%PDF")):
            path = form[f"MediaUrl{number}"].removeprefix("https://api.twilio.com")
            provider.files[path] = File(content, ("image/png", "application/pdf")[number])
        Twilio(app.test_client()).post("/webhooks/sms", form)
        Worker(app, clock, sender=clients.build(app.extensions["gateway"].settings)).run(after=5)
        yield app, form["MessageSid"]


def test_a_file_is_downloaded_whole_and_in_ranges(pictured, monkeypatch):
    from gateway.store import api_keys
    from tests.api.conftest import Program
    from tests.conftest import TEN

    app, message_id = pictured
    reader = Program(app.test_client(), api_keys.add("test", ["read"], TEN, by="a test")[1])
    told = reader.get(f"/messages/{message_id}").json["media"]
    assert [(one["state"], one["size"], one["content_type"]) for one in told] == [
        ("stored", 10, "image/png"), ("stored", 4, "application/pdf"),
    ]  # fmt: skip
    whole = reader.get(told[0]["url"])
    assert (whole.status_code, whole.data, whole.content_type) == (200, b"0123456789", "image/png")
    part = reader.get(told[0]["url"], headers={"Range": "bytes=2-4"})
    assert (part.status_code, part.data) == (206, b"234")
    problem(reader.get(told[0]["url"], headers={"Range": "bytes=90-"}), 416, "no_such_range")
    problem(reader.get(f"/messages/{message_id}/media/2"), 404, "not_found")
    problem(reader.get(f"/messages/{message_id}/media/x"), 422, "wrong_value")
    monkeypatch.setattr(downloads, "_seats", Seats(0, "Too many."))
    assert problem(reader.get(told[0]["url"]), 503, "busy")["detail"] == "Too many."


def test_a_limited_key_is_told_a_message_of_its_channel_and_not_the_session_on_another(program, reader, twilio, db):
    """With scope=contact a session goes on over channels: the id would say that there is one."""
    twilio.sms("To two", To="+15550000002")
    channel, other = "sms:+15550000001", db.sessions.find_one()["_id"]
    message = db.messages.find_one_and_update({"direction": "inbound"}, {"$set": {"channel_id": channel}})
    limited = program("read", channels=[channel])
    told, listed = (limited.get(path) for path in (f"/messages/{message['_id']}", "/decisions"))
    assert (told.json["content"], told.json["session_id"]) == ("To two", None)
    assert [(one["message_id"], one["session_id"]) for one in listed.json["items"]] == [(message["_id"], None)]
    assert str(other) not in told.text + listed.text
    for path in (f"/messages/{message['_id']}", "/decisions"):
        assert str(other) in reader.get(path).text
