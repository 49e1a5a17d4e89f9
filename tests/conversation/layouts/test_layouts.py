"""Ten rows of each layout, checked by hand: what becomes of every one, once and again."""

import json
from pathlib import Path

import pymongo
import pytest
from bson import ObjectId, json_util

from gateway.conversation import importing, origins, rehearsal
from gateway.conversation.import_runs import Hands
from gateway.conversation.layouts import BadFile
from gateway.conversation.rehearsal import Told
from gateway.conversation.staging import Options
from gateway.core.participant import participant
from gateway.store import contacts, rejections
from tests.conftest import FIXTURES, TEN

LAYOUTS = FIXTURES / "layouts"
NAMES = ("node", "flat", "embedded", "relational", "twilio")


@pytest.fixture
def runtime(app):
    return app.extensions["gateway"]


def bring_in(runtime, *given, layout="", **options):
    origin = origins.find([str(one) for one in given], layout, Options(**options), runtime.settings.mongodb_uri)
    return importing.run_here(runtime, origin, "gateway import", Hands())


def conversations(db):
    """Give every session as a person reads it: whom with, on what, and who said what."""
    told = []
    for session in db.sessions.find().sort("first_message_at"):
        messages = db.messages.find({"session_id": session["_id"]}).sort([("createdAt", 1), ("direction", 1)])
        said = [f"{one['sender']}: {one['content']}" for one in messages]
        told.append((session["title"], session["channel_id"], session["status"], said))
        assert session["message_count"] == len(said)
    return told


EXPECTED = {
    "node": [
        (
            "SMS from +15558675310",
            "64c000000000000000000001",
            "closed",
            ["contact: Are you open today?", "ai: Yes, until six.", "contact: Great 🙂", "agent: See you"],
        ),
        (
            "SMS from +15558675310",
            "64c000000000000000000001",
            "active",
            ["contact: I am here", "ai: Come in"],
        ),
        (
            "WhatsApp from +491701234567",
            "64c000000000000000000002",
            "active",
            ["contact: Grüße aus Köln", "system: An agent will answer.", "agent: Hallo!", "contact: "],
        ),
    ],
    "flat": [
        (
            "SMS from +15558675310",
            "sms:imported",
            "closed",
            ["contact: Hello", "ai: Hi, how can I help?", "contact: Shirts"],
        ),
        ("SMS from +15558675310", "sms:imported", "closed", ["ai: Still there?", "contact: Yes"]),
        ("Chat with ada", "chat:imported", "closed", ["contact: from the website", "agent: welcome"]),
        (
            "WhatsApp from +491701234567",
            "whatsapp:imported",
            "closed",
            ["contact: Moin", "agent: Moin!", "contact: no role: it is theirs"],
        ),
    ],
    "embedded": [
        (
            "Order 1001",
            "chat:imported",
            "active",
            ["contact: Where is my order?", "ai: On its way.", "contact: Thanks"],
        ),
        ("Returns", "chat:imported", "closed", ["contact: Can I return it?", "ai: Yes, within 30 days."]),
        (
            "Shirts",
            "sms:imported",
            "closed",
            ["contact: 20 shirts", "agent: Which size?", "contact: M", "system: Ordered.", "contact: 🙂"],
        ),
    ],
    "relational": [
        (
            "Opening hours",
            "sms:imported",
            "closed",
            ["contact: Are you open, today?", 'ai: Yes, until "six".', "contact: Thanks"],
        ),
        (
            "SMS from +15558675311",
            "sms:imported",
            "active",
            ["contact: Line one\nline two", "ai: ", "system: An agent will answer.", "agent: Hello"],
        ),
        ("Website", "chat:imported", "closed", ["contact: Grüße", "ai: Hello", "contact: Bye"]),
    ],
    "twilio": [
        (
            "SMS from +15558675310",
            "sms:+15017122661",
            "closed",
            ["contact: Are you open today?", 'agent: Yes, until "six".', "contact: Exactly five minutes later"],
        ),
        ("SMS from +15558675310", "sms:+15017122661", "closed", ["contact: One second too late"]),
        ("SMS from +15558675310", "sms:+15017122661", "closed", ["contact: Bye"]),
        ("SMS from +15558675311", "sms:+15017122661", "closed", ["agent: Our sale begins", "contact: STOP"]),
        (
            "WhatsApp from +491701234567",
            "whatsapp:+15017122662",
            "closed",
            ["contact: Moin", "agent: Moin!", "contact: Two\nlines"],
        ),
    ],
}


