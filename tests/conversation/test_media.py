"""Files that people send, fetched from a stand-in over real HTTP: kept once, refused for good, never lost."""

from datetime import timedelta
from types import SimpleNamespace

import mongoengine
import pytest

from gateway import clients
from gateway.conversation import media as fetching
from gateway.conversation import upkeep
from gateway.store import media
from tests.conftest import ACCOUNT, TEN, TOKEN, Twilio, fixture
from tests.conversation.worker import Worker
from tests.stand_ins.twilio import Fault, File, TwilioStandIn

RECORDING = f"/2010-04-01/Accounts/{ACCOUNT}/Recordings/RE{'f3' * 16}"
MESSAGE = fixture("sms/mms_2media")["MessageSid"]
PHOTOS = [fixture("sms/mms_2media")[f"MediaUrl{number}"].removeprefix("https://api.twilio.com") for number in (0, 1)]


@pytest.fixture
def make_scene(make_app, clock):
    """A gateway, its worker, and a Twilio that serves files."""
    with TwilioStandIn(tokens={ACCOUNT: [TOKEN]}) as provider:

        def make(**given):
            app = make_app(twilio={"api_base_url": provider.url, "timeout_seconds": 1}, **given)
            runtime = app.extensions["gateway"]
            worker = Worker(app, clock, sender=clients.build(runtime.settings))
            twilio = Twilio(app.test_client())
            return SimpleNamespace(provider=provider, worker=worker, twilio=twilio, db=mongoengine.get_db())

        yield make


@pytest.fixture
def scene(make_scene):
    return make_scene()


def mms(scene, files, **changes):
    """Send a message with these files, which lie at Twilio under the addresses of the fixture."""
    form = fixture("sms/mms_2media")
    for number, file in enumerate(files):
        if file:
            scene.provider.files[PHOTOS[number]] = file
    for number in range(len(files), 2):
        del form[f"MediaUrl{number}"], form[f"MediaContentType{number}"]
    assert scene.twilio.post("/webhooks/sms", form | changes).status_code == 200


def voicemail(scene, *parts):
    call = fixture("voice/incoming") | {"CallSid": fixture("voice/recording")["CallSid"]}
    scene.twilio.post("/webhooks/voice", call)
    for part in parts:
        path = "transcription" if part == "transcription" else "recording"
        assert scene.twilio.post(f"/webhooks/voice/{path}", fixture(f"voice/{part}")).status_code in (200, 204)


def entries(scene, message_id=MESSAGE):
    return scene.db.messages.find_one({"_id": message_id})["media"]


def contents(message_id=MESSAGE):
    return [media.open_stored(file).read() for file in media.of(message_id).files if file.file_id]


def counted(scene):
    return scene.db["media.files"].count_documents({}), len(scene.db["media.chunks"].distinct("files_id"))


def row(scene, step="fetch"):
    return scene.db.outbox.find_one({"step": step})


def test_files_are_fetched_by_the_worker_and_kept(scene):
    mms(
        scene, [File(b"photo", "image/png", disposition='inline; filename="cat.png"'), File(b"%PDF", "application/pdf")]
    )
    assert not scene.provider.requests
    scene.worker.run()
    assert contents() == [b"photo", b"%PDF"]
    first, second = entries(scene)
    # What came, not what was announced.
    assert (first["content_type"], first["size"], first["filename"]) == ("image/png", 5, "cat.png")
    assert first["url"] == f"https://api.twilio.com{PHOTOS[0]}"
    assert (second["content_type"], second["stored"]) == ("application/pdf", True)
    assert row(scene)["state"] == "done"
    assert scene.worker.run(after=3600) == 0
    assert scene.provider.deleted == []


def test_a_redelivered_message_fetches_nothing_again(scene):
    for _ in range(2):
        mms(scene, [File()])
        scene.worker.run()
    assert len(scene.provider.requests) == 1
    assert counted(scene) == (1, 1)


