"""An import taken back: the database is as it was, whatever was there, and whoever was killed in between."""

import io
import json

import pytest

from gateway.conversation import daily, emptying, import_runs, importing, origins, undoing, verifying
from gateway.conversation.importing import Busy
from gateway.conversation.staging import Options
from gateway.conversation.undoing import CannotUndo, Hands
from gateway.store import analytics, import_changes, import_claims, imported_counts, imports, retention
from gateway.store import undoing as steps
from tests.conftest import TEN
from tests.conversation.layouts.test_layouts import LAYOUTS, NAMES
from tests.conversation.layouts.test_layouts import bring_in as bring_in_files
from tests.conversation.test_importing import Killed, bring_in, converse, message, session, written
from tests.conversation.test_moving import contact, empty, files, full, taken_along  # noqa: F401

# What tells of imports, and what is counted anew from the messages.
OWN = {"imports", "audit", "jobs", "import_rejections", "import_batches", "daily", "gaps", "migrations"}
LINE = "+15017122661"


@pytest.fixture
def runtime(app):
    return app.extensions["gateway"]


def snapshot(db):
    held = {name: list(db[name].find().sort("_id", 1)) for name in db.list_collection_names() if name not in OWN}
    held["suppressions"] = [row for row in held.get("suppressions", ()) if row["_id"] != "salt"]
    return {name: rows for name, rows in held.items() if rows}


def undo(runtime, clock, run, tell=lambda gone, of: None):
    return undoing.undo(runtime, run.id, "ada", Hands(lambda seconds: clock.tick(seconds + 0.1), tell))


@pytest.mark.parametrize("is_empty", [True, False])
@pytest.mark.parametrize("layout", NAMES)
def test_every_layout_is_verified_and_taken_back_exactly(app, twilio, clock, runtime, db, layout, is_empty):
    if not is_empty:
        converse(app, twilio, clock)
    before = snapshot(db)
    run = bring_in_files(runtime, LAYOUTS / layout)
    done = verifying.verify(runtime, run.id)
    assert (done.of_source, done.messages, done.is_same, done.differences) == (True, 10, True, [])
    db.imports.update_one({}, {"$set": {"sources": []}})
    noted = verifying.verify(runtime, run.id)
    brought = (run.tally.sessions_created, run.tally.messages_imported)
    assert (noted.of_source, noted.is_same, noted.sessions, noted.messages) == (False, True, *brought)
    undone = undo(runtime, clock, run)
    assert snapshot(db) == before
    assert [undone.undone[name] for name in ("sessions", "messages", "sessions_kept")] == [*brought, 0]
    again = bring_in_files(runtime, LAYOUTS / layout)
    assert again.tally.messages_imported == run.tally.messages_imported


@pytest.mark.parametrize("is_empty", [True, False])
def test_an_export_of_everything_is_taken_back_exactly(full, app, twilio, clock, db, runtime, is_empty):  # noqa: F811
    empty(db, runtime)
    if not is_empty:
        twilio.sms("Hello", From="+15558675312", MessageSid="SM" + "e" * 32)
        twilio.whatsapp("Hi", From="whatsapp:+15558675310", WaId="15558675310", MessageSid="SM" + "d" * 32)
    before = snapshot(db)
    run = bring_in(runtime, full)
    assert verifying.verify(runtime, run.id).is_same
    if not is_empty:
        assert db.contacts.find_one({"phones": "+15558675312", "import_id": None})["opted_out"]
    undo(runtime, clock, run)
    assert snapshot(db) == before
    assert db["media.chunks"].count_documents({}) == db["media.files"].count_documents({}) == 0


def mixed(twilio, db, clock):
    """A file that changes all that an import can change of what is here, and what is here."""
    twilio.sms("Hello")
    clock.tick(10)
    mine = db.sessions.find_one()
    stop = {LINE: {"at": "2026-02-01T10:00:00Z", "message_id": None}}
    theirs = contact(1, phones=["+15558675310", "+15558675319"], emails=["a@example.com"], opted_out=stop)
    into_mine = [message(n) | {"message": message(n)["message"] | {"session_id": str(mine["_id"])}} for n in (1, 2)]
    rows = [row for n in range(3, 9) for row in (session(n), message(10 * n, of=n))]
    theirs_alone = contact(2, phones=["+15558675399"])
    return written(theirs, theirs_alone, *into_mine, *rows, session(9, status="active", opted_out=[LINE]))


