"""Decisions, the what-if and the statistics over the API."""

import json

import pytest

from gateway.conversation import daily, whatif
from tests.api.conftest import problem

PERSON, OTHER, LINE = "+15558675310", "+15558675311", "sms:+15017122661"


@pytest.fixture(autouse=True)
def history(app, twilio, clock):
    """One who writes after 2 and after 20 minutes, one on WhatsApp; counted as a worker does."""
    runtime = app.extensions["gateway"]
    for minutes in (0, 2, 22):
        clock.move_to(minutes=minutes)
        twilio.sms("words of theirs", From=PERSON)
    twilio.whatsapp("Hi", From=f"whatsapp:{OTHER}", WaId=OTHER[1:])
    clock.move_to(minutes=30)
    daily.count(runtime)
    whatif.keep_counted(runtime)


def test_each_decision_in_words_and_with_what_it_was_made_from(reader, db):
    listed = reader.get("/decisions").json
    assert [one["kind"] for one in listed["items"]] == ["created", "rolled_over", "reused", "created"]
    assert listed["next_cursor"] is None
    rolled = listed["items"][1]
    assert rolled["explanation"] == "rolled over: 20 min 0 s after the last message, threshold 5 min"
    assert (rolled["rule"], rolled["gap_seconds"], rolled["threshold_seconds"]) == ("past_threshold", 1200, 300)
    assert rolled["previous_session_id"] == listed["items"][3]["session_id"]
    assert rolled["at"] == "2026-03-01T10:22:00.000Z"
    assert "words of theirs" not in json.dumps(listed)


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        ("kind=created", ["created", "created"]),
        ("rule=within_threshold", ["reused"]),
        ("type=whatsapp", ["created"]),
        ("channel=sms:%2B15017122661&kind=created", ["created"]),
        ("number=%2B15558675311", ["created"]),
        ("number=(555)%20nobody", []),
        ("min_gap=100&max_gap=120", ["reused"]),
        ("from=2026-03-01T10:02:00Z&to=2026-03-01T10:22:00Z", ["reused"]),
        ("from=2026-03-01T11:00:00Z&to=2026-03-01T10:00:00Z", []),
        ("session=65f000000000000000000000", []),
    ],
)
def test_filters(reader, query, kinds):
    assert [one["kind"] for one in reader.get(f"/decisions?{query}").json["items"]] == kinds


def test_pages(reader):
    first = reader.get("/decisions?limit=3").json
    rest = reader.get(f"/decisions?limit=3&cursor={first['next_cursor']}").json
    ids = [one["message_id"] for one in first["items"] + rest["items"]]
    assert len(set(ids)) == 4
    assert rest["next_cursor"] is None


def test_a_session_and_a_contact(reader, db):
    session = db.sessions.find_one({"message_count": 4})
    assert len(reader.get(f"/decisions?session={session['_id']}").json["items"]) == 2
    assert len(reader.get(f"/decisions?contact={session['contact_id']}").json["items"]) == 3


def test_the_what_if_is_that_of_the_command_line(reader):
    told = reader.get("/whatif?threshold=60,1200,never").json
    assert told["messages"] == 8
    assert [(one["threshold_seconds"], one["sessions"]) for one in told["thresholds"]] == [
        (60, 4),
        (1200, 2),
        (None, 2),
    ]
    assert {one["channel_id"]: one["messages"] for one in told["channels"]} == {LINE: 6, "whatsapp:+14155238886": 2}
    assert told["as_of"] == "2026-03-01T10:30:00.000Z"


@pytest.mark.parametrize(
    ("query", "messages"),
    [
        ("type=sms", 6),
        ("channel=sms:%2B15017122661", 6),
        ("channel=sms:nowhere", 0),
        ("from=2026-03-01&to=2026-03-01", 8),
        ("from=2026-03-02", 0),
        ("to=2026-02-28", 0),
    ],
)
def test_the_what_if_of_a_part(reader, query, messages):
    assert reader.get(f"/whatif?{query}").json["messages"] == messages


def test_what_was_counted_by_day(reader):
    told = reader.get("/stats?from=2026-02-28&to=2026-03-01").json
    assert [day["received"] for day in told["days"]] == [0, 4]
    assert (told["total"]["received"], told["total"]["sent_by_bot"], told["total"]["sessions"]) == (4, 4, 3)
    assert told["total"]["decisions"] == {"created": 2, "reused": 1, "rolled_over": 1}
    assert told["days"][1]["types"] == [
        {"communication_type": "sms", "messages": 6, "sessions": 2},
        {"communication_type": "whatsapp", "messages": 2, "sessions": 1},
    ]
    assert told["total"]["bot"]["answers"] == 4
    assert (told["hours"][10], sum(told["hours"])) == (4, 4)
    assert (told["from"], told["counted_until"]) == ("2026-02-28", "2026-03-01T10:30:00.000Z")
    assert reader.get("/stats?type=whatsapp").json["total"]["received"] == 1
    assert reader.get("/stats?channel=sms:nowhere").json["total"]["received"] == 0
    assert len(reader.get("/stats").json["days"]) == 7


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/decisions?kind=lost", 422, "wrong_value"),
        ("/decisions?cursor=nonsense", 422, "wrong_value"),
        ("/decisions?min_gap=nan", 422, "wrong_value"),
        ("/decisions?from=2026-03-01", 422, "wrong_value"),
        ("/whatif?threshold=soon", 422, "wrong_value"),
        ("/whatif?threshold=9999999999", 409, "cannot_count"),
        ("/stats?from=2026-03-02&to=2026-03-01", 409, "bad_range"),
        ("/stats?from=2020-01-01", 409, "bad_range"),
        ("/stats?from=soon", 422, "wrong_value"),
    ],
)
def test_what_is_wrong_is_named(reader, path, status, code):
    problem(reader.get(path), status, code)


def test_a_limited_key_learns_of_its_channels_only(program):
    mine = program("read", channels=["whatsapp:+14155238886"])
    assert [one["communication_type"] for one in mine.get("/decisions").json["items"]] == ["whatsapp"]
    assert mine.get("/decisions?channel=sms:%2B15017122661").json["items"] == []
    assert mine.get(f"/decisions?number={PERSON.replace('+', '%2B')}").json["items"] == []
    assert mine.get("/whatif").json["messages"] == 2
    assert mine.get("/whatif?channel=sms:%2B15017122661").json["messages"] == 0
    assert mine.get("/stats").json["total"]["received"] == 1
    assert mine.get("/stats?channel=sms:%2B15017122661").json["total"]["received"] == 0
