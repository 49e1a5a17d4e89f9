"""Old conversations go, whatever arrives meanwhile and whatever is killed; an archive brings them back exactly."""

import contextlib
import dataclasses
import os
import stat
import tracemalloc
from datetime import timedelta
from types import SimpleNamespace

import mongoengine
import pytest
from bson import ObjectId

from gateway import clients
from gateway.conversation import emptying, upkeep
from gateway.conversation import retention as cleaning
from gateway.conversation.emptying import Busy
from gateway.conversation.redaction import TwilioRefuses
from gateway.conversation.retention import Order
from gateway.store import archive as archives
from gateway.store import connection, finding, messages, removal, restoring, retention, sessions
from gateway.store.archive import Archive, ArchiveFailed
from tests.conftest import ACCOUNT, TEN, TOKEN, Twilio, fixture
from tests.conversation.conftest import Person
from tests.conversation.test_crashes import _assert_sessions_are_right, _in_a_process_that_dies
from tests.conversation.worker import Worker
from tests.stand_ins.twilio import Fault, File, TwilioStandIn

COLLECTIONS = ("sessions", "messages", "media.files", "media.chunks")
DAY = 24 * 60
NINETY = timedelta(days=90)


@pytest.fixture
def scene(make_app, clock):
    """A gateway, its worker, people who text, and a Twilio that serves files and redacts."""
    with TwilioStandIn(tokens={ACCOUNT: [TOKEN]}) as provider:
        app = make_app(twilio={"api_base_url": provider.url, "timeout_seconds": 1})
        runtime = app.extensions["gateway"]
        worker = Worker(app, clock, sender=clients.build(runtime.settings))
        twilio = Twilio(app.test_client())

        def person(number="+15558675310", channel="sms"):
            return Person(twilio, clock, channel, number)

        def clean(days=90, archive=None, **given):
            bound = clock.now() - timedelta(days=days)
            given.setdefault("wait", clock.tick)
            return cleaning.clean(worker.runtime, Order(bound, archive, **given))

        yield SimpleNamespace(
            provider=provider, worker=worker, twilio=twilio, clock=clock, person=person, clean=clean, live=live
        )


def live():
    return mongoengine.get_db()


def dump():
    """Give everything that conversations are made of, by collection and id."""
    return {name: {row["_id"]: row for row in live()[name].find()} for name in COLLECTIONS}


def counts():
    return {name: live()[name].count_documents({}) for name in COLLECTIONS}


def mms(scene):
    form = fixture("sms/mms_2media")
    for number, content in enumerate((b"photo" * 100_000, b"%PDF")):
        path = form[f"MediaUrl{number}"].removeprefix("https://api.twilio.com")
        scene.provider.files[path] = File(content, ("image/png", "application/pdf")[number])
    assert scene.twilio.post("/webhooks/sms", form).status_code == 200
    scene.worker.run(after=5)


def talk(scene):
    """Three sessions of one person, the last of them of today, and one of somebody else with two files."""
    ada = scene.person()
    for days in (0, 1, 100):
        ada.say(minutes=days * DAY, body=f"day {days}")
        if days == 1:
            mms(scene)


def test_old_sessions_go_with_messages_and_files_and_recent_ones_stay(scene):
    talk(scene)
    before = counts()
    assert before["media.files"] == 2
    done = scene.clean()
    assert (done.gone.sessions, done.gone.files) == (before["sessions"] - 1, 2)
    assert counts() == {"sessions": 1, "messages": 2, "media.files": 0, "media.chunks": 0}
    (kept,) = live().sessions.find()
    assert kept["previous_session_id"] is None
    _assert_sessions_are_right()


def test_a_preview_changes_nothing_and_tells_what_would_go(scene):
    talk(scene)
    before = dump()
    seen = cleaning.preview(scene.clock.now() - NINETY, scene.clock.now())
    assert dump() == before
    assert seen == scene.clean().gone
    assert seen.bytes > 500_000