def test_what_was_changed_of_what_was_here_is_as_it_was(app, twilio, clock, db, runtime):
    file = mixed(twilio, db, clock)
    before = snapshot(db)
    run = bring_in(runtime, file)
    mine = db.sessions.find_one({"_id": before["sessions"][0]["_id"]})
    assert mine["message_count"] == before["sessions"][0]["message_count"] + 2
    assert (mine["opted_out"], "+15558675319" in db.contacts.find_one()["phones"]) == ([LINE], True)
    undo(runtime, clock, run)
    assert snapshot(db) == before


@pytest.mark.parametrize("where", ["note_counts", "note_opted_out", "note_learned", "recount"])
def test_an_import_that_was_killed_and_went_on_is_taken_back_exactly(
    app, twilio, clock, db, runtime, monkeypatch, where
):
    file = mixed(twilio, db, clock)
    before = snapshot(db)
    place, name = imported_counts if where == "recount" else import_changes, where
    real = getattr(place, name)

    def killed(*given):
        real(*given)
        raise Killed

    run = importing.order(runtime, io.BytesIO(file), "file.jsonl", "key:test")
    with monkeypatch.context() as patch:
        patch.setattr(import_claims, "release", lambda run: None)
        patch.setattr(place, name, killed)
        with pytest.raises(Killed):
            importing.work_off(runtime, lambda seconds: False)
    clock.tick(100)
    importing.work_off(runtime, lambda seconds: False)
    assert verifying.verify(runtime, run.id).is_same
    undo(runtime, clock, run)
    assert snapshot(db) == before


PLACES = [
    (steps, "hide"),
    (emptying, "empty"),
    (retention, "emptied"),
    (retention, "drop"),
    (steps, "delete_messages"),
    (import_changes, "restore_counts"),
    (import_changes, "restore_contact"),
    (import_changes, "restore_opted_out"),
    (import_changes, "done"),
    (steps, "delete_contacts"),
    (steps, "delete_rest"),
    (steps, "begin"),
    (steps, "end"),
]


def test_whoever_is_killed_is_followed_by_whoever_does_it_again(app, twilio, clock, db, runtime, monkeypatch):
    monkeypatch.setattr(steps, "BATCH", 2)
    file = mixed(twilio, db, clock)
    before = snapshot(db)
    for place, name in PLACES:
        run, real, calls = bring_in(runtime, file), getattr(place, name), []

        def killed(*given, real=real, calls=calls, **named):
            real(*given, **named)
            calls.append(1)
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(place, name, killed)
            with pytest.raises(Killed):
                undo(runtime, clock, run)
                pytest.fail(f"{name} was never called")
        clock.tick(3600)
        done = undo(runtime, clock, run)
        assert snapshot(db) == before, name
        assert (done.undone["messages"], done.undone["sessions"], done.undone["sessions_kept"]) == (8, 7, 0), name
        assert undo(runtime, clock, run) == done
    assert db.audit.count_documents({"action": "import_undone"}) >= len(PLACES) - 1
    assert db.import_changes.count_documents({}) == 0


def test_what_was_said_since_stays_with_its_session_person_and_channel(app, twilio, clock, db, runtime):
    clock.move_to(minutes=0)
    now = TEN.isoformat()
    file = written(
        session(1, status="active", createdAt=now, last_message_at=now), message(1, createdAt=now),
        session(2, keys=[f"sms|{LINE}|+15558675399"], metadata={"fromNumber": "+15558675399", "toNumber": LINE}),
        message(2, of=2),
    )  # fmt: skip
    run = bring_in(runtime, file)
    clock.tick(60)
    twilio.sms("and on", From="+15558675310", MessageSid="SM" + "f" * 32)
    held = snapshot(db)
    done = undo(runtime, clock, run)
    assert (done.undone["sessions"], done.undone["sessions_kept"]) == (1, 1)
    (kept,) = db.sessions.find()
    assert kept == next(row for row in held["sessions"] if row["_id"] == kept["_id"])
    assert {row["_id"] for row in db.messages.find()} >= {message(1)["message"]["_id"], "SM" + "f" * 32}
    assert [row["phones"] for row in db.contacts.find()] == [["+15558675310"]]
    assert db.channels.count_documents({}) == 1


