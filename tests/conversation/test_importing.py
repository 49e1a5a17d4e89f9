"""A file brought in: whole, once, without waking anybody, and gone on with after whatever stopped it."""

import io
import json
import threading
from datetime import timedelta

import mongoengine
import pytest
from bson import ObjectId

from gateway.conversation import daily, export, import_runs, importing, origins, upkeep, whatif
from gateway.conversation.export import Order
from gateway.conversation.import_runs import Hands
from gateway.conversation.importing import Busy
from gateway.conversation.layouts import BadFile
from gateway.conversation.staging import Options
from gateway.conversation.whatif import Question
from gateway.core.errors import StoreUnavailable
from gateway.store import analytics, gaps, import_claims, imported_counts, imports, rejections, uploads
from gateway.store.exporting import Selected
from tests.conftest import TEN

HEAD = {"layout": "gateway", "version": 1}
END = {"end": {"sessions": 0, "messages": 0}}
SESSION, OTHER = "65f000000000000000000001", "65f000000000000000000002"


@pytest.fixture
def runtime(app):
    return app.extensions["gateway"]


def session(number=1, **changes):
    return {
        "session": {
            "_id": f"65f0{number:020x}",
            "channel_id": "sms:+15017122661",
            "communication_type": "sms",
            "title": "SMS from +15558675310",
            "status": "closed",
            "closed_reason": "idle",
            "metadata": {"fromNumber": "+15558675310", "toNumber": "+15017122661"},
            "keys": ["sms|+15017122661|+15558675310"],
            "createdAt": "2026-02-01T10:00:00Z",
            "last_message_at": "2026-02-01T10:00:00Z",
        }
        | changes
    }


def message(number=1, of=1, **changes):
    return {
        "message": {
            "_id": f"SM9{number:031x}",
            "session_id": f"65f0{of:020x}",
            "channel_id": "sms:+15017122661",
            "communication_type": "sms",
            "direction": "inbound",
            "sender": "contact",
            "content": f"No. {number}",
            "status": "received",
            "createdAt": f"2026-02-01T10:{number // 60 % 60:02d}:{number % 60:02d}Z",
        }
        | changes
    }


def written(*rows, head=HEAD, end=END):
    return b"".join(json.dumps(row).encode() + b"\n" for row in (head, *rows, end) if row)


def bring_in(runtime, file, by="key:test", wait=lambda seconds: False):
    run = importing.order(runtime, io.BytesIO(file), "file.jsonl", by)
    importing.work_off(runtime, wait)
    return imports.get(run.id)


def exported(runtime):
    lines = b"".join(export.export(runtime, Order(Selected(None), "jsonl", "test"))).splitlines()
    return [json.loads(line) for line in lines[1:]]


def converse(app, twilio, clock):
    """Fill the database with what a gateway has: three types, late and opted out, an operator's note, two sessions."""
    clock.move_to(minutes=0)
    for number in ("+15558675310", "+15558675311", "+15558675312"):
        twilio.sms("Hello", From=number)
        twilio.whatsapp("Hi", From=f"whatsapp:{number}", WaId=number[1:])
    clock.move_to(minutes=30)
    twilio.sms("again", From="+15558675310")
    twilio.call(From="+15558675311")
    twilio.call(From="+266696687")
    twilio.sms("STOP", From="+15558675312")
    clock.move_to(minutes=31)
    twilio.sms("late", From="+15558675310", Body="Ünïcödé 🙂 \x00?")
    clock.move_to(minutes=120)


