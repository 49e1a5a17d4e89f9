"""Sessions over the API: listed, read, changed, deleted, given back, and told apart by channel."""

import pytest

from tests.api.conftest import problem
from tests.conftest import fixture

SMS, WHATSAPP, ADA = "sms:+15017122661", "whatsapp:+14155238886", "+15556667777"


@pytest.fixture
def make_app(make_app):
    return lambda **given: make_app(**({"reply": {"responder": "none"}} | given))


@pytest.fixture
def ids(twilio, clock, db):
    """Three sessions an hour apart: two of ADA by text, the last one by WhatsApp; their ids, oldest first."""
    for hour in (0, 1):
        clock.move_to(minutes=60 * hour)
        twilio.sms(f"zebra {hour}", From=ADA)
    clock.move_to(minutes=120)
    twilio.whatsapp("giraffe", From="whatsapp:+15550001111", WaId="15550001111")
    return [str(row["_id"]) for row in db.sessions.find().sort("_id", 1)]


def listed(program, query=""):
    answer = program.get(f"/sessions{query}")
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json["items"]]


def test_sessions_are_listed_by_last_message_in_pages_either_way(reader, ids):
    assert listed(reader) == ids[::-1]
    assert listed(reader, "?sort=last_message_at") == ids
    for order, wanted in (("-last_message_at", ids[::-1]), ("last_message_at", ids)):
        found, cursor = [], ""
        while cursor is not None:
            page = reader.get(f"/sessions?sort={order}&limit=1&cursor={cursor}").json
            found, cursor = found + [one["id"] for one in page["items"]], page["next_cursor"]
        assert found == wanted


def test_each_filter_chooses(reader, writer, ids, db):
    first, second, third = ids
    contact = str(db.sessions.find_one()["contact_id"])
    writer.patch(f"/sessions/{first}", json={"tags": ["vip"], "status": "closed"})
    db.sessions.update_one({"title": {"$regex": "WhatsApp"}}, {"$set": {"assigned_to": "bea", "has_failed": True}})
    chosen = {
        "type=whatsapp": [third], "type=chat": [], "status=active": [third, second], "status=closed": [first],
        "channel=sms:%2B15017122661": [second, first], f"contact={contact}": [second, first], "contact=nobody": [],
        "number=%2B1555666": [second, first], "number=zebra": [], "tag=vip": [first], "assigned=bea": [third],
        "assigned=nobody": [second, first], "failed=true": [third], "needs_person=true": [], "q=giraffe": [third],
        "q=zebra%200": [first], f"q=zebra&contact={contact}&status=active": [second],
        "from=2026-03-01T11:00:00Z": [third, second], "to=2026-03-01T11:00:00Z": [first],
        "from=2026-03-01T12:00:00%2B01:00&to=2026-03-01T12:00:00Z": [second],
    }  # fmt: skip
    for query, wanted in chosen.items():
        assert listed(reader, f"?{query}") == wanted, query


def test_a_contact_is_asked_for_by_the_id_of_any_that_were_merged(writer, ids, db):
    contacts = [str(db.sessions.find_one({"title": {"$regex": title}})["contact_id"]) for title in ("SMS", "WhatsApp")]
    assert writer.post(f"/contacts/{contacts[0]}/merge", json={"with": contacts[1]}).status_code == 200
    for contact in contacts:
        assert listed(writer, f"?contact={contact}") == ids[::-1]


def test_what_cannot_be_asked_for_is_named(reader):
    assert problem(reader.get("/sessions?cursor=17-x"), 404, "no_such_page")["field"] == "query.cursor"
    assert problem(reader.get("/sessions?limit=201"), 422, "wrong_value")["field"] == "query.limit"
    wrong = problem(reader.get("/sessions?from=yesterday"), 422, "wrong_value")
    assert (wrong["field"], wrong["detail"]) == ("query.from", "query.from: write a time as 2026-03-01T10:00:00Z.")
    problem(reader.get("/sessions?q=%00"), 422, "wrong_value")
    problem(reader.get("/sessions/nonsense"), 404, "not_found")
    problem(reader.get(f"/sessions/{'0' * 24}"), 404, "not_found")