def test_what_arrives_while_it_is_taken_back_is_not_lost(app, twilio, clock, db, runtime):
    """A webhook that saw the session before it was hidden writes into it after that; another one begins anew."""
    clock.move_to(minutes=0)
    now = TEN.isoformat()
    run = bring_in(
        runtime, written(session(1, status="active", createdAt=now, last_message_at=now), message(1, createdAt=now))
    )
    was = db.sessions.find_one()
    late = {
        "_id": "late",
        "session_id": was["_id"],
        "createdAt": TEN,
        "storedAt": TEN,
        "direction": "inbound",
        "content": "?",
    }
    waits = []

    def wait(seconds):
        clock.tick(seconds + 0.1)
        waits.append(seconds)
        if len(waits) == 1:
            db.messages.insert_one(late)
            twilio.sms("new", From="+15558675310", MessageSid="SM" + "f" * 32)

    done = undoing.undo(runtime, run.id, "ada", Hands(wait))
    assert done.undone["sessions_kept"] == 1
    assert db.messages.find_one({"_id": "late"})
    kept = db.sessions.find_one({"_id": was["_id"]})
    assert (kept["status"], kept["closed_reason"], kept["message_count"]) == ("closed", "imported", 2)
    assert db.sessions.count_documents({"status": "active"}) == 1


def test_a_live_message_in_a_session_that_was_here_is_counted(app, twilio, clock, db, runtime):
    file = mixed(twilio, db, clock)
    before = db.sessions.find_one()
    run = bring_in(runtime, file)
    twilio.sms("START", MessageSid="SM" + "d" * 32)
    twilio.sms("more", MessageSid="SM" + "f" * 32)
    undo(runtime, clock, run)
    mine = db.sessions.find_one({"_id": before["_id"]})
    assert mine["message_count"] == db.messages.count_documents({"session_id": before["_id"]})
    assert mine["message_count"] > before["message_count"]
    assert mine["last_message_at"] > before["last_message_at"]
    assert db.contacts.find_one({"_id": before["contact_id"]})["opted_out"] == {}


def test_days_are_counted_again(runtime, db, clock):
    run = bring_in(runtime, written(session(), message(1)))
    day = TEN.replace(month=2, day=1, hour=0)
    for expected in (1, 0):
        clock.tick(120)
        daily.count(runtime)
        assert sum(one.tally.inbound for one in analytics.tallies(day, day, None)) == expected
        undo(runtime, clock, run)


def test_what_differs_is_told(runtime, db):
    run = bring_in(runtime, written(session(), session(2), session(3), *map(message, range(1, 7)), message(7, of=3)))
    assert verifying.verify(runtime, run.id).is_same
    ids = [message(n)["message"]["_id"] for n in range(1, 8)]
    one, two, three = (row["_id"] for row in db.sessions.find().sort("_id", 1))
    db.messages.delete_one({"_id": ids[0]})
    db.messages.update_one({"_id": ids[1]}, {"$set": {"content": "other"}})
    db.messages.update_one({"_id": ids[2]}, {"$set": {"session_id": two}})
    db.messages.update_one({"_id": ids[3]}, {"$set": {"status": "read"}})
    db.messages.insert_one(db.messages.find_one({"_id": ids[4]}) | {"_id": "extra"})
    db.sessions.delete_one({"_id": three})
    done = verifying.verify(runtime, run.id)
    assert (done.is_same, done.extra, done.sessions, done.messages) == (False, 1, 3, 7)
    assert dict(done.counts) == {"missing": 1, "changed": 1, "moved": 1, "session missing": 1, "count is wrong": 2}
    assert done.by_session[str(one)] == 4
    assert ("changed", ids[1], str(one)) in done.differences