def test_an_export_comes_back_exactly(app, twilio, clock, db, runtime):
    converse(app, twilio, clock)
    upkeep.settle(runtime)
    file = b"".join(export.export(runtime, Order(Selected(None), "jsonl", "test")))
    before = exported(runtime)
    people = list(db.contacts.find({}, {"name": 0, "createdAt": 0}).sort("_id"))
    open_keys = sorted(key for row in db.sessions.find() for key in row.get("open_keys", ()))
    for name in ("sessions", "messages", "contacts", "channels", "outbox", "jobs"):
        db[name].delete_many({})
    runtime.channels.forget()

    run = bring_in(runtime, file)

    assert (run.state, run.is_complete, run.error) == ("done", True, "")
    assert exported(runtime) == before
    assert run.tally.sessions_created == before[-1]["end"]["sessions"] > 8
    assert run.tally.messages_imported == before[-1]["end"]["messages"] > 10
    assert sorted(key for row in db.sessions.find() for key in row.get("open_keys", ())) == open_keys
    again = list(db.contacts.find({}, {"name": 0, "createdAt": 0}).sort("_id"))
    assert [(one["_id"], one.get("phones"), list(one["opted_out"])) for one in again] == [
        (one["_id"], one.get("phones"), list(one["opted_out"])) for one in people
    ]
    stored = db.messages.find_one({"decision.previous_session_id": {"$type": "objectId"}})
    assert stored["createdAt"].tzinfo
    assert isinstance(db.sessions.find_one()["metadata"]["firstMessageAt"], type(TEN))


def test_a_conversation_that_was_open_goes_on(app, twilio, clock, db, runtime):
    twilio.sms("Hello")
    file = b"".join(export.export(runtime, Order(Selected(None), "jsonl", "test")))
    before = db.sessions.find_one()
    for name in ("sessions", "messages", "contacts", "channels"):
        db[name].delete_many({})
    runtime.channels.forget()
    bring_in(runtime, file)
    clock.tick(60)
    twilio.sms("and on", MessageSid="SM" + "f" * 32)
    after = db.sessions.find_one()
    assert db.sessions.count_documents({}) == 1
    assert (after["_id"], after["message_count"]) == (before["_id"], before["message_count"] * 2)
    assert after["contact_id"] == before["contact_id"]


def test_twice_is_once(runtime, db):
    file = written(session(), message(1), message(2))
    bring_in(runtime, file)
    run = bring_in(runtime, file)
    assert (run.tally.sessions_existing, run.tally.messages_duplicate) == (1, 2)
    assert (run.tally.sessions_created, run.tally.messages_imported) == (0, 0)
    assert db.messages.count_documents({}) == 2
    assert db.sessions.find_one()["message_count"] == 2


def test_counts_and_times_are_those_of_the_messages(runtime, db):
    note = message(9, createdAt="2026-02-02T10:00:00Z", metadata={"private": True}, direction="outbound")
    bring_in(runtime, written(session(message_count=77), message(1), message(5), note))
    stored = db.sessions.find_one()
    assert stored["message_count"] == 3
    assert stored["first_message_at"].isoformat() == "2026-02-01T10:00:01+00:00"
    assert stored["last_message_at"].isoformat() == "2026-02-01T10:00:05+00:00"
    assert stored["last_inbound_at"].isoformat() == "2026-02-01T10:00:05+00:00"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"{not json", "no JSON"),
        (b'{"message":{"_id":"SM', "cut off"),
        (b"\xff\xfe", "no JSON in UTF-8"),
        (b"[1]", "neither a session nor a message"),
        (b'{"session":{},"more":1}', "neither a session nor a message"),
        (b'{"user":{}}', "neither a session nor a message"),
        (json.dumps(session(_id="nonsense")).encode(), "_id: 'nonsense' is no id"),
        (json.dumps(session(status="ajar")).encode(), "status: 'ajar' is none of active, closed, archived"),
        (json.dumps(session(channel_id=None)).encode(), "no channel_id"),
        (json.dumps(session(createdAt="yesterday")).encode(), "createdAt: 'yesterday' is no ISO 8601 time"),
        (json.dumps(session(last_message_at="2999-01-01T00:00:00Z")).encode(), "lies in the future"),
        (json.dumps(session(createdAt="0001-01-01T00:00:00+14:00")).encode(), "createdAt"),
        (json.dumps(session(keys=["a\x00b"])).encode(), "keys"),
        (json.dumps(session(metadata={"$where": 1})).encode(), "'$where' is no name of a field"),
        (json.dumps(session(context={"n": 2**63})).encode(), "too large a number"),
        (json.dumps(session(**{"a.b": 1})).encode(), "'a.b' is no name of a field"),
        (json.dumps(message(3, of=7)).encode(), "Its session 65f000000000000000000007 is not here"),
        (json.dumps(message(of=1, content=7)).encode(), "content: 7 is no text"),
        (json.dumps(message(of=1, _id="")).encode(), "_id: '' is no name"),
        (json.dumps(session(needs_person={"at": None})).encode(), "needs_person: It has no reason"),
        (json.dumps(session(first_message_at="2999-01-01T00:00:00Z")).encode(), "lies in the future"),
        (json.dumps(message(of=1, decision={"kind": "odd"})).encode(), "'odd' is none of created, reused"),
        (json.dumps(message(of=1, processing_time_ms="5")).encode(), "'5' is no number"),
        (json.dumps(message(of=1, status_history=[{"status": "sent"}])).encode(), "It has no at"),
        (json.dumps(message(of=1, metadata={"address": {"to": "+1"}})).encode(), "no address"),
        (json.dumps(message(of=1, createdAt=None)).encode(), "no createdAt"),
        (b'{"message":' + b"[" * 900 + b"]" * 900 + b"}", "neither a session nor a message"),
        (
            json.dumps(message(of=1, metadata={"x": [[[[{}]]]] * 3})).replace("{}", "[" * 60 + "]" * 60).encode(),
            "deeply",
        ),
    ],
)
def test_a_broken_row_is_kept_with_its_reason_and_the_others_come_in(runtime, db, row, reason):
    file = written(session(2), message(1, of=2), end=None) + row + b"\n" + written(message(2, of=2), head=None)
    run = bring_in(runtime, file)
    (kept,) = rejections.of(run.id)
    assert (run.state, run.tally.rejected, kept.row) == ("done", 1, 4)
    assert any(words in kept.reason for words in reason.split("|")), kept.reason
    assert kept.text.encode()[:20] == row[:20] or b"\xff" in row
    assert db.messages.count_documents({}) == 2


