"""The Node application's database taken over in place: backed up first, byte for byte the same after undo."""

import pytest
from bson import ObjectId, json_util
from bson.raw_bson import RawBSONDocument

from gateway.conversation import adopting, import_runs, importing, origins, rehearsal, verifying
from gateway.conversation.consolidating import consolidate
from gateway.conversation.import_runs import Hands
from gateway.conversation.importing import Busy
from gateway.conversation.layouts import BadFile
from gateway.conversation.rehearsal import Told
from gateway.conversation.staging import Options
from gateway.conversation.undoing import CannotUndo
from gateway.store import adopted, import_claims, imports, rejections
from gateway.store import undoing as store_undoing
from tests.conversation.layouts.generated import node as generate
from tests.conversation.layouts.generated import said
from tests.conversation.layouts.test_layouts import EXPECTED, LAYOUTS, conversations
from tests.conversation.layouts.test_layouts import bring_in as bring_in_files
from tests.conversation.test_consolidating import CHANNEL, at, node_message, node_session
from tests.conversation.test_importing import Killed
from tests.conversation.test_moving import empty, files, full, taken_along  # noqa: F401
from tests.conversation.test_undoing import OWN
from tests.conversation.test_undoing import undo as take_back

THEIRS = ("channels", "sessions", "messages")


@pytest.fixture
def runtime(app):
    return app.extensions["gateway"]


@pytest.fixture(autouse=True)
def tidied(db):
    yield
    for name in db.list_collection_names():
        if "_before_" in name:
            db.drop_collection(name)


def settle(db, folder=LAYOUTS / "node", kinds=THEIRS):
    """Let the Node application's collections lie in the gateway's database."""
    for name in kinds:
        text = (folder / f"{name}.json").read_text()
        rows = json_util.loads(text if text.startswith("[") else f"[{','.join(text.splitlines())}]")
        db[name].insert_many(rows)


def raw(db):
    """Give all of everything as bytes, but for what tells of imports."""
    options = db.codec_options.with_options(document_class=RawBSONDocument)
    held = {
        name: [one.raw for one in db.get_collection(name, codec_options=options).find().sort("_id", 1)]
        for name in db.list_collection_names()
        if name not in OWN
    }
    return {name: rows for name, rows in held.items() if rows}


def found(runtime, *given, layout="node", **options):
    ours = runtime.settings.mongodb_uri
    return adopting.find(given or [ours], layout, Options(**options), ours)


def adopt(runtime, hands=None):
    return importing.run_here(runtime, found(runtime), "gateway import", hands or Hands())


def undo(runtime, clock, run):
    return take_back(runtime, clock, run)


def test_what_lies_in_the_database_becomes_ours_and_is_put_back_exactly(app, runtime, db, clock, twilio):
    """Ten messages by hand: the same as by copy, foreseen by a dry run, checked with the backup, and taken back."""
    copied = bring_in_files(runtime, LAYOUTS / "node")
    undo(runtime, clock, copied)
    settle(db)
    before = raw(db)
    foreseen = rehearsal.rehearse(runtime, found(runtime), Told())
    assert raw(db) == before
    run = adopt(runtime)
    assert (run.state, run.is_complete, run.error) == ("done", True, "")
    assert foreseen.tally == run.tally == copied.tally
    assert (foreseen.people, run.people) == (copied.people, copied.people)
    assert conversations(db) == EXPECTED["node"]
    assert [row["name"] for row in db.channels.find().sort("_id", 1)] == ["Front desk", "WhatsApp"]
    assert {row["_id"] for row in db.messages.find({"import_id": None})} == set()
    assert run.in_place["backup"] == {"sessions": 3, "messages": 10, "channels": 2}
    for name in THEIRS:
        assert raw(db)[f"{name}_before_{run.id}"] == before[name]
    done = verifying.verify(runtime, run.id)
    assert (done.of_source, done.is_same, done.messages) == (True, True, 10)
    with pytest.raises(BadFile, match="Nothing of another application"):
        found(runtime)
    undone = undo(runtime, clock, run)
    assert raw(db) == before
    assert (undone.undone["messages"], undone.in_place["left"]) == (10, 0)
    assert undo(runtime, clock, run) == undone
    assert adopt(runtime).tally == run.tally