def test_a_crash_between_storing_and_noting_leaves_one_file(scene, monkeypatch):
    mms(scene, [File(b"one"), File(b"two", "image/png")])
    noting = media._note

    def crash(*_):
        monkeypatch.setattr(media, "_note", noting)
        raise SystemExit

    monkeypatch.setattr(media, "_note", crash)
    with pytest.raises(SystemExit):
        scene.worker.run()
    assert counted(scene) == (1, 1)
    assert scene.worker.run(after=59) == 0
    scene.worker.run(after=2)  # the lease has ended
    assert contents() == [b"one", b"two"]
    assert counted(scene) == (2, 2)


def test_a_crash_repeats_one_file_at_most(scene, monkeypatch):
    mms(scene, [File(b"one"), File(b"two", "image/png")])
    keep = media.keep

    def crash_at_second(file, fetched):
        if file.number:
            raise SystemExit
        return keep(file, fetched)

    monkeypatch.setattr(media, "keep", crash_at_second)
    with pytest.raises(SystemExit):
        scene.worker.run()
    monkeypatch.setattr(media, "keep", keep)
    scene.worker.run(after=61)
    assert contents() == [b"one", b"two"]
    assert [len(scene.provider.asked("GET", photo)) for photo in PHOTOS] == [1, 2]


def test_a_message_whose_writer_died_before_queueing_is_found(scene):
    mms(scene, [File(b"photo")])
    scene.db.outbox.delete_many({})
    scene.worker.clock.tick(10)
    upkeep.settle(scene.worker.runtime)
    upkeep.settle(scene.worker.runtime)
    assert scene.db.outbox.count_documents({}) == 1
    scene.worker.run()
    assert contents() == [b"photo"]


# ---------------------------------------------------------------- not there, not now


def test_a_file_that_is_not_there_is_asked_for_after_1_and_3_seconds(scene):
    mms(scene, [None])
    assert scene.worker.run() == 1
    assert scene.worker.run(after=0.999) == 0
    assert scene.worker.run(after=0.001) == 1
    scene.provider.files[PHOTOS[0]] = File(b"late")
    assert scene.worker.run(after=2.999) == 0
    assert scene.worker.run(after=0.001) == 1
    assert contents() == [b"late"]


def test_a_file_that_never_comes_is_refused_and_its_neighbour_kept(scene):
    mms(scene, [None, File(b"there")])
    for _ in range(5):
        scene.worker.run(after=10)
    assert len(scene.provider.asked("GET", PHOTOS[0])) == 3
    assert len(scene.provider.asked("GET", PHOTOS[1])) == 1
    assert entries(scene)[0]["refused"] == "not_there"
    assert contents() == [b"there"]
    assert row(scene)["state"] == "done"


def test_a_recording_may_take_minutes(scene):
    voicemail(scene, "recording")
    for _ in range(4):
        scene.worker.run(after=40)
    assert row(scene)["state"] == "waiting"
    scene.provider.files[f"{RECORDING}.mp3"] = File(b"ID3", "audio/mpeg")
    scene.worker.run(after=400)
    assert contents(RECORDING.rpartition("/")[2]) == [b"ID3"]


def test_what_fails_is_tried_again_ever_later_and_given_up_in_the_end(make_scene):
    scene = make_scene(outbox={"max_tries": 3})
    mms(scene, [File()])
    scene.provider.faults.extend([Fault(500, on="media")] * 9)
    tried = [scene.worker.run()]
    tried += [scene.worker.run(after=0.9), scene.worker.run(after=2.1), scene.worker.run(after=1.9)]
    assert tried == [1, 0, 1, 0]
    scene.worker.run(after=600)
    assert len(scene.provider.requests) == 3
    (entry,) = entries(scene)
    assert (entry["refused"], entry["reason"]) == ("failed", "Twilio answered 500 instead of the file.")
    assert scene.db.outbox.count_documents({"state": "waiting"}) == 0


