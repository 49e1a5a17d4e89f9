"""Files in GridFS: whole or not there, one for each file of a message, whatever dies or races."""

import dataclasses
import threading

import mongoengine
import pytest

from gateway.core.errors import StoreUnavailable
from gateway.core.fetching import Fetched
from gateway.store import connection, media
from tests.conftest import TEN

URL = "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages/MM1/Media/ME"
# More than two of GridFS's pieces.
LARGE = bytes(range(256)) * 2400


@pytest.fixture(autouse=True)
def connected(make_settings):
    connection.connect(make_settings())


@pytest.fixture
def db():
    return mongoengine.get_db()


@pytest.fixture
def file(db):
    """The first file of a message that has two."""
    entries = [{"url": f"{URL}{number}", "content_type": "image/jpeg"} for number in range(2)]
    message = {"session_id": "s", "communication_type": "sms", "createdAt": TEN, "direction": "inbound"}
    db.messages.insert_one(message | {"_id": "MM1", "media": entries, "storedAt": TEN})
    return media.of("MM1").files[0]


def content(stored):
    with media.open_stored(stored) as stream:
        return stream.read()


def counted(db):
    return db["media.files"].count_documents({}), len(db["media.chunks"].distinct("files_id"))


def test_a_file_is_kept_and_its_message_names_it(db, file):
    assert media.keep(file, Fetched("image/png", LARGE, "cat.png"))
    kept, other = media.of("MM1").files
    assert content(kept) == LARGE
    assert (kept.url, kept.content_type, kept.size, kept.filename) == (f"{URL}0", "image/png", len(LARGE), "cat.png")
    assert len(kept.sha256) == 64
    assert not kept.is_open
    assert other.is_open
    assert db.messages.find_one()["media"][0]["stored"] is True


def test_a_file_is_kept_once(db, file):
    assert media.keep(file, Fetched("image/png", b"first"))
    assert not media.keep(file, Fetched("image/png", b"second"))
    assert content(media.of("MM1").files[0]) == b"first"
    assert counted(db) == (1, 1)


def test_the_files_of_a_message_are_apart(db, file):
    for number, one in enumerate(media.of("MM1").files):
        assert media.keep(one, Fetched("image/png", b"%d" % number))
    assert [content(kept) for kept in media.of("MM1").files] == [b"0", b"1"]
    assert counted(db) == (2, 2)


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "half"])
def test_what_an_attempt_left_that_died_is_swept_away(db, file, whole):
    left = "MM1/0/0000000000000000"
    db["media.chunks"].insert_one({"files_id": left, "n": 0, "data": b"old"})
    if whole:
        db["media.files"].insert_one({"_id": left, "length": 3, "chunkSize": 3, "filename": "x", "uploadDate": TEN})
    neighbour = "MM1/01/0000000000000000"
    db["media.chunks"].insert_one({"files_id": neighbour, "n": 0, "data": b"another file's"})
    assert media.keep(file, Fetched("image/png", b"new"))
    assert content(media.of("MM1").files[0]) == b"new"
    assert counted(db) == (1, 2)


def test_racing_attempts_leave_one_whole_file(db, file):
    start = threading.Barrier(8)
    kept = []

    def attempt(number):
        start.wait()
        kept.append(media.keep(file, Fetched("image/png", bytes([number]) * 600_000)))

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kept.count(True) == 1
    found = content(media.of("MM1").files[0])
    assert len(found) == 600_000
    assert len(set(found)) == 1
    assert counted(db) == (1, 1)


def test_a_file_whose_message_has_gone_is_not_kept(db, file):
    db.messages.delete_many({})
    assert not media.keep(file, Fetched("image/png", b"content"))
    assert counted(db) == (0, 0)


def test_a_stored_file_is_read_from_anywhere(file):
    media.keep(file, Fetched("image/png", LARGE))
    with media.open_stored(media.of("MM1").files[0]) as stream:
        assert stream.seekable()
        stream.seek(300_000)
        assert stream.read(500) == LARGE[300_000:300_500]
        stream.seek(10)
        assert stream.read(5) == LARGE[10:15]
        assert stream.tell() == 15


def test_a_file_that_is_not_there_is_none(file):
    assert media.open_stored(dataclasses.replace(file, file_id="MM1/0/nothing")) is None


def test_while_mongodb_is_away_reading_says_so(file, monkeypatch):
    media.keep(file, Fetched("image/png", LARGE))
    stream = media.open_stored(media.of("MM1").files[0])
    monkeypatch.setattr(media, "READ_SECONDS", 0.000_001)
    with pytest.raises(StoreUnavailable):
        stream.read()


def test_a_refusal_is_noted_beside_the_address(db, file):
    assert media.refuse(file, "too_large", "It is larger than we take.")
    refused = media.of("MM1").files[0]
    assert (refused.url, refused.refused, refused.reason) == (f"{URL}0", "too_large", "It is larger than we take.")
    assert not refused.is_open


def test_a_stored_file_is_never_refused_afterwards(file):
    media.keep(file, Fetched("image/png", b"content"))
    assert not media.refuse(file, "failed", "late")
    assert not media.of("MM1").files[0].refused


def test_files_of_our_own_messages_are_none_of_these(db, file):
    db.messages.update_one({}, {"$set": {"direction": "outbound"}})
    assert media.of("MM1") is None
    assert media.of("MM2") is None