def test_an_open_session_is_closed_first_and_says_so_in_the_archive(scene, tmp_path):
    scene.person().say()
    scene.clock.move_to(minutes=100 * DAY)
    with Archive(tmp_path / "old.jsonl") as archive:
        assert scene.clean(archive=archive).closed == 1
    restoring.restore(tmp_path / "old.jsonl", lambda _: None)
    (session,) = live().sessions.find()
    assert (session["status"], session["closed_reason"]) == ("closed", "retention")


@pytest.mark.parametrize("name", ["old.jsonl", "old.jsonl.gz"])
def test_an_archive_brings_everything_back_exactly_and_twice_changes_nothing(scene, tmp_path, name):
    talk(scene)
    scene.clock.move_to(minutes=100 * DAY + 10)
    upkeep.sweep(scene.worker.runtime)
    before, path = dump(), tmp_path / name
    with Archive(path) as archive:
        gone = scene.clean(archive=archive).gone
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert counts()["sessions"] == 1
    new = restoring.restore(path, lambda _: None)
    assert (new.sessions, new.messages, new.files) == (gone.sessions, gone.messages, gone.files)
    assert dump() == before
    again = restoring.restore(path, lambda _: None)
    assert (again.sessions, again.messages, again.files) == (0, 0, 0)
    assert dump() == before


def test_what_came_back_stands_beside_a_session_that_took_its_place(scene, tmp_path):
    ada = scene.person()
    ada.say()
    scene.clock.move_to(minutes=100 * DAY)
    with Archive(tmp_path / "old.jsonl") as archive:
        scene.clean(archive=archive)
    ada.say(minutes=100 * DAY + 1)
    assert restoring.restore(tmp_path / "old.jsonl", lambda _: None).sessions == 1
    ada.say(minutes=100 * DAY + 2)
    assert sorted(session["message_count"] for session in live().sessions.find()) == [2, 4]


def test_a_live_call_a_queued_row_and_an_unanswered_message_keep_a_session(scene):
    scene.twilio.call()
    live().sessions.update_one({}, {"$set": {"live_until": TEN + timedelta(days=1000)}})
    waits, unanswered = ObjectId(), ObjectId()
    for session_id in (waits, unanswered):
        kind = {"communication_type": "sms", "status": "closed", "keys": [str(session_id)]}
        live().sessions.insert_one({"_id": session_id, "last_message_at": TEN, **kind})
    row = {"_id": "a", "step": "send", "state": "waiting", "queued_at": TEN, "session_id": waits}
    live().outbox.insert_one(row)
    live().messages.insert_one({"_id": "b", "session_id": unanswered, "createdAt": TEN, "answer": {"state": "queued"}})
    before = counts()
    scene.clock.move_to(minutes=100 * DAY)
    assert scene.clean().gone.sessions == 0
    assert counts() == before


def test_a_note_that_was_no_activity_keeps_its_session(scene):
    scene.person().say()
    (session,) = live().sessions.find()
    live().messages.insert_one(
        {"_id": "copy", "session_id": session["_id"], "createdAt": TEN + timedelta(days=99), "direction": "outbound"}
    )
    scene.clock.move_to(minutes=100 * DAY)
    assert scene.clean().gone.sessions == 0


def test_links_go_around_what_is_deleted_in_the_middle(scene):
    ada = scene.person()
    for minutes in (0, 60, 120):
        ada.say(minutes=minutes)
    first, middle, last = live().sessions.find().sort("first_message_at", 1)
    live().sessions.update_one({"_id": first["_id"]}, {"$set": {"last_message_at": TEN + timedelta(days=100)}})
    live().sessions.update_one({"_id": last["_id"]}, {"$set": {"last_message_at": TEN + timedelta(days=100)}})
    scene.clock.move_to(minutes=100 * DAY)
    assert scene.clean().gone.sessions == 1
    assert live().sessions.find_one({"_id": last["_id"]})["previous_session_id"] == first["_id"]
    assert live().sessions.find_one({"_id": middle["_id"]}) is None


# A message that arrives at each moment of a cleanup, itself stopped at each step of its own.
MOMENTS = [(retention, "close"), (retention, "retire"), (retention, "retired"), (removal, "delete_messages")]