def test_a_row_that_only_ever_crashed_its_workers_is_given_up_with_a_reason(make_scene, monkeypatch):
    scene = make_scene(outbox={"max_tries": 1})
    mms(scene, [File()])

    def broken(_message_id):
        raise RuntimeError("a defect")

    with monkeypatch.context() as patched:
        patched.setattr(media, "of", broken)
        scene.worker.run()
    scene.worker.run(after=600)
    assert entries(scene)[0]["refused"] == "failed"
    assert "gave up after 1 tries" in entries(scene)[0]["reason"]
    assert row(scene)["state"] == "failed"


# ---------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (File(b"x" * 101), "too_large"),
        (File(b"x" * 101, chunked=True), "too_large"),
        (File(b"<html>", "text/html"), "type"),
        (File(location="https://files.example.net/photo"), "host"),
    ],
    ids=["announced", "unannounced", "type", "redirect"],
)
def test_what_we_do_not_take_is_refused_once_and_for_good(make_scene, file, why):
    scene = make_scene(media={"max_bytes": 100})
    mms(scene, [file, File(b"%PDF", "application/pdf")])
    scene.worker.run()
    refused, kept = entries(scene)
    assert refused["refused"] == why
    assert refused["reason"].endswith(".")
    assert "stored" not in refused
    assert kept["stored"]
    assert row(scene)["state"] == "done"
    assert scene.worker.run(after=3600) == 0
    assert len(scene.provider.asked("GET", PHOTOS[0])) == 1
    assert counted(scene) == (1, 1)


@pytest.mark.parametrize("keep", ["gridfs", "twilio"])
def test_a_foreign_host_gets_no_request_and_no_second_try(make_scene, keep):
    scene = make_scene(media={"keep": keep, "delete_at_twilio": True})
    with TwilioStandIn() as stranger:
        mms(scene, [File()], MediaUrl0=f"{stranger.url}{PHOTOS[0]}")
        scene.worker.run()
        scene.worker.run(after=3600)
        if keep == "twilio":
            with pytest.raises(fetching.MediaRefused):
                fetching.read(scene.worker.runtime, MESSAGE, 0)
        else:
            assert entries(scene)[0]["refused"] == "host"
        assert stranger.requests == scene.provider.requests == []


def test_an_unsigned_message_fetches_nothing(scene):
    client = scene.twilio.client
    assert client.post("/webhooks/sms", data=fixture("sms/mms_2media")).status_code == 403
    scene.worker.run(after=3600)
    assert scene.provider.requests == []
    assert scene.db.outbox.count_documents({}) == 0


# ---------------------------------------------------------------- recordings


def test_a_recording_is_kept_as_mp3_once_however_often_it_is_told_of(scene):
    scene.provider.files[f"{RECORDING}.mp3"] = File(b"ID3", "audio/mpeg")
    voicemail(scene, "recording")
    scene.worker.run()
    voicemail(scene, "recording_status", "transcription", "recording")
    scene.worker.run()
    (entry,) = entries(scene, RECORDING.rpartition("/")[2])
    assert (entry["stored"], entry["content_type"], entry["duration_seconds"]) == (True, "audio/mpeg", 21)
    assert [request.path for request in scene.provider.requests] == [f"{RECORDING}.mp3"]
    assert counted(scene) == (1, 1)


def test_a_recording_still_in_progress_is_not_asked_for(scene):
    call = fixture("voice/incoming") | {"CallSid": fixture("voice/recording")["CallSid"]}
    scene.twilio.post("/webhooks/voice", call)
    scene.twilio.post(
        "/webhooks/voice/recording", fixture("voice/recording_status") | {"RecordingStatus": "in-progress"}
    )
    scene.worker.clock.tick(10)
    upkeep.settle(scene.worker.runtime)
    scene.worker.run()
    assert scene.provider.requests == []
    scene.provider.files[f"{RECORDING}.mp3"] = File(b"ID3", "audio/mpeg")
    scene.twilio.post("/webhooks/voice/recording", fixture("voice/recording_status"))
    scene.worker.run()
    assert contents(RECORDING.rpartition("/")[2]) == [b"ID3"]


# ---------------------------------------------------------------- left at Twilio, deleted at Twilio