def test_a_line_that_is_too_long_is_passed_over(runtime, db, monkeypatch):
    monkeypatch.setattr("gateway.conversation.layouts.own.LONGEST_LINE", 2000)
    file = written(session(), message(1, content="x" * 9000), message(2))
    run = bring_in(runtime, file)
    assert [one.row for one in rejections.of(run.id)] == [3]
    assert [row["content"] for row in db.messages.find()] == ["No. 2"]


def test_a_second_open_session_of_a_sender_is_closed_and_told(app, twilio, runtime, db):
    twilio.sms("Hello")
    mine = db.sessions.find_one()
    clash = session(1, status="active", keys=mine["keys"], closed_reason=None)
    run = bring_in(runtime, written(clash, message(1)))
    stored = db.sessions.find_one({"_id": ObjectId(SESSION)})
    assert (stored["status"], stored["closed_reason"]) == ("closed", "imported")
    assert "open_keys" not in stored
    assert db.sessions.find_one({"_id": mine["_id"]})["status"] == "active"
    assert run.tally.sessions_closed == 1
    assert SESSION in run.tally.problems[0]


def test_people_are_found_by_their_numbers(app, twilio, runtime, db):
    twilio.sms("Hello")
    known = db.contacts.find_one()
    bring_in(runtime, written(session(contact_id=OTHER), message(1, contact_id=OTHER)))
    assert db.contacts.count_documents({}) == 1
    assert db.sessions.find_one({"_id": ObjectId(SESSION)})["contact_id"] == known["_id"]
    assert db.messages.find_one({"_id": message(1)["message"]["_id"]})["contact_id"] == known["_id"]


def test_an_opt_out_comes_along_and_one_taken_back_since_does_not(app, twilio, clock, runtime, db):
    line = "+15017122661"
    bring_in(runtime, written(session(opted_out=[line]), message(1)))
    assert list(db.contacts.find_one()["opted_out"]) == [line]
    assert db.sessions.find_one()["opted_out"] == [line]
    twilio.sms("START")
    assert db.contacts.find_one()["opted_out"] == {}
    bring_in(runtime, written(session(opted_out=[line]), session(2, opted_out=[line])))
    assert db.contacts.find_one()["opted_out"] == {}