def test_what_was_consolidated_since_comes_apart_before_it_is_put_back(runtime, db, clock):
    """Two sessions of one conversation, of which a message is there twice."""
    said = {"named": False, "content": "Hello", "createdAt": {"$date": at(seconds=1)}}
    rows = {
        "channels": [CHANNEL],
        "sessions": [node_session(1), node_session(2)],
        "messages": [node_message(number, of=number, **said) for number in (1, 2)] + [node_message(3, of=2)],
    }
    for name, documents in rows.items():
        db[name].insert_many(json_util.loads(json_util.dumps(documents)))
    before = raw(db)
    run = adopt(runtime)
    done = consolidate(runtime, "ada")
    assert (done.sessions_merged, done.messages_removed) == (1, 1)
    assert [verifying.verify(runtime, one).is_same for one in (run.id, done.run_id)] == [True, True]
    with pytest.raises(BadFile, match="Nothing of another application"):
        found(runtime)
    again = rehearsal.rehearse(runtime, adopting.again(runtime, run), Told())
    assert (again.tally.messages_imported, again.tally.messages_duplicate) == (0, 3)
    undone = undo(runtime, clock, run)
    assert (undone.undone["taken_apart"], undone.in_place["left"]) == (1, 0)
    assert raw(db) == before


def test_the_next_text_goes_on_in_an_adopted_session_and_that_one_stays(runtime, db, clock, twilio):
    settle(db)
    run = adopt(runtime)
    clock.moment = db.sessions.find_one({"status": "active"})["last_message_at"]
    clock.tick(60)
    twilio.sms("on my way", MessageSid="SM" + "f" * 32)
    held = db.sessions.find_one({"_id": ObjectId("64f000000000000000000002")})
    assert (held["message_count"], held["status"]) == (4, "active")  # and what the echo said
    undone = undo(runtime, clock, run)
    assert undone.undone["sessions_kept"] == 1
    assert db.messages.count_documents({"session_id": held["_id"]}) == 4
    # Its two messages and itself, as they were, are still in the backup; all others are back.
    assert (undone.in_place["left"], db.messages.count_documents({"import_id": None})) == (3, 8 + 2)
    assert db[f"messages_before_{run.id}"].count_documents({}) == 10


def test_what_the_gateway_wrote_is_never_taken_for_theirs(full, runtime, db, clock):  # noqa: F811
    assert adopted.amounts()["sessions"] == adopted.amounts()["messages"] == 0
    settle(db, kinds=("sessions", "messages"))
    before = raw(db)
    run = adopt(runtime)
    # Three of Twilio's ids are here already.
    assert (run.tally.sessions_created, run.tally.messages_imported, run.tally.messages_duplicate) == (3, 7, 3)
    assert db.sessions.find_one({"_id": ObjectId("64f000000000000000000001")})["channel_id"] == "sms:+15017122661"
    undo(runtime, clock, run)
    assert raw(db) == before


STEPS = [
    (imports, "add", 1),
    (adopted, "drop", 1),
    (adopted, "keep", 2),
    (import_claims, "note_in_place", 1),
    (adopted, "keep_latest", 2),
    (adopted, "take_out", 1),
    (adopted, "take_out", 3),
    (adopted, "mend_channel", 1),
    (origins, "stage", 1),
    (import_runs.imported, "put", 1),
    (import_claims, "advance", 1),
    (import_claims, "finish", 1),
]
BACK = [
    (adopted, "brought", 1),
    (adopted, "put_back", 1),
    (adopted, "put_back", 3),
    (imports, "note_put_back", 1),
    (adopted, "drop", 1),
    (store_undoing, "end", 1),
]


def killed_at(patch, place, name, nth):
    """Let a process die right after it did something for the nth time."""
    real, calls = getattr(place, name), []

    def killed(*given, **named):
        result = real(*given, **named)
        calls.append(1)
        if len(calls) == nth:
            raise Killed
        return result

    patch.setattr(place, name, killed)