@pytest.mark.parametrize("layout", NAMES)
def test_every_row_of_a_layout_is_in_its_place_and_comes_once(runtime, db, layout):
    run = bring_in(runtime, LAYOUTS / layout)
    assert (run.state, run.is_complete, run.error, run.tally.problems) == ("done", True, "", [])
    assert run.layout == layout
    assert conversations(db) == EXPECTED[layout]
    assert (run.tally.sessions_created, run.tally.messages_imported) == (len(EXPECTED[layout]), 10)
    assert {row["import_id"] for name in ("sessions", "messages", "contacts") for row in db[name].find()} == {
        ObjectId(run.id)
    }
    assert run.people == db.contacts.count_documents({}) == len(db.sessions.distinct("contact_id"))
    assert db.messages.count_documents({"contact_id": None}) == 0
    before = [list(db[name].find().sort("_id")) for name in ("sessions", "messages", "contacts", "channels")]

    again = bring_in(runtime, LAYOUTS / layout, layout=layout)
    assert (again.tally.sessions_created, again.tally.messages_imported, again.tally.rejected) == (0, 0, 0)
    assert (again.tally.sessions_existing, again.tally.messages_duplicate) == (len(EXPECTED[layout]), 10)
    assert [list(db[name].find().sort("_id")) for name in ("sessions", "messages", "contacts", "channels")] == before
    assert not list((runtime.settings.data_dir / "imports").glob("*"))


def test_what_has_a_field_is_in_it_and_what_has_none_is_in_metadata(runtime, db):
    bring_in(runtime, LAYOUTS / "node")
    first = db.sessions.find_one({"_id": ObjectId("64f000000000000000000001")})
    assert first["metadata"]["campaign"] == "autumn"
    assert first["metadata"]["firstMessageAt"] == first["createdAt"]
    assert db.sessions.find_one({"_id": ObjectId("64f000000000000000000002")})["previous_session_id"] == first["_id"]
    whatsapp = db.sessions.find_one({"communication_type": "whatsapp"})
    assert (whatsapp["metadata"]["fromNumber"], whatsapp["metadata"]["toNumber"]) == ("+491701234567", "+15017122662")
    answered = db.messages.find_one({"_id": "SM00000000000000000000000000000002"})
    assert (answered["tools_used"], answered["processing_time_ms"], answered["token_count"]) == (
        ["opening_hours"],
        412,
        57,
    )
    assert db.messages.find_one({"content": "Great 🙂"})["metadata"] == {"NumMedia": "0"}
    failed = db.messages.find_one({"status": "failed"})
    assert (failed["_id"], failed["error_code"], failed["has_error"]) == ("65a000000000000000000009", "63016", True)
    assert db.messages.find_one({"content": ""})["media"][0]["content_type"] == "image/jpeg"


def test_a_table_of_texts_becomes_numbers_lists_and_flags(runtime, db):
    bring_in(runtime, LAYOUTS / "relational")
    answered = db.messages.find_one({"content": {"$regex": "until"}})
    assert (answered["tools_used"], answered["processing_time_ms"], answered["token_count"]) == (
        ["opening_hours"],
        412.5,
        57,
    )
    late = db.messages.find_one({"has_error": True})
    assert (late["error_message"], late["tools_used"], late["processing_time_ms"]) == ("The model timed out", [], 9000)
    assert db.messages.find_one({"token_count": 12})["tools_used"] == ["search", "mail"]


def test_bare_messages_are_decided_as_those_that_arrive(runtime, db):
    bring_in(runtime, LAYOUTS / "twilio")
    decisions = {row["content"]: row.get("decision") for row in db.messages.find()}
    assert decisions["Exactly five minutes later"]["rule"] == "within_threshold"
    assert decisions["Exactly five minutes later"]["gap_seconds"] == 300
    late = decisions["One second too late"]
    assert (late["kind"], late["gap_seconds"], late["threshold_seconds"]) == ("rolled_over", 301, 300)
    assert db.sessions.find_one({"_id": late["previous_session_id"]})["message_count"] == 3
    assert decisions["Our sale begins"] is None
    assert db.messages.find_one({"content": "Our sale begins"})["error_code"] == "30003"