def test_an_opt_out_that_was_left_half_carried_reaches_the_sessions_with_the_next_try(twilio, runtime, db, monkeypatch):
    twilio.sms("Hello")
    with monkeypatch.context() as patched:
        patched.setattr("gateway.conversation.optouts.sessions.mark_opted_out", None)
        bring_in(runtime, written(session(opted_out=["+15017122661"]), message(1)))
    assert list(db.contacts.find_one()["opted_out"]) == ["+15017122661"]
    bring_in(runtime, written(session(opted_out=["+15017122661"]), message(1)))
    assert [one["opted_out"] for one in db.sessions.find()] == [["+15017122661"]] * 2


def test_an_opt_out_said_here_holds_for_what_comes_in(app, twilio, runtime, db):
    twilio.sms("STOP")
    bring_in(runtime, written(session(), message(1)))
    assert db.sessions.find_one({"_id": ObjectId(SESSION)})["opted_out"] == ["+15017122661"]


def test_channels_are_those_that_are_here_by_number(runtime, db):
    db.channels.insert_one({"_id": ObjectId(OTHER), "phone_number": "+15017122661", "communication_type": "sms"})
    bring_in(runtime, written(session(), message(1)))
    assert db.channels.count_documents({}) == 1
    assert db.sessions.find_one()["channel_id"] == OTHER
    assert db.messages.find_one()["channel_id"] == OTHER


def test_nobody_is_woken(make_app, clock):
    """What would have gone out where it comes from stays in: no message, no answer, no alert."""
    app = make_app(alerts={"webhook_url": "http://127.0.0.1:9/alert"})
    runtime, db = app.extensions["gateway"], mongoengine.get_db()
    lately = (TEN - timedelta(seconds=20)).isoformat()
    asked = session(status="active", needs_person={"reason": "asked", "at": lately}, last_message_at=lately)
    unsent = message(
        2, direction="outbound", sender="agent", status="queued", createdAt=lately, storedAt=lately,
        metadata={"address": {"to": "+15558675310", "sender": "+15017122661"}},
    )  # fmt: skip
    unanswered = message(1, answer={"state": "queued", "due": lately}, createdAt=lately, storedAt=lately)
    bring_in(runtime, written(asked, unanswered, unsent))
    clock.tick(10)
    upkeep.settle(runtime)
    assert db.outbox.count_documents({"state": "waiting"}) == 0
    assert db.messages.find_one({"direction": "outbound"})["status"] == "canceled"
    assert "answer" not in db.messages.find_one({"direction": "inbound"})
    assert db.sessions.find_one()["needs_person"]["reason"] == "asked"


class Killed(BaseException):
    """What a SIGKILL looks like from inside: nothing is tidied up."""


@pytest.mark.parametrize("where", ["intend", "put_sessions", "put_messages", "count", "recount", "advance"])
def test_whoever_is_killed_is_followed_by_somebody_who_goes_on(runtime, db, clock, monkeypatch, where):
    monkeypatch.setattr(import_runs, "BATCH_ROWS", 10)
    file = written(*(row for n in range(1, 9) for row in (session(n), *(message(10 * n + m, of=n) for m in range(4)))))
    run = importing.order(runtime, io.BytesIO(file), "file.jsonl", "key:test")
    place = next(one for one in (import_claims, imported_counts, import_runs.imported.importing) if hasattr(one, where))
    real, calls = getattr(place, where), []

    def killed(*given, **named):
        calls.append(1)
        if len(calls) == 3:
            raise Killed
        done = real(*given, **named)
        if len(calls) == 2 and where in ("put_sessions", "put_messages", "count"):
            raise Killed
        return done

    monkeypatch.setattr(place, where, killed)
    monkeypatch.setattr(import_claims, "release", lambda run: None)
    with pytest.raises(Killed):
        importing.work_off(runtime, lambda seconds: False)
    monkeypatch.setattr(place, where, real)
    assert importing.work_off(runtime, lambda seconds: False) == 0  # the lease holds
    clock.tick(100)
    importing.work_off(runtime, lambda seconds: False)
    done = imports.get(run.id)
    assert (done.state, done.is_complete) == ("done", True)
    tally = done.tally
    assert (tally.sessions_created, tally.messages_imported) == (8, 32)
    assert (tally.sessions_existing, tally.messages_duplicate, tally.rejected) == (0, 0, 0)
    assert db.messages.count_documents({}) == 32
    assert {row["message_count"] for row in db.sessions.find()} == {4}