def test_what_cannot_be_is_refused_with_a_reason(runtime, db, clock, monkeypatch):
    with pytest.raises(CannotUndo, match="There is no import"):
        undoing.undo(runtime, "65f000000000000000000000", "ada", Hands())
    queued = importing.order(runtime, io.BytesIO(written(session())), "f", "key:test")
    with pytest.raises(CannotUndo, match="not at its end"):
        undo(runtime, clock, queued)
    with pytest.raises(verifying.CannotVerify, match="not at its end"):
        verifying.verify(runtime, queued.id)
    importing.cancel(runtime, queued.id, "ada")
    with pytest.raises(CannotUndo, match="Wait two minutes"):
        undo(runtime, clock, queued)
    clock.tick(200)
    assert undo(runtime, clock, queued).undone_at
    with pytest.raises(verifying.CannotVerify, match="taken back"):
        verifying.verify(runtime, queued.id)


def test_nothing_is_imported_while_an_import_is_taken_back_nor_the_other_way_round(runtime, db, clock, monkeypatch):
    run = bring_in_files(runtime, LAYOUTS / "twilio")
    flat = origins.find([str(LAYOUTS / "flat")], "", Options(), "")
    queued = importing.order(runtime, io.BytesIO(written(session())), "file.jsonl", "key:test")
    told, asked, real = [], [], steps.being_undone

    def notices_late(*given):
        """Whoever begins at the very same moment sees it after the claim only."""
        asked.append(1)
        return real(*given) if len(asked) > 1 else None

    def wait(seconds):
        clock.tick(seconds + 0.1)
        for look in (real, notices_late):
            asked.clear()
            with monkeypatch.context() as patch:
                patch.setattr(steps, "being_undone", look)
                with pytest.raises(Busy, match=f"Import {run.id} is being taken back"):
                    importing.run_here(runtime, flat, "x", import_runs.Hands())
                asked.clear()
                assert importing.work_off(runtime, lambda seconds: False) == 0
            told.append(imports.get(queued.id).position.rows)

    undoing.undo(runtime, run.id, "ada", Hands(wait))
    assert told
    assert not any(told)
    second = importing.run_here(runtime, flat, "x", import_runs.Hands())
    importing.work_off(runtime, lambda seconds: False)
    assert (second.state, imports.get(queued.id).state) == ("done", "done")
    third = importing.order(runtime, io.BytesIO(written(session(3))), "file.jsonl", "key:test")
    held = import_claims.claim("another", clock.now(), clock.now() + import_runs.LEASE)
    assert held.id == third.id
    with pytest.raises(CannotUndo, match=f"Import {third.id} is under way"):
        undo(runtime, clock, second)
    clock.tick(100)
    assert undo(runtime, clock, second).undone_at
    assert not import_claims.renew(held, clock.now()), "whoever stood still learns that it is not theirs any more"
    assert importing.work_off(runtime, lambda seconds: False) == 1


def test_queries_use_indexes(runtime, db):
    run = bring_in(runtime, written(session(), message(1), contact(1)))
    which = {"import_id": db.imports.find_one()["_id"]}
    plans = [
        (db.sessions.find(which | {"retired": {"$exists": False}}).sort("_id", 1), "imported"),
        (db.contacts.find(which).sort("_id", 1), "imported"),
        (db.messages.find(which), "imported"),
        (db["media.files"].find(which), "imported"),
        (db.import_batches.find(which | {"rows": {"$gt": 0}}).sort("rows", 1), "of_import"),
        (db.import_changes.find({"ref": which["import_id"]}), "about"),
    ]
    for found, index in plans:
        plan = json.dumps(found.explain()["queryPlanner"]["winningPlan"], default=str)
        assert f'"indexName": "{index}"' in plan
        assert '"stage": "SORT"' not in plan
    assert run.state == "done"
