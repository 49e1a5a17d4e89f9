"""Ten thousand messages of each layout: all of them come in, once, also where the run is stopped on its way."""

import os

import pytest

from gateway.conversation import import_runs, importing, origins, rehearsal, staging
from gateway.conversation.import_runs import Hands
from gateway.conversation.rehearsal import Told
from gateway.conversation.staging import Options
from gateway.store import import_claims
from gateway.store import staging as stage
from tests.conversation.layouts.generated import WRITE, said

MESSAGES, SESSIONS = 10_000, 2_000


@pytest.fixture
def runtime(app):
    return app.extensions["gateway"]


class Killed(BaseException):
    """What a SIGKILL looks like from inside: nothing is tidied up."""


def origin(runtime, folder, **options):
    return origins.find([str(folder)], "", Options(**options), runtime.settings.mongodb_uri)


def expected():
    return sorted((text, at, "inbound" if inbound else "outbound") for _, _, at, inbound, text, _ in said(MESSAGES))


@pytest.mark.parametrize("layout", WRITE)
def test_ten_thousand_messages_come_in_once_though_the_run_is_stopped(
    runtime, db, clock, layout, tmp_path, monkeypatch
):
    WRITE[layout](tmp_path, MESSAGES)
    source = origin(runtime, tmp_path)
    real, calls = import_claims.advance, []

    def killed(*given):
        calls.append(1)
        if len(calls) == 7:
            raise Killed
        return real(*given)

    with monkeypatch.context() as patch:
        patch.setattr(import_runs, "BATCH_ROWS", 1000)
        patch.setattr(import_claims, "advance", killed)
        patch.setattr(import_claims, "release", lambda run: None)
        with pytest.raises(Killed):
            importing.run_here(runtime, source, "gateway import", Hands())
    assert 0 < db.messages.count_documents({}) < MESSAGES
    clock.tick(100)
    with monkeypatch.context() as patch:
        patch.setattr(staging, "_Order", None)  # what was put in order is not put in order again
        run = importing.run_here(runtime, source, "gateway import", Hands())

    assert (run.state, run.is_complete, run.error) == ("done", True, "")
    assert all("written in UTF-16" in one for one in run.tally.problems)
    tally = run.tally
    assert (tally.sessions_created, tally.messages_imported) == (SESSIONS, MESSAGES)
    assert (tally.sessions_existing, tally.messages_duplicate, tally.rejected) == (0, 0, 0)
    stored = sorted((row["content"], row["createdAt"], row["direction"]) for row in db.messages.find())
    assert stored == expected()
    assert db.sessions.distinct("message_count") == [5]
    assert run.people == db.contacts.count_documents({})


def test_a_dry_run_foresees_exactly_what_happens_and_writes_nothing(runtime, db, tmp_path):
    WRITE["twilio"](tmp_path, 1_000)
    source = origin(runtime, tmp_path)
    foreseen = rehearsal.rehearse(runtime, source, Told())
    collections = [name for name in db.list_collection_names() if db[name].count_documents({})]
    assert collections in ([], ["jobs"])
    run = importing.run_here(runtime, source, "gateway import", Hands())
    assert (foreseen.tally, foreseen.rows) == (run.tally, run.position.rows)
    assert foreseen.people == foreseen.people_new == run.people
    again = rehearsal.rehearse(runtime, source, Told())
    assert (again.tally.sessions_existing, again.tally.messages_duplicate) == (200, 1_000)
    assert (again.tally.messages_imported, again.people, again.people_new) == (0, run.people, 0)
    assert not list((runtime.settings.data_dir / "imports").glob("*"))


@pytest.mark.parametrize("changes", [False, True])
def test_what_was_put_in_order_is_made_again_and_must_be_the_same(runtime, db, tmp_path, monkeypatch, changes):
    monkeypatch.setattr(import_runs, "BATCH_ROWS", 500)
    WRITE["flat"](tmp_path, 2_000)
    source = origin(runtime, tmp_path)
    stops = Hands(wait=lambda _seconds: bool(db.imports.find_one({"rows": {"$gt": 0}})))
    run = importing.run_here(runtime, source, "gateway import", stops)
    assert (run.state, run.position.rows) == ("running", 500)
    origins.stage_path(runtime, run.id).unlink()
    path = tmp_path / "messages.json"
    path.write_text(path.read_text().replace("hello", "goodbye" if changes else "hello"))
    done = importing.run_here(runtime, source, "gateway import", Hands())
    assert done.id == run.id
    if changes:
        assert done.state == "failed"
        assert "has changed since it was begun" in done.error
    else:
        assert (done.state, done.tally.messages_duplicate, done.tally.messages_imported) == ("done", 0, 2_000)


def test_whoever_lost_an_import_while_a_long_statement_ran_stops_at_once(runtime, db, tmp_path, monkeypatch):
    WRITE["flat"](tmp_path, 900)  # fewer than are told of while they are read
    monkeypatch.setattr(stage, "_WATCH_SECONDS", 0)
    monkeypatch.setattr(stage, "_STEPS", 100)
    read = []

    def lost(records):
        read.append(records)
        db.imports.update_one({}, {"$set": {"owner": "another"}})

    run = importing.run_here(runtime, origin(runtime, tmp_path), "gateway import", Hands(read=lost))
    assert (run.state, db.sessions.count_documents({})) == ("running", 0)
    assert len(read) == 1


def test_what_was_left_behind_on_this_host_is_deleted(runtime, db, clock, tmp_path):
    WRITE["flat"](tmp_path, 10)
    folder = runtime.settings.data_dir / "imports"
    folder.mkdir(exist_ok=True)
    for name in ("65f000000000000000000000.partial", "65f000000000000000000000.sqlite3", "rehearsal-1.seen.sqlite3"):
        (folder / name).touch()
        os.utime(folder / name, (clock.now().timestamp(),) * 2)
    importing.run_here(runtime, origin(runtime, tmp_path), "gateway import", Hands())
    assert [one.name for one in folder.iterdir()] == ["rehearsal-1.seen.sqlite3"]
    clock.tick(25 * 3600)
    importing.work_off(runtime, lambda seconds: False)
    assert not list(folder.iterdir())