def test_a_message_that_comes_into_a_session_on_its_way_in_is_counted_once(runtime, db, monkeypatch):
    place = import_runs.imported.importing
    real = place.put_messages

    def meanwhile(documents, also):
        db.messages.insert_one({"_id": "SMlive", "session_id": ObjectId(SESSION), "createdAt": TEN, "storedAt": TEN})
        db.sessions.update_one({"_id": ObjectId(SESSION)}, {"$inc": {"message_count": 1}})
        return real(documents, also)

    monkeypatch.setattr(place, "put_messages", meanwhile)
    bring_in(runtime, written(session(), session(2), message(1), message(2), message(3, of=2)))
    assert {str(row["_id"]): row["message_count"] for row in db.sessions.find()} == {SESSION: 3, OTHER: 1}


def test_a_worker_that_is_told_to_stop_leaves_it_to_the_next(runtime, db, monkeypatch):
    monkeypatch.setattr(import_runs, "BATCH_ROWS", 2)
    file = written(session(), *(message(n) for n in range(9)))
    stop = threading.Event()

    def wait(seconds):
        if seconds:
            stop.set()
        return stop.is_set()

    run = bring_in(runtime, file, wait=wait)
    assert (run.state, run.position.rows) == ("running", 2)
    importing.work_off(runtime, lambda seconds: False)
    assert imports.get(run.id).state == "done"
    assert db.messages.count_documents({}) == 9


def test_a_canceled_import_stops_and_what_came_in_stays(runtime, db, monkeypatch):
    monkeypatch.setattr(import_runs, "BATCH_ROWS", 2)
    run = importing.order(runtime, io.BytesIO(written(session(), *map(message, range(9)))), "f", "key:test")

    def wait(seconds):
        if seconds:
            importing.cancel(runtime, run.id, "ada")
        return False

    importing.work_off(runtime, wait)
    ended = imports.get(run.id)
    assert (ended.state, ended.position.rows) == ("canceled", 2)
    assert db.sessions.find_one()["message_count"] == db.messages.count_documents({}) < 9
    assert db["uploads.chunks"].count_documents({}) == 0
    assert not importing.cancel(runtime, run.id, "ada")
    assert [row["action"] for row in db.audit.find()] == ["import_ordered", "import_canceled"]


def test_files_go_when_they_are_of_no_use(runtime, db, clock, monkeypatch):
    bring_in(runtime, written(session()))
    assert db["uploads.files"].count_documents({}) == 0

    def broken(*_):
        raise StoreUnavailable("gone")

    monkeypatch.setattr(imports, "queue", broken)
    with pytest.raises(StoreUnavailable):
        importing.order(runtime, io.BytesIO(written(session())), "f", "key:test")
    importing.work_off(runtime, lambda seconds: False)
    assert db["uploads.files"].count_documents({}) == 1
    clock.tick(7 * 3600)
    importing.work_off(runtime, lambda seconds: False)
    assert db["uploads.files"].count_documents({}) == 0
    assert db.imports.find_one({"state": "failed"})["error"].startswith("Its file never came")


@pytest.mark.parametrize(
    ("file", "layout", "reason"),
    [
        (b"", "", "empty"),
        (b'{"user_id": 1}\n', "", "of no layout that is known here (gateway, twilio, embedded"),
        (written(session(), head={"layout": "gateway", "version": 3}), "", "known here"),
        (written(session()), "teletext", "There is no layout 'teletext'. Known: gateway, twilio"),
        (written(session()), "twilio", "not of the layout twilio, which needs Twilio's message log with From, To"),
        (b"a,b\n1,2\n", "gateway", "not of the layout gateway"),
    ],
)
def test_a_file_of_no_known_layout_is_refused_at_once(runtime, db, file, layout, reason):
    with pytest.raises(BadFile, match=r".*") as refused:
        importing.order(runtime, io.BytesIO(file), "f", "key:test", layout=layout)
    assert reason in str(refused.value)
    assert db.imports.count_documents({}) == 0