@pytest.mark.parametrize("threshold", [300, "never"])
@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment[1])
def test_a_message_that_arrives_during_a_cleanup_is_kept(make_app, clock, monkeypatch, moment, threshold):
    app = make_app(reply={"responder": "none"}, sessions={"idle_seconds": threshold})
    ada = Person(Twilio(app.test_client()), clock, "sms")
    ada.say(sid="A" * 34)
    clock.move_to(minutes=100 * DAY)
    module, name = moment
    real = getattr(module, name)

    def arriving(*args, **kwargs):
        if live().messages.find_one({"_id": "B" * 34}) is None:
            ada.say(minutes=100 * DAY, sid="B" * 34)
        return real(*args, **kwargs)

    monkeypatch.setattr(module, name, arriving)
    bound = clock.now() - NINETY
    cleaning.clean(app.extensions["gateway"], Order(bound, wait=clock.tick))
    assert live().messages.find_one({"_id": "B" * 34})
    assert live().sessions.count_documents({"retired": {"$exists": True}}) == 0
    _assert_sessions_are_right()
    ada.say(minutes=100 * DAY + 1, sid="C" * 34)
    _assert_sessions_are_right()


@pytest.mark.parametrize("dies", [False, True], ids=["goes on", "dies"])
@pytest.mark.parametrize("step", [(finding, "find_neighbours"), (messages, "insert"), (sessions, "touch")])
def test_a_cleanup_in_the_midst_of_a_message_loses_neither_message_nor_session(
    make_app, clock, monkeypatch, step, dies
):
    """The finder has found the old session; now a whole cleanup passes before it does its next step."""
    app = make_app(reply={"responder": "none"}, sessions={"idle_seconds": "never"})
    ada, runtime = Person(Twilio(app.test_client()), clock, "sms"), app.extensions["gateway"]
    ada.say(sid="A" * 34)
    clock.move_to(minutes=100 * DAY)
    module, name = step
    real, passed = getattr(module, name), []

    class Killed(BaseException):
        pass

    def meanwhile(*args, **kwargs):
        done = real(*args, **kwargs) if name != "touch" else None
        if not passed:
            passed.append(True)
            # Hidden while the message is on its way; the rest comes when it has arrived, or never will.
            for page in retention.old(clock.now() - NINETY):
                retention.close(page, clock.now() - NINETY, clock.now())
                retention.retire(page, clock.now(), bound=clock.now() - NINETY)
            if dies:
                raise Killed
        return real(*args, **kwargs) if name == "touch" else done

    monkeypatch.setattr(module, name, meanwhile)
    with contextlib.suppress(Killed):
        ada.say(minutes=100 * DAY, sid="B" * 34)
    stored = live().messages.find_one({"_id": "B" * 34})
    assert passed
    assert stored or (dies and name == "find_neighbours")
    cleaning.clean(runtime, Order(TEN + timedelta(days=10), wait=clock.tick))
    if stored:
        session = live().sessions.find_one({"_id": live().messages.find_one({"_id": "B" * 34})["session_id"]})
        assert session["message_count"] == live().messages.count_documents({"session_id": session["_id"]})
    assert live().sessions.count_documents({"retired": {"$exists": True}}) == 0
    ada.say(minutes=100 * DAY + 1, sid="C" * 34)
    _assert_sessions_are_right()


def test_what_is_stored_by_a_calls_id_after_the_look_brings_its_session_back(scene, monkeypatch):
    """A recording finds its session by the call, not by the sender, so hiding does not keep it away."""
    scene.person().say()
    (session,) = live().sessions.find()
    scene.clock.move_to(minutes=100 * DAY)
    real = removal.delete_messages

    def meanwhile(ids):
        live().messages.insert_one(
            {"_id": "RE1", "session_id": session["_id"], "createdAt": scene.clock.now(), "direction": "inbound"}
        )
        return real(ids)

    monkeypatch.setattr(removal, "delete_messages", meanwhile)
    scene.clean()
    monkeypatch.undo()
    back = live().sessions.find_one({"_id": session["_id"]})
    assert back["message_count"] == 1
    assert back["keys"] == session["keys"]
    assert "retired" not in back