def test_a_session_is_told_without_messages_unless_asked_for(reader, ids):
    told = reader.get(f"/sessions/{ids[1]}").json
    expected = {
        "id": ids[1], "communication_type": "sms", "channel_id": SMS, "number": ADA, "line": "+15017122661",
        "status": "active",
        "title": f"SMS from {ADA}", "message_count": 1, "previous_session_id": ids[0], "tags": [], "context": {},
        "last_message_at": "2026-03-01T11:00:00.000Z", "messages": None, "bot_off": False, "needs_person": None,
    }  # fmt: skip
    assert {name: told[name] for name in expected} == expected
    with_messages = reader.get(f"/sessions/{ids[1]}?messages=5").json["messages"]
    assert [one["content"] for one in with_messages["items"]] == ["zebra 1"]
    assert with_messages["next_cursor"] is None
    assert with_messages["items"][0]["decision"]["explanation"].startswith("rolled over: 1 h 0 min after")


def test_what_is_sent_to_be_changed_is_changed_and_nothing_else(writer, reader, ids):
    body = {"title": "Order 7", "tags": ["vip", "new"], "context": {"order": {"id": 7}}, "status": "archived"}
    answer = writer.patch(f"/sessions/{ids[0]}", json=body)
    assert answer.status_code == 200, answer.text
    assert {name: answer.json[name] for name in body} == body
    assert writer.patch(f"/sessions/{ids[0]}", json={"status": "closed"}).json["status"] == "closed"
    assert writer.patch(f"/sessions/{ids[0]}", json={}).json["title"] == "Order 7"
    assert problem(writer.patch(f"/sessions/{ids[0]}", json={"status": "active"}), 409, "conflict")
    assert writer.patch(f"/sessions/{ids[1]}", json={"status": "closed"}).json["closed_reason"] == "operator"
    assert writer.patch(f"/sessions/{ids[0]}", json={"status": "active"}).json["status"] == "active"
    problem(reader.patch(f"/sessions/{ids[0]}", json={}), 403, "scope_missing")


@pytest.mark.parametrize(
    "context", [{"a": 2**63}, {"$a": 1}, {"a.b": 1}, {"a": [{"\0": 1}]}, {"": 1}, {"a": "x" * 20_000}, {"flow": 1}]
)
def test_a_context_that_cannot_be_kept_is_refused(writer, ids, context):
    answer = writer.patch(f"/sessions/{ids[0]}", json={"context": context})
    assert answer.status_code == 409, answer.text
    assert writer.get(f"/sessions/{ids[0]}").json["context"] == {}


def test_a_session_is_closed_reopened_taken_over_handed_back_and_assigned(writer, ids, db):
    from gateway.store import users
    from tests.conftest import TEN

    users.add("bea", "correct horse battery", TEN)
    last = f"/sessions/{ids[2]}"
    assert writer.post(f"{last}/close").json["status"] == "closed"
    assert writer.post(f"{last}/reopen").json["status"] == "active"
    assert writer.post(f"{last}/take-over").json["bot_off"]
    assert not writer.post(f"{last}/hand-back").json["bot_off"]
    assert writer.post(f"{last}/assign", json={"to": "bea"}).json["assigned_to"] == "bea"
    assert writer.post(f"{last}/assign", json={"to": None}).json["assigned_to"] is None
    problem(writer.post(f"{last}/assign", json={"to": "nobody here"}), 409, "conflict")
    assert {row["by"] for row in db.audit.find()} == {"key:test"}