def test_what_nobody_foresaw_ends_an_import_and_not_the_next(runtime, monkeypatch):
    def odd(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(import_runs, "BATCH_ROWS", 2)
    real = import_runs.imported.put
    monkeypatch.setattr(
        import_runs.imported, "put", lambda *given: real(*given) if given[2][0].position.rows < 3 else odd()
    )
    run = bring_in(runtime, written(session(), message(1), message(2)))
    assert (run.state, run.position.rows) == ("failed", 2)
    assert "unforeseen" in run.error
    monkeypatch.setattr(import_runs.imported, "put", real)
    assert bring_in(runtime, written(session(), message(1))).state == "done"


def test_null_is_no_list_and_no_object(runtime, db, twilio):
    odd = session(metadata=None, context=None, tags=None, opted_out=None, keys=["sms|+15017122661|+15558675310"])
    bring_in(runtime, written(odd, message(1, media=None, decision=None, metadata=None)))
    assert not {"metadata", "context", "tags", "opted_out"} & db.sessions.find_one().keys()
    assert not {"media", "decision", "metadata"} & db.messages.find_one().keys()
    assert db.sessions.find_one()["message_count"] == 1


def test_too_many_bytes_leave_nothing(make_app):
    runtime = make_app(imports={"max_bytes": 2000}).extensions["gateway"]
    db = mongoengine.get_db()
    with pytest.raises(uploads.TooLarge):
        importing.order(runtime, io.BytesIO(written(session(), *map(message, range(20)))), "f", "key:test")
    assert db["uploads.chunks"].count_documents({}) == 0


def test_a_file_that_was_cut_off_is_told(runtime):
    run = bring_in(runtime, written(session(), message(1), end=None))
    assert (run.state, run.is_complete) == ("done", False)


def test_what_was_counted_is_counted_again(runtime, db, clock):
    clock.move_to(minutes=60)
    daily.count(runtime)
    whatif.keep_counted(runtime)
    bring_in(runtime, written(session(), message(1), message(2)))
    clock.move_to(minutes=62)
    daily.count(runtime)
    whatif.keep_counted(runtime)
    day = TEN.replace(month=2, day=1, hour=0)
    (counted,) = analytics.tallies(day, day, None)
    assert (counted.tally.inbound, counted.tally.sessions) == (2, 1)
    assert whatif.look(runtime, Question()).tally.messages == 2


def test_a_file_on_this_host_is_imported_in_the_foreground_and_by_one_at_a_time(runtime, db, tmp_path, monkeypatch):
    monkeypatch.setattr(import_runs, "BATCH_ROWS", 2)
    path = tmp_path / "file.jsonl"
    path.write_bytes(written(session(), *map(message, range(9))))
    told = []

    origin = origins.find([str(path)], "", Options(), runtime.settings.mongodb_uri)

    def tell(run):
        told.append(run.position.rows)
        with pytest.raises(Busy):
            importing.run_here(runtime, origin, "gateway import", Hands())

    run = importing.run_here(runtime, origin, "gateway import", Hands(tell=tell))
    assert (run.state, run.tally.messages_imported) == ("done", 9)
    assert told == [2, 4, 6, 8, 10, 12]
    assert importing.work_off(runtime, lambda seconds: False) == 0


def test_queries_use_indexes(runtime, db):
    bring_in(runtime, written(session(), message(1)))
    look = db.imports.find({"unfinished": {"$exists": True}, "state": "queued"}).sort("unfinished", 1)
    assert "'indexName': 'unfinished'" in str(look.explain()["queryPlanner"]["winningPlan"])
    wanted = {"import_id": ObjectId(SESSION), "row": {"$gt": 0}}
    plan = db.import_rejections.find(wanted).sort("row", 1).explain()["queryPlanner"]["winningPlan"]
    assert "'indexName': 'of_import'" in str(plan)
    assert "'stage': 'SORT'" not in str(plan)


def test_pauses_are_counted_anew_in_pieces_however_many_came_into_one(runtime, twilio, clock, db, monkeypatch):
    monkeypatch.setattr(gaps, "CHUNK", 2)
    for minutes in (0, 1, 2):
        clock.move_to(minutes=minutes)
        twilio.sms()
    clock.move_to(minutes=60)
    whatif.keep_counted(runtime)
    bring_in(runtime, written(session(), *map(message, range(9))))
    whatif.keep_counted(runtime)
    assert whatif.look(runtime, Question()).tally.messages == 15
    assert max(row["messages"] for row in db.gaps.find()) <= 2