STEPS = [
    (retention, "close", "after"),
    (retention, "retire", "after"),
    (archives.Archive, "commit", "before"),
    (archives.Archive, "commit", "after"),
    (retention, "link_around", "after"),
    (removal, "delete_files", "after"),
    (removal, "delete_messages", "after"),
    (retention, "emptied", "before"),
    (retention, "emptied", "after"),
    (retention, "drop", "after"),
]


@pytest.mark.parametrize("name", ["old.jsonl", "old.jsonl.gz"])
@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"{step[2]} {step[1]}")
def test_a_second_run_completes_what_kill_9_left_and_the_archive_has_all_of_it(scene, clock, tmp_path, step, name):
    talk(scene)
    scene.clock.move_to(minutes=100 * DAY + 10)
    upkeep.sweep(scene.worker.runtime)
    before, path, settings = dump(), tmp_path / name, scene.worker.runtime.settings

    def clean(_app):
        connection.connect(settings)
        with Archive(path) as archive:
            scene.clean(archive=archive)

    assert _in_a_process_that_dies(lambda: None, step, clean)
    connection.connect(settings)
    clock.tick(2 * emptying.LEASE.total_seconds())
    clean(None)
    assert counts() == {"sessions": 1, "messages": 2, "media.files": 0, "media.chunks": 0}
    _assert_sessions_are_right()
    restoring.restore(path, lambda _: None)
    assert dump() == before


def test_settling_is_not_confused_by_a_session_that_is_half_gone(scene, monkeypatch):
    """Messages that were filled in lately are old and yet looked at by the settle pass."""
    scene.person().say()
    scene.clock.move_to(minutes=100 * DAY)
    live().messages.update_many({}, {"$set": {"storedAt": scene.clock.now() - timedelta(minutes=1)}})
    real, counted = removal.delete_messages, []

    def meanwhile(ids):
        real(ids[:1])
        upkeep.settle(scene.worker.runtime)
        counted.append(live().sessions.find_one()["message_count"])
        return real(ids)

    monkeypatch.setattr(removal, "delete_messages", meanwhile)
    scene.clean()
    upkeep.settle(scene.worker.runtime)
    assert counted == [2]
    assert counts()["messages"] == counts()["sessions"] == 0


def test_a_new_message_beats_closing_and_hiding(scene):
    ada = scene.person()
    ada.say()
    bound, seen = TEN + timedelta(minutes=2), [row["_id"] for row in live().sessions.find()]
    ada.say(minutes=3)
    before = dump()
    assert retention.close(seen, bound, scene.clock.now()) == 0
    assert retention.retire(seen, scene.clock.now(), bound=bound) == 0
    assert dump() == before
    idle = {"$set": {"status": "closed", "closed_reason": "idle"}, "$unset": {"open_keys": ""}}
    live().sessions.update_many({}, idle)
    assert retention.retire(seen, scene.clock.now(), bound=bound) == 0


def test_a_full_disk_deletes_nothing_and_says_so(scene, monkeypatch, tmp_path):
    talk(scene)
    before = dump()

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    with Archive(tmp_path / "old.jsonl") as archive:
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(ArchiveFailed, match=r"No space left on device\. Nothing was deleted that is not in it"):
            scene.clean(archive=archive)
    monkeypatch.undo()
    left = dump()
    assert {name: set(rows) for name, rows in left.items()} == {name: set(rows) for name, rows in before.items()}
    assert left["messages"] == before["messages"]
    assert live().sessions.count_documents({"retired": {"$exists": True}}) == 0


def test_a_file_that_is_no_archive_is_left_alone(tmp_path):
    for content in (b"my letters\n", b'{"session": {}}\n'):
        for name in ("mine.txt", "mine.gz"):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(ArchiveFailed, match="is not an archive of the gateway"):
                Archive(tmp_path / name)
            assert (tmp_path / name).read_bytes() == content


@pytest.mark.parametrize("name", ["old.jsonl", "old.jsonl.gz"])
def test_a_cut_off_archive_is_continued_where_it_was_whole(tmp_path, name):
    path = tmp_path / name
    for number in range(3):
        with Archive(path) as archive:
            archive.add("message", {"_id": f"M{number}", "content": "x" * 1000})
            archive.commit()
    whole = path.read_bytes()
    for cut in range(len(whole) - 30, len(whole), 3):
        path.write_bytes(whole[:cut])
        with Archive(path) as archive:
            assert archive.has("M1")
            assert not archive.has("M2")
            archive.add("message", {"_id": "M3"})
            archive.commit()
        read = [archives.read(line) for line, _ in archives.lines(path)]
        assert [value["message"]["_id"] for value in read if "message" in value] == ["M0", "M1", "M3"]