def test_a_session_is_split_merged_and_put_back(writer, reader, twilio, clock, db):
    for second, sid in ((0, "SM" + "1" * 32), (60, "SM" + "2" * 32)):
        clock.move_to(seconds=second)
        twilio.sms("hi", From=ADA, MessageSid=sid)
    whole = str(db.sessions.find_one()["_id"])
    again = {"headers": {"Idempotency-Key": "split it"}, "json": {"message_id": "SM" + "2" * 32}}
    done = writer.post(f"/sessions/{whole}/split", **again).json
    assert writer.post(f"/sessions/{whole}/split", **again).json == done
    assert reader.get(f"/sessions/{done['later_session_id']}").json["message_count"] == 1
    merged = writer.post(f"/sessions/{done['later_session_id']}/merge").json
    assert reader.get(f"/sessions/{done['later_session_id']}").json["id"] == whole
    assert writer.post(f"/regroupings/{merged['id']}/undo").json["state"] == "undone"
    assert writer.post(f"/regroupings/{done['id']}/undo").json["state"] == "undone"
    assert listed(reader) == [whole]
    problem(writer.post(f"/sessions/{whole}/merge"), 409, "conflict")
    problem(writer.post(f"/sessions/{whole}/split", json={"message_id": "SMnone"}), 404, "not_found")
    problem(writer.post("/regroupings/none/undo"), 404, "not_found")


def test_a_deleted_session_is_gone_at_once_and_can_be_restored(writer, ids, twilio):
    assert writer.delete(f"/sessions/{ids[1]}").status_code == 204
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/messages"), ("POST", "/close")):
        problem(writer.ask(method, f"/sessions/{ids[1]}{path}"), 404, "not_found")
    assert listed(writer) == [ids[2], ids[0]]
    twilio.sms("back again", From=ADA)
    newest = writer.get("/sessions?limit=1").json["items"][0]
    assert (newest["message_count"], newest["previous_session_id"]) == (1, None)
    restored = writer.post(f"/sessions/{ids[1]}/restore").json
    assert (restored["id"], restored["status"]) == (ids[1], "closed")
    problem(writer.post(f"/sessions/{ids[1]}/restore"), 404, "not_found")


def test_the_next_message_after_a_forced_rollover_begins_a_session(writer, ids, twilio, clock):
    asked = {"channel_id": SMS, "number": "+1 555 666 7777"}
    assert writer.post("/rollovers", json=asked).json == {"closed": [ids[1]]}
    assert writer.post("/rollovers", json=asked).json == {"closed": []}
    twilio.sms("hi", From=ADA)
    assert writer.get("/sessions?limit=1").json["items"][0]["previous_session_id"] == ids[1]
    problem(writer.post("/rollovers", json=asked | {"channel_id": "sms:+1"}), 404, "not_found")
    problem(writer.post("/rollovers", json=asked | {"number": "x"}), 409, "conflict")


def test_a_key_of_one_channel_knows_of_no_other(program, ids, db, twilio):
    tenant = program("write", channels=[WHATSAPP])
    contact = str(db.sessions.find_one()["contact_id"])
    assert listed(tenant) == [ids[2]]
    for query in (f"?contact={contact}", "?q=zebra", "?channel=sms:%2B15017122661", "?type=sms", "?number=%2B1555666"):
        assert listed(tenant, query) == [], query
    form = fixture("sms/text")["MessageSid"]
    for method, path in (
        ("GET", f"/sessions/{ids[0]}"), ("PATCH", f"/sessions/{ids[0]}"), ("DELETE", f"/sessions/{ids[0]}"),
        ("POST", f"/sessions/{ids[0]}/close"), ("GET", f"/messages/{form}"), ("GET", f"/messages/{form}/media/0"),
    ):  # fmt: skip
        problem(tenant.ask(method, path, json={}), 404, "not_found")
    for path in ("/sessions", "/messages"):
        problem(tenant.post(path, json={"channel_id": SMS, "to": ADA, "text": "hi"}), 404, "not_found")
    program("write").delete(f"/sessions/{ids[0]}")
    problem(tenant.post(f"/sessions/{ids[0]}/restore"), 404, "not_found")
