"""Ten thousand messages of each layout: all of them come in, once, also where the run is stopped on its way."""

import pytest

from gateway.conversation import importing, origins, rehearsal, staging
from gateway.conversation.importing import Hands
from gateway.conversation.rehearsal import Told
from gateway.conversation.staging import Options
from gateway.store import imports
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
    real, calls = imports.advance, []

    def killed(*given):
        calls.append(1)
        if len(calls) == 7:
            raise Killed
        return real(*given)

    with monkeypatch.context() as patch:
        patch.setattr(imports, "advance", killed)
        patch.setattr(imports, "release", lambda run: None)
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
def test_what_was_put_in_order_is_made_again_and_must_be_the_same(runtime, db, tmp_path, changes):
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
