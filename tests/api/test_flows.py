"""Flows over the API: listed, begun, shown with their session, and canceled."""

import pytest

from tests.api.conftest import problem
from tests.conversation.flowing import with_flows


@pytest.fixture
def app(make_app):
    return with_flows(make_app(reply={"responder": "none"}))


@pytest.fixture
def flow_at(twilio, db):
    twilio.sms("hello")
    return f"/sessions/{db.sessions.find_one()['_id']}/flow"


def test_flows_are_listed_with_their_steps_and_triggers(reader):
    (order,) = reader.get("/flows").json["items"]
    assert (order["name"], order["title"], order["version"], order["timeout_seconds"]) == ("order", "Order", 1, 3600)
    assert order["triggers"] == {"words": ["order"], "intents": ["wants_order"], "events": []}
    assert [step["name"] for step in order["steps"]] == ["what", "who", "where"]
    assert order["fields"][2] == {
        "name": "where", "kind": "choice", "label": order["fields"][2]["label"], "optional": False,
        "choices": ["Harbour", "Market"],
    }  # fmt: skip


def test_a_flow_is_begun_shown_and_canceled(writer, flow_at, twilio, db):
    session = flow_at.removesuffix("/flow")
    assert writer.get(session).json["flow"] is None
    begun = writer.post(flow_at, json={"flow": "order", "values": {"what": "ten hats"}}).json
    assert begun["flow"] | {"run": ""} == {
        "name": "order", "title": "Order", "version": 1, "run": "", "step": "who", "asking": "who", "outcome": None,
        "values": {"what": "ten hats"}, "started_at": "2026-03-01T10:00:00.000Z",
        "waiting_since": "2026-03-01T10:00:00.000Z", "expires_at": "2026-03-01T11:00:00.000Z",
    }  # fmt: skip
    assert "flow" not in begun["context"]
    assert db.outbox.find_one({"step": "flow"})["_id"] == f"flow:{begun['flow']['run']}:begin"
    twilio.sms("Hari")
    assert writer.get(session).json["flow"]["step"] == "where"
    for _ in range(2):
        ended = writer.delete(flow_at)
        assert (ended.status_code, ended.json["flow"]["outcome"]) == (200, "canceled")
    assert [one["action"] for one in db.audit.find().sort("at", 1)] == ["flow_begun", "flow_canceled"]


def test_what_cannot_begin_says_why(writer, flow_at):
    problem(writer.post(flow_at, json={"flow": "none"}), 404, "no_such_flow")
    problem(writer.post(flow_at, json={"flow": "order", "values": {"colour": "red"}}), 409, "conflict")
    assert writer.post(flow_at, json={"flow": "order"}).status_code == 200
    told = problem(writer.post(flow_at, json={"flow": "order"}), 409, "flow_under_way")
    assert "Cancel it first" in told["detail"]
    assert writer.post(flow_at, json={"flow": "order", "replace": True}).status_code == 200
    problem(writer.post("/sessions/" + "f" * 24 + "/flow", json={"flow": "order"}), 404, "not_found")


def test_a_request_that_is_repeated_under_its_key_begins_one_flow(writer, flow_at, db):
    for _ in range(2):
        done = writer.post(flow_at, json={"flow": "order"}, headers={"Idempotency-Key": "one"})
        assert done.status_code == 200
    assert db.flow_runs.count_documents({}) == 1


def test_one_key_for_two_sessions_begins_a_flow_in_each(writer, flow_at, twilio, db):
    twilio.sms("hello", From="+15558675311")
    other = db.sessions.find_one({"metadata.fromNumber": "+15558675311"})["_id"]
    for where in (flow_at, f"/sessions/{other}/flow"):
        assert writer.post(where, json={"flow": "order"}, headers={"Idempotency-Key": "one"}).status_code == 200
    assert db.flow_runs.count_documents({}) == 2
    assert db.outbox.count_documents({"step": "flow"}) == 2


def test_a_key_that_may_only_read_begins_nothing(reader, flow_at):
    problem(reader.post(flow_at, json={"flow": "order"}), 403, "scope_missing")
    problem(reader.delete(flow_at), 403, "scope_missing")


def test_statistics_tell_how_far_people_came(writer, flow_at, twilio):
    writer.post(flow_at, json={"flow": "order", "values": {"what": "ten hats"}})
    twilio.sms("cancel it")
    (order,) = writer.get("/stats").json["flows"]
    assert {name: order[name] for name in ("flow", "begun", "running", "completed", "abandoned", "canceled")} == {
        "flow": "order", "begun": 1, "running": 0, "completed": 0, "abandoned": 0, "canceled": 1
    }  # fmt: skip
    assert order["steps"] == [
        {"name": "what", "reached": 1, "abandoned": 0, "canceled": 0},
        {"name": "who", "reached": 1, "abandoned": 0, "canceled": 1},
    ]