def test_whoever_is_killed_is_followed_by_whoever_does_it_again(runtime, db, clock, monkeypatch):
    monkeypatch.setattr(adopted, "AT_ONCE", 2)
    settle(db)
    db.channels.update_one({"name": "Front desk"}, {"$unset": {"communication_type": ""}})
    db.messages.insert_one(
        {"_id": "odd", "session_id": "nowhere", "role": "user", "text": "?", "timestamp": 1762171200}
    )
    before = raw(db)
    for place, name, nth in STEPS:
        with monkeypatch.context() as patch:
            patch.setattr(import_claims, "release", lambda run: None)
            killed_at(patch, place, name, nth)
            with pytest.raises(Killed):
                adopt(runtime)
                pytest.fail(f"{name} was never called {nth} times")
        clock.tick(100)
        run = adopt(runtime) if name != "finish" else imports.page(cursor=None, limit=1).imports[0]
        assert (run.state, run.tally.sessions_created, run.tally.messages_imported) == ("done", 3, 10), name
        assert (run.tally.rejected, run.in_place.get("late", 0)) == (1, 0), name
        assert [one.place for one in rejections.of(run.id)] == [f"messages_before_{run.id}, _id odd"]
        assert conversations(db) == EXPECTED["node"]
        for kind in THEIRS:
            assert raw(db)[f"{kind}_before_{run.id}"] == before[kind], name
        assert verifying.verify(runtime, run.id).is_same
        undo(runtime, clock, run)
        assert raw(db) == before, name


def test_whoever_is_killed_taking_back_is_followed_too(runtime, db, clock, monkeypatch):
    monkeypatch.setattr(adopted, "AT_ONCE", 2)
    settle(db)
    before = raw(db)
    for place, name, nth in BACK:
        run = adopt(runtime)
        with monkeypatch.context() as patch:
            killed_at(patch, place, name, nth)
            with pytest.raises(Killed):
                undo(runtime, clock, run)
                pytest.fail(f"{name} was never called {nth} times")
        clock.tick(3600)
        if name != "end":
            with pytest.raises(Busy, match=f"{run.id} is being taken back"):
                importing.run_here(runtime, origins.find([str(LAYOUTS / "flat")], "", Options(), ""), "x", Hands())
        undo(runtime, clock, run)
        assert raw(db) == before, name


def test_an_import_that_failed_or_was_canceled_half_way_is_taken_back_exactly(runtime, db, clock, monkeypatch):
    monkeypatch.setattr(adopted, "AT_ONCE", 2)
    settle(db)
    before = raw(db)
    for place, name, nth in ((adopted, "keep", 2), (adopted, "take_out", 2), (import_runs.imported, "put", 1)):
        with monkeypatch.context() as patch:
            real, calls = getattr(place, name), []

            def failing(*given, real=real, calls=calls, nth=nth):
                calls.append(1)
                if len(calls) == nth:
                    raise BadFile("The disk is on fire.")
                return real(*given)

            patch.setattr(place, name, failing)
            run = adopt(runtime)
        assert (run.state, run.error) == ("failed", "The disk is on fire.")
        with pytest.raises(BadFile, match=f"gateway import undo {run.id}"):
            found(runtime)
        undo(runtime, clock, run)
        assert raw(db) == before, name


def test_ten_thousand_messages_are_taken_over_though_the_run_is_stopped(runtime, db, clock, tmp_path, monkeypatch):
    monkeypatch.setattr(import_runs, "BATCH_ROWS", 1000)
    generate(tmp_path, 10_000)
    settle(db, tmp_path)
    before = raw(db)
    foreseen = rehearsal.rehearse(runtime, found(runtime), Told())
    for place, name, nth in ((adopted, "take_out", 11), (import_claims, "advance", 7)):
        with monkeypatch.context() as patch:
            patch.setattr(import_claims, "release", lambda run: None)
            killed_at(patch, place, name, nth)
            with pytest.raises(Killed):
                adopt(runtime)
        clock.tick(100)
    run = adopt(runtime)
    assert (run.tally.sessions_created, run.tally.messages_imported, run.tally.rejected) == (2_000, 10_000, 0)
    assert foreseen.tally == run.tally
    stored = sorted((row["content"], row["createdAt"], row["direction"]) for row in db.messages.find())
    assert stored == sorted(
        (text, at, "inbound" if inbound else "outbound") for _, _, at, inbound, text, _ in said(10_000)
    )
    assert db.channels.find_one()["communication_type"] == "sms"
    done = verifying.verify(runtime, run.id)
    assert (done.of_source, done.is_same, done.messages) == (True, True, 10_000)
    undo(runtime, clock, run)
    assert raw(db) == before