def test_only_one_process_cleans_at_a_time_and_hourly_means_once(scene):
    talk(scene)
    runtime = scene.worker.runtime
    with emptying.held(runtime), pytest.raises(Busy):
        scene.clean()
    kept = runtime.settings.retention.model_copy(update={"days": 90})
    runtime = dataclasses.replace(runtime, settings=runtime.settings.model_copy(update={"retention": kept}))
    cleaning.clean_by_settings(runtime, scene.clock.tick)
    assert counts()["sessions"] == 1
    live().sessions.update_many({}, {"$set": {"last_message_at": TEN}})
    live().messages.update_many({}, {"$set": {"createdAt": TEN}})
    cleaning.clean_by_settings(runtime, scene.clock.tick)
    assert counts()["sessions"] == 1
    scene.clock.tick(3600)
    cleaning.clean_by_settings(runtime, scene.clock.tick)
    assert counts()["sessions"] == 0


def test_by_default_nothing_is_deleted(scene):
    talk(scene)
    before = dump()
    cleaning.clean_by_settings(scene.worker.runtime, scene.clock.tick)
    assert dump() == before


def test_texts_and_files_are_taken_out_of_twilio_first(scene):
    talk(scene)
    files = set(scene.provider.files)
    scene.clean(at_twilio=True)
    redacted = [one.path for one in scene.provider.asked("POST", "/Messages/")]
    assert len(redacted) == 3
    assert all(one.form == {"Body": [""]} for one in scene.provider.asked("POST", "/Messages/"))
    assert set(scene.provider.deleted) == files


def test_what_twilio_does_not_redact_stays_here_until_it_does(scene):
    for number in (1, 2):
        scene.person(f"+1555867531{number}").say()
    scene.clock.move_to(minutes=100 * DAY)
    scene.provider.faults.append(Fault(status=400, code=20009, on="redact"))
    done = scene.clean(at_twilio=True)
    assert (done.gone.sessions, done.not_redacted) == (1, 1)
    _assert_sessions_are_right()
    assert scene.clean(at_twilio=True).gone.sessions == 1


def test_a_twilio_that_refuses_everything_stops_the_cleanup_and_everything_stays(scene):
    talk(scene)
    before = counts()
    scene.provider.faults.extend(Fault(status=403, code=20003, on="redact") for _ in range(9))
    with pytest.raises(TwilioRefuses, match="Nothing was deleted"):
        scene.clean(at_twilio=True)
    assert counts() == before
    assert live().sessions.count_documents({"retired": {"$exists": True}}) == 0


def test_many_messages_go_in_batches_and_little_memory(scene, tmp_path):
    rows = [(ObjectId(), number) for number in range(600)]
    live().sessions.insert_many(
        {
            "_id": one, "communication_type": "sms", "status": "closed", "closed_reason": "idle",
            "keys": [f"k{number}"], "slot": f"k{number}||", "message_count": 10,
            "first_message_at": TEN, "last_message_at": TEN, "previous_session_id": None, "createdAt": TEN,
        }
        for one, number in rows
    )  # fmt: skip
    live().messages.insert_many(
        {"_id": f"{number}-{n}", "session_id": one, "createdAt": TEN, "direction": "inbound", "content": "x" * 8000}
        for one, number in rows
        for n in range(10)
    )
    scene.clock.move_to(minutes=100 * DAY)
    steps = []
    tracemalloc.start()
    with Archive(tmp_path / "old.jsonl.gz") as archive:
        done = scene.clean(archive=archive, progress=lambda gone: steps.append(gone.sessions))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert done.gone.messages == 6_000
    assert steps == list(range(200, 601, 200))
    assert counts()["messages"] == counts()["sessions"] == 0
    assert peak < 20_000_000  # 48 MB of texts passed by