def test_files_that_stay_at_twilio_are_fetched_when_somebody_looks(make_scene):
    scene = make_scene(media={"keep": "twilio", "delete_at_twilio": True})
    mms(scene, [File(b"photo")])
    scene.worker.run(after=3600)
    assert scene.provider.requests == []
    opened = fetching.read(scene.worker.runtime, MESSAGE, 0)
    assert (opened.content_type, opened.size, opened.stream.read()) == ("image/png", 5, b"photo")
    assert counted(scene) == (0, 0)
    assert scene.provider.deleted == []


def test_files_are_deleted_at_twilio_once_all_are_settled(make_scene):
    scene = make_scene(media={"delete_at_twilio": True})
    mms(scene, [File(b"photo"), None])
    scene.worker.run()
    assert scene.provider.deleted == []
    for _ in range(3):
        scene.worker.run(after=5)
    assert scene.provider.deleted == [PHOTOS[0]]
    assert not scene.provider.asked("DELETE", PHOTOS[1])
    assert contents() == [b"photo"]
    assert entries(scene)[0]["deleted_at_twilio"] is True


def test_a_deletion_that_fails_is_tried_again_and_never_costs_the_file(make_scene):
    scene = make_scene(media={"delete_at_twilio": True}, outbox={"max_tries": 3})
    mms(scene, [File(b"photo")])
    # The first is the download's, which succeeds.
    scene.provider.faults.extend([Fault(on="media"), *[Fault(503, on="media")] * 2])
    scene.worker.run()
    assert row(scene, "fetch")["state"] == "done"
    assert row(scene, "delete")["state"] == "waiting"
    scene.worker.run(after=10)
    scene.worker.run(after=20)
    assert len(scene.provider.asked("DELETE")) == 3
    assert scene.provider.deleted == [PHOTOS[0]]
    assert contents() == [b"photo"]
    assert row(scene, "delete")["state"] == "done"


def test_a_deletion_that_never_succeeds_leaves_the_file_in_both_places(make_scene):
    scene = make_scene(media={"delete_at_twilio": True}, outbox={"max_tries": 2})
    mms(scene, [File(b"photo")])
    scene.provider.faults.extend([Fault(on="media"), *[Fault(500, on="media")] * 9])
    for _ in range(4):
        scene.worker.run(after=30)
    assert len(scene.provider.asked("DELETE")) == 2
    assert row(scene, "delete")["state"] == "failed"
    assert contents() == [b"photo"]
    assert "deleted_at_twilio" not in entries(scene)[0]


def test_a_recording_is_not_deleted_before_its_transcription_can_have_come(make_scene):
    scene = make_scene(media={"delete_at_twilio": True})
    scene.provider.files |= {f"{RECORDING}.mp3": File(b"ID3", "audio/mpeg"), RECORDING: File()}
    voicemail(scene, "recording")
    scene.worker.run()
    assert row(scene, "delete")["due"] == TEN + timedelta(hours=1)
    assert scene.worker.run(after=3599) == 0
    assert scene.worker.run(after=1) == 1
    assert scene.provider.deleted == [RECORDING]


def test_a_recording_that_is_not_transcribed_is_deleted_at_once(make_scene):
    scene = make_scene(media={"delete_at_twilio": True}, voice={"transcribe": False})
    scene.provider.files |= {f"{RECORDING}.mp3": File(b"ID3", "audio/mpeg"), RECORDING: File()}
    voicemail(scene, "recording")
    scene.worker.run()
    assert scene.provider.deleted == [RECORDING]


# ---------------------------------------------------------------- what is logged


def test_logs_name_messages_and_reasons_but_no_address_and_no_number(make_scene, capfd):
    scene = make_scene()
    mms(scene, [File(b"photo"), File(b"<html>", "text/html")])
    scene.worker.run()
    lines = [line for line in capfd.readouterr().out.splitlines() if '"media_' in line]
    assert [event in line for event, line in zip(("media_stored", "media_refused"), lines, strict=True)] == [True, True]
    assert MESSAGE in lines[0]
    assert '"reason":"type"' in lines[1]
    assert "api.twilio.com" not in "".join(lines)
    assert TOKEN not in "".join(lines)