LATE = {"direction": "inbound", "sender": "contact", "content": "late", "createdAt": "2025-11-03T12:02:00.000Z"}


def test_what_the_other_application_writes_meanwhile_comes_in_and_is_told(runtime, db, clock, monkeypatch):
    settle(db)
    copied, counted, kept = raw(db), adopted.amounts, adopted.keep_latest

    def writes_after_the_copy(*given):
        if given and not db.messages.count_documents({"content": "late"}):
            db.messages.insert_one(LATE | {"session_id": ObjectId("64f000000000000000000002")})
        return counted(*given)

    def changes_before_it_is_taken_out(*given):
        late = kept(*given)
        db.sessions.update_one({"title": "SMS from +15558675310"}, {"$set": {"title": "new"}})
        return late

    monkeypatch.setattr(adopted, "amounts", writes_after_the_copy)
    monkeypatch.setattr(adopted, "keep_latest", changes_before_it_is_taken_out)
    run = adopt(runtime)
    assert (run.state, run.tally.messages_imported, run.in_place["late"]) == ("done", 11, 2)
    assert "2 documents were written while the backup was made" in run.tally.problems[0]
    assert db.sessions.count_documents({"title": "new", "import_id": ObjectId(run.id)}) == 1
    assert verifying.verify(runtime, run.id).is_same
    monkeypatch.undo()
    undo(runtime, clock, run)
    assert len(set(raw(db)["sessions"]) - set(copied["sessions"])) == 1
    assert len(set(raw(db)["messages"]) - set(copied["messages"])) == 1


def test_what_it_writes_after_that_is_told_and_not_lost(runtime, db, clock):
    settle(db)
    before = raw(db)
    run = adopt(runtime)
    for of in ("64f000000000000000000002", "64f000000000000000000009"):
        db.messages.insert_one(LATE | {"session_id": ObjectId(of)})
    later = raw(db)["messages"]
    done = verifying.verify(runtime, run.id)
    assert (done.written_since, done.is_same) == (2, False)
    undone = undo(runtime, clock, run)
    assert undone.undone["sessions_kept"] == 0
    assert set(raw(db).pop("messages")) - set(before["messages"]) == {one for one in later if b"late" in one}
    assert raw(db)["sessions"] == before["sessions"]
    assert adopt(runtime).tally.messages_imported == 11


def test_what_cannot_be_is_refused_with_a_line_and_nothing_is_written(runtime, db, clock, monkeypatch):
    settle(db)
    before, ours = raw(db), runtime.settings.mongodb_uri
    refused = [
        ((["mongodb://u:secret@elsewhere/app"], "node", {}), r"own database, mongodb://\S+/test, and this is"),
        ((["sessions.json"], "node", {}), "for a database"),
        (([ours], "flat", {}), "for the layout node"),
        (([ours], "", {"rethread": True}), "leave --rethread away"),
    ]
    for (given, layout, options), reason in refused:
        with pytest.raises(BadFile, match=reason) as told:
            found(runtime, *given, layout=layout, **options)
        assert "secret" not in str(told.value)
    monkeypatch.setattr(adopted, "room", lambda: (3_000_000, 2_000_000))
    with pytest.raises(BadFile, match="take some 3 MB, and 2 MB are free"):
        found(runtime)
    monkeypatch.undo()
    db.messages.create_index("messageSid", name="their_sid", unique=True, sparse=True)
    try:
        with pytest.raises(BadFile, match=r"their_sid of messages is unique.*db.messages.dropIndex\('their_sid'\)"):
            found(runtime)
    finally:
        db.messages.drop_index("their_sid")
    with pytest.raises(BadFile, match="--in-place takes over"):
        origins.find([ours], "node", Options(), ours)
    assert raw(db) == before
    run = adopt(runtime)
    db.drop_collection(f"messages_before_{run.id}")
    with pytest.raises(CannotUndo, match="backup is not whole"):
        undo(runtime, clock, run)
    assert verifying.verify(runtime, run.id).messages == 10
