"""A source put in order: however much of it is one sender's, and whoever helps to read it."""

import json
from datetime import timedelta

import pytest

from gateway.conversation import beside, crew, importing, origins, staging
from gateway.conversation.import_runs import Hands
from gateway.conversation.staging import Options
from gateway.store import imports, staged_sessions
from tests.conftest import TEN
from tests.conversation.layouts.generated import WRITE


@pytest.fixture
def runtime(app):
    return app.extensions["gateway"]


def bring_in(runtime, path, **options):
    origin = origins.find([str(path)], "", Options(**options), runtime.settings.mongodb_uri)
    return importing.run_here(runtime, origin, "gateway import", Hands())


def said(path, *minutes):
    """Write messages of one person, said so many minutes after the first."""
    common = {"session_id": "s", "user_id": "+14155550123", "role": "user"}
    rows = [
        {"id": f"{n}", **common, "content": str(n), "timestamp": (TEN + timedelta(minutes=n)).isoformat()}
        for n in minutes
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_no_more_of_a_sender_is_in_memory_than_is_looked_for_at_once(runtime, db, tmp_path, monkeypatch):
    monkeypatch.setattr(staging, "_LOOKED_UP", 10)
    by_sender, file, held, most = staged_sessions.by_sender, staged_sessions.file, [], []

    def counted(stage):
        for line, rows in by_sender(stage):
            yield line, (held.append(1) or row for row in rows)

    def filed(stage, begun, messages, homes):
        most.append(len(held))
        held.clear()
        file(stage, begun, messages, homes)

    monkeypatch.setattr(staged_sessions, "by_sender", counted)
    monkeypatch.setattr(staged_sessions, "file", filed)
    run = bring_in(runtime, said(tmp_path / "a.jsonl", *range(0, 600, 6)), rethread=True)
    assert (run.tally.sessions_created, run.tally.messages_imported, most) == (100, 100, [10] * 10)


@pytest.mark.parametrize("at_once", [1, 1000])
def test_a_session_of_which_something_is_here_stays_that_one_however_it_is_read(
    runtime, db, tmp_path, monkeypatch, at_once
):
    monkeypatch.setattr(staging, "_LOOKED_UP", at_once)
    bring_in(runtime, said(tmp_path / "a.jsonl", 3, 4, 20), rethread=True)
    first, second = db.sessions.find().sort("first_message_at")
    # What was said before makes another message begin the first session, and is part of it.
    run = bring_in(runtime, said(tmp_path / "b.jsonl", 1, 2, 3, 4, 19, 20, 40), rethread=True)
    assert (run.tally.sessions_created, run.tally.sessions_existing, run.tally.messages_duplicate) == (1, 2, 3)
    third = db.sessions.find_one({"_id": {"$nin": [first["_id"], second["_id"]]}})
    homes = {one["content"]: one["session_id"] for one in db.messages.find()}
    assert homes == dict.fromkeys("1234", first["_id"]) | dict.fromkeys(("19", "20"), second["_id"]) | {
        "40": third["_id"]
    }
    assert third["previous_session_id"] == second["_id"]
    decided = {one["content"]: one["decision"] for one in db.messages.find()}
    assert decided["19"]["previous_session_id"] == first["_id"]
    assert decided["40"]["previous_session_id"] == second["_id"]


@pytest.fixture
def two_read(monkeypatch):
    """Let a second process read from the first record on."""
    monkeypatch.setattr(crew, "_ENOUGH", 0)
    monkeypatch.setattr(crew.os, "sched_getaffinity", lambda pid: {0, 1})
    monkeypatch.setattr(staging, "_AT_ONCE", 100)
    asked, started, real = [], [], beside.Beside

    class Waiting(real):
        def __init__(self):
            super().__init__()
            started.append(self)

        def ask(self, work, *given):
            done = super().ask(work, *given)
            asked.append(work.__name__)
            if len(asked) == 1:
                done.result()  # loaded, so that there is something to do for it
            return done

    monkeypatch.setattr(crew, "Beside", Waiting)
    return asked, started


def stored(db):
    return sorted((one["_id"], one["content"], str(one["session_id"])) for one in db.messages.find())


def test_two_processes_read_what_one_reads(runtime, db, tmp_path, monkeypatch, two_read):
    asked, started = two_read
    WRITE["node"](tmp_path, 2_000)
    run = bring_in(runtime, tmp_path)
    assert asked.count("interpret") > 5
    assert started[0].process.poll() is not None  # it is gone when all is read
    two, facts = stored(db), (run.fingerprint, run.tally)
    for name in ("messages", "sessions", "contacts", "channels", "imports"):
        db[name].delete_many({})
    runtime.channels.forget()
    monkeypatch.setattr(crew, "_ENOUGH", 10**9)
    alone = bring_in(runtime, tmp_path)
    assert (stored(db), (alone.fingerprint, alone.tally)) == (two, facts)
    assert len(started) == 1


def test_an_import_goes_on_when_the_process_beside_it_is_killed(runtime, db, tmp_path, monkeypatch, two_read, caplog):
    _, started = two_read
    WRITE["flat"](tmp_path, 3_000)
    told = []

    def kill(records):
        told.append(records)
        if len(told) == 8:
            started[0].process.kill()

    origin = origins.find([str(tmp_path)], "", Options(), runtime.settings.mongodb_uri)
    run = importing.run_here(runtime, origin, "gateway import", Hands(read=kill))
    assert (run.state, run.tally.messages_imported, run.tally.rejected) == ("done", 3_000, 0)
    assert db.messages.count_documents({}) == 3_000
    assert len(started) == 1


def test_whoever_serves_others_reads_alone(runtime, db, tmp_path, two_read):
    asked, _ = two_read
    WRITE["flat"](tmp_path, 500)
    with (tmp_path / "messages.json").open("rb") as file:
        run = importing.order(runtime, file, "messages.json", "key:test")
    importing.work_off(runtime, lambda seconds: False)
    assert (imports.get(run.id).tally.messages_imported, asked) == (500, [])