def test_whoever_said_stop_is_written_to_no_more(runtime, db, tmp_path):
    bring_in(runtime, LAYOUTS / "twilio")
    out = {row["phones"][0]: list(row["opted_out"]) for row in db.contacts.find()}
    assert out == {"+15558675310": [], "+15558675311": ["+15017122661"], "+491701234567": []}
    assert db.sessions.find_one({"metadata.fromNumber": "+15558675311"})["opted_out"] == ["+15017122661"]
    log = (LAYOUTS / "twilio" / "sms-log.csv").read_text().splitlines()
    stop = next(line for line in log if "STOP" in line).replace("5311", "5399").replace("0006,", "0016,")
    start = stop.replace("STOP", "START").replace("T11:", "T12:").replace("0016,", "0017,")
    (tmp_path / "log.csv").write_text("\n".join((log[0], start, stop)))
    bring_in(runtime, tmp_path)
    assert db.contacts.find_one({"phones": "+15558675399"})["opted_out"] == {}


def test_the_threshold_can_be_another(runtime, db):
    bring_in(runtime, LAYOUTS / "twilio", threshold_ms=900_000)
    assert [len(said) for *_, said in conversations(db)] == [5, 2, 3]
    db.sessions.delete_many({})
    db.messages.delete_many({})
    bring_in(runtime, LAYOUTS / "twilio", threshold_ms=None)
    assert [len(said) for *_, said in conversations(db)] == [5, 2, 3]


def test_sessions_of_a_source_can_be_made_anew(runtime, db):
    bring_in(runtime, LAYOUTS / "flat", rethread=True, threshold_ms=24 * 3600_000)
    assert [len(said) for *_, said in conversations(db)] == [5, 2, 3]
    again = bring_in(runtime, LAYOUTS / "flat", rethread=True, threshold_ms=24 * 3600_000, zone="Europe/Berlin")
    assert again.tally.messages_imported == 1, "only the time without a zone is another one"


def test_the_line_can_be_named_where_the_source_names_none(runtime, db, twilio):
    bring_in(runtime, LAYOUTS / "flat", line="+15017122661")
    assert set(db.sessions.distinct("channel_id")) == {
        "sms:+15017122661",
        "chat:+15017122661",
        "whatsapp:+15017122661",
    }


def test_a_message_that_came_here_takes_the_others_into_its_session(app, twilio, runtime, db, clock, tmp_path):
    """Twilio's log goes on where the gateway has begun: there is one session, not a second one beside it."""
    clock.move_to(minutes=5)
    twilio.sms("and on", MessageSid="SM" + "b" * 32)
    mine = db.sessions.find_one()
    path = tmp_path / "log.csv"
    head = "From,To,Body,Status,SentDate,Sid,Direction\n"
    line = "+15558675310,+15017122661,{},received,{},SM{},inbound\n"
    at = clock.now().replace(second=0, microsecond=0)
    moments = [at.replace(minute=at.minute - 2).isoformat(), clock.now().isoformat(), clock.now().isoformat()]
    rows = zip(("before", "and on", "after"), moments, ("a" * 32, "b" * 32, "c" * 32), strict=True)
    path.write_text(head + "".join(line.format(*row) for row in rows))
    run = bring_in(runtime, path)
    assert (run.tally.messages_imported, run.tally.messages_duplicate) == (2, 1)
    assert db.sessions.count_documents({}) == 1
    assert db.messages.find_one({"content": "before"})["session_id"] == mine["_id"]
    assert db.sessions.find_one()["message_count"] == mine["message_count"] + 2


def test_a_stop_from_before_holds_in_a_conversation_that_goes_on_here(app, twilio, runtime, db, clock, tmp_path):
    clock.move_to(minutes=5)
    twilio.sms("hello", MessageSid="SM" + "b" * 32)
    at = clock.now().replace(second=0, microsecond=0)
    head = "From,To,Body,Status,SentDate,Sid,Direction\n"
    line = "+15558675310,+15017122661,{},received,{},SM{},inbound\n"
    said = (("STOP", at.replace(minute=at.minute - 2), "a" * 32), ("hello", clock.now(), "b" * 32))
    (tmp_path / "log.csv").write_text(
        head + "".join(line.format(text, moment.isoformat(), sid) for text, moment, sid in said)
    )
    run = bring_in(runtime, tmp_path)
    assert (run.tally.sessions_created, run.tally.sessions_existing, run.tally.messages_imported) == (0, 1, 1)
    assert list(db.contacts.find_one()["opted_out"]) == ["+15017122661"]
    assert db.sessions.find_one()["opted_out"] == ["+15017122661"]


def test_a_conversation_that_was_open_goes_on(app, twilio, runtime, db, clock, tmp_path):
    path = tmp_path / "sessions.json"
    session, message = (Path(LAYOUTS / "node" / f"{name}.json").read_text() for name in ("sessions", "messages"))
    now = clock.now().isoformat()
    path.write_text(session.replace("2025-11-03T12:00:00.000Z", now).replace("2025-11-03T12:01:00.000Z", now))
    (tmp_path / "messages.json").write_text(
        message.replace("1762171200", f'"{now}"').replace("1762171260000", f'"{now}"')
    )
    (tmp_path / "channels.json").write_text((LAYOUTS / "node" / "channels.json").read_text())
    bring_in(runtime, tmp_path)
    clock.tick(60)
    twilio.sms("and on", From="+15558675310", To="+15017122661", MessageSid="SM" + "f" * 32)
    assert db.sessions.count_documents({}) == 3
    assert db.sessions.find_one({"_id": ObjectId("64f000000000000000000002")})["message_count"] == 4


@pytest.fixture
def old_database(mongo):
    uri = mongo.uri.replace("/gateway?", "/old_app?")
    with pymongo.MongoClient(uri) as client:
        database = client.get_default_database()
        yield uri, database
        client.drop_database(database.name)


def test_a_database_is_read_as_it_is_and_never_written(runtime, db, old_database):
    uri, old = old_database
    for name in ("sessions", "messages", "channels"):
        text = (LAYOUTS / "node" / f"{name}.json").read_text()
        rows = json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]
        old[name].insert_many(json_util.loads(json.dumps(row)) for row in rows)
    old.sessions.insert_one({"_id": ObjectId(), "communication_type": "sms", "channel_id": None, "status": 7})
    before = {name: list(old[name].find()) for name in old.list_collection_names()}
    for _ in range(2):
        run = bring_in(runtime, uri, layout="node")
        assert (run.state, run.layout, run.is_complete) == ("done", "node", True)
        assert conversations(db) == EXPECTED["node"]
    assert (run.tally.messages_duplicate, run.tally.rejected) == (10, 1)
    (kept,) = rejections.of(run.id)
    assert kept.place.startswith("sessions, _id ")
    assert "7 is neither true nor false" in kept.reason
    assert {name: list(old[name].find()) for name in old.list_collection_names()} == before
    assert "@" not in run.file_name


def test_our_own_database_is_no_source(runtime, db):
    with pytest.raises(BadFile, match="own database"):
        bring_in(runtime, runtime.settings.mongodb_uri)


def test_people_are_found_however_their_numbers_are_written(runtime, db, tmp_path):
    """By the forms of numbers, as when they write here, whether one is here already or comes in the same source."""
    here = contacts.resolve(participant("+5511987654321"), TEN)
    rows = [
        {"session_id": f"s{number}", "user_id": user, "role": "user", "content": "hi", "timestamp": 1762171200 + number}
        | {"communication_type": "sms"}
        for number, user in enumerate(
            ("+551187654321", "+5491123456789", "+541123456789", "2015550123", "+12015550123")
        )
    ]
    (tmp_path / "messages.json").write_text(json.dumps(rows))
    source = origins.find([str(tmp_path)], "", Options(line="+15017122661"), runtime.settings.mongodb_uri)
    foreseen = rehearsal.rehearse(runtime, source, Told())
    run = bring_in(runtime, tmp_path, line="+15017122661")
    whose = [str(row["contact_id"]) for row in db.sessions.find().sort("first_message_at")]
    assert whose[0] == here.id
    assert whose[1] == whose[2]
    assert whose[3] == whose[4]
    assert db.contacts.count_documents({}) == 3
    assert (foreseen.tally.messages_imported, foreseen.people, foreseen.people_new) == (5, 3, 2)
    assert run.people == 3
