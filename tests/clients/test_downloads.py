"""Fetching and deleting files, and to whom the credentials are shown."""

import base64
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from gateway.core.fetching import Fetched, MediaFailed, MediaNotThere, MediaRefused
from tests.clients.conftest import HASTY
from tests.stand_ins.twilio import ACCOUNT, TOKEN, Fault, File, TwilioStandIn

PHOTO = f"/2010-04-01/Accounts/{ACCOUNT}/Messages/MM1/Media/ME1"
RECORDING = f"/2010-04-01/Accounts/{ACCOUNT}/Recordings/RE1"
AT_TWILIO = "https://api.twilio.com"
LOGIN = "Basic " + base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()


@pytest.fixture
def elsewhere() -> Iterator[TwilioStandIn]:
    """Another server, on another port: the storage, or somebody who would like our credentials."""
    with TwilioStandIn() as server:
        yield server


def refused(client, url, **given):
    with pytest.raises(MediaRefused) as caught:
        client(**given).fetch(url)
    assert str(caught.value)
    return caught.value.reason


# ---------------------------------------------------------------- fetching


@pytest.mark.parametrize("path", [PHOTO, RECORDING, f"{RECORDING}.mp3",
                                  PHOTO.replace("Messages/MM1/Media/ME1", "Calls/CA1/Recordings/RE1")])  # fmt: skip
@pytest.mark.parametrize("host", [AT_TWILIO, "https://API.twilio.com", f"{AT_TWILIO}:443", ""])
def test_a_file_is_fetched_with_the_credentials(stand_in, client, host, path):
    stand_in.files[path] = File(b"content")
    assert client().fetch((host or stand_in.url) + path) == Fetched("image/png", b"content")
    [request] = stand_in.requests
    assert (request.path, request.authorization) == (path, LOGIN)


def test_no_credentials_arrive_where_a_redirect_leads(stand_in, elsewhere, client):
    stand_in.files[PHOTO] = File(location=f"{elsewhere.url}/files/ME1")
    elsewhere.files["/files/ME1"] = File(b"content")
    assert client().fetch(AT_TWILIO + PHOTO).content == b"content"
    [first], [second] = stand_in.requests, elsewhere.requests
    assert first.authorization == LOGIN
    assert second.authorization == ""


def test_no_credentials_of_netrc_arrive_either(stand_in, elsewhere, client, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    stand_in.files[PHOTO] = File(location=f"{elsewhere.url}/files/ME1")
    elsewhere.files["/files/ME1"] = File()
    client().fetch(AT_TWILIO + PHOTO)
    assert elsewhere.requests[0].authorization == ""


def test_no_credentials_arrive_on_the_way_back_to_the_first_host(stand_in, client):
    stand_in.files[PHOTO] = File(location="/files/ME1")
    stand_in.files["/files/ME1"] = File()
    client().fetch(AT_TWILIO + PHOTO)
    assert [request.authorization for request in stand_in.requests] == [LOGIN, ""]


@pytest.mark.parametrize("hops", [4, 5])
def test_four_redirects_are_followed_and_no_fifth(stand_in, client, hops):
    stand_in.files[PHOTO] = File(location="/files/1")
    for hop in range(1, hops):
        stand_in.files[f"/files/{hop}"] = File(location=f"/files/{hop + 1}")
    stand_in.files[f"/files/{hops}"] = File(b"content")
    if hops == 4:
        assert client().fetch(AT_TWILIO + PHOTO).content == b"content"
    else:
        with pytest.raises(MediaFailed):
            client().fetch(AT_TWILIO + PHOTO)
        assert len(stand_in.requests) == 5


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/1",
        "https://twilio.com.evil.example/1",
        "https://eviltwilio.com/1",
        "http://media.twiliocdn.com/1",
        "https://somebody@media.twiliocdn.com/1",
        "ftp://media.twilio.com/1",
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data",
    ],
)
def test_a_redirect_to_a_foreign_host_is_refused(stand_in, client, target):
    stand_in.files[PHOTO] = File(location=target)
    assert refused(client, AT_TWILIO + PHOTO) == "host"


def test_this_host_is_storage_only_beside_a_stand_in(stand_in, elsewhere, client, monkeypatch):
    monkeypatch.setattr("gateway.clients.downloads.API", stand_in.url)
    stand_in.files[PHOTO] = File(location=f"{elsewhere.url}/files/ME1")
    assert refused(client, stand_in.url + PHOTO, twilio={"api_base_url": ""}) == "host"
    assert elsewhere.requests == []


def test_beside_a_region_of_twilios_this_host_is_no_storage(client):
    downloads = client(twilio={"api_base_url": "https://api.dublin.ie1.twilio.com"})._downloads
    assert not downloads._is_storage(urlsplit("https://127.0.0.1/1"))
    assert downloads._is_storage(urlsplit("https://media.twiliocdn.com/1"))


def test_a_foreign_host_gets_no_request_at_all(elsewhere, client):
    elsewhere.files[PHOTO] = File()
    assert refused(client, elsewhere.url + PHOTO) == "host"
    assert elsewhere.requests == []


@pytest.mark.parametrize(
    "url",
    [
        f"http://api.twilio.com{PHOTO}",
        f"https://api.twilio.com:8443{PHOTO}",
        f"https://api.twilio.com.evil.example{PHOTO}",
        f"https://evil.example\\@api.twilio.com{PHOTO}",
        f"https://evil.example@api.twilio.com{PHOTO}",
        f"https://api.twilio.com@evil.example{PHOTO}",
        f"https://api.twilio.com\\@evil.example{PHOTO}",
        f"//api.twilio.com{PHOTO}",
        f"https://api.twilio.com:port{PHOTO}",
        "https://[::1",
        PHOTO,
        "",
    ],
)
def test_an_address_that_is_not_twilios_is_refused(stand_in, client, url):
    assert refused(client, url) == "host"
    assert stand_in.requests == []


@pytest.mark.parametrize(
    "path",
    [
        f"/2010-04-01/Accounts/{ACCOUNT}.json",
        f"/2010-04-01/Accounts/{ACCOUNT}/Messages/MM1",
        f"{PHOTO}.json",
        f"{PHOTO}/../../../../Keys",
        f"{PHOTO}%2F..",
        f"{RECORDING}.json",
        "/",
    ],
)
def test_only_paths_of_files_are_asked_for(stand_in, client, path):
    assert refused(client, AT_TWILIO + path) == "path"
    with pytest.raises(MediaRefused):
        client().delete(AT_TWILIO + path)
    assert stand_in.requests == []


# ---------------------------------------------------------------- size, type, name


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize(("size", "fits"), [(5000, True), (5001, False)])
def test_a_file_is_taken_up_to_its_limit(stand_in, client, chunked, size, fits):
    stand_in.files[PHOTO] = File(b"x" * size, chunked=chunked)
    if fits:
        assert len(client(media={"max_bytes": 5000}).fetch(AT_TWILIO + PHOTO).content) == size
    else:
        assert refused(client, AT_TWILIO + PHOTO, media={"max_bytes": 5000}) == "too_large"


def test_an_endless_file_is_given_up_at_its_limit(stand_in, client):
    stand_in.files[PHOTO] = File(b"x" * 2_000_000, chunked=True, pause=0.01)
    began = time.monotonic()
    assert refused(client, AT_TWILIO + PHOTO, media={"max_bytes": 5000}) == "too_large"
    assert time.monotonic() - began < 2


def test_a_file_that_drips_is_given_up_in_time(stand_in, client):
    stand_in.files[PHOTO] = File(b"x" * 60_000, chunked=True, pause=0.1)
    began = time.monotonic()
    with pytest.raises(MediaFailed):
        client(outbox={"lease_seconds": 1}, twilio={"timeout_seconds": 0.5}).fetch(AT_TWILIO + PHOTO)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("content_type", "taken"),
    [
        ("image/jpeg", "image/jpeg"),
        ("Image/JPEG", "image/jpeg"),
        ("text/vcard; charset=utf-8", "text/vcard"),
        ("audio/x-wav", "audio/x-wav"),
        ("text/html", None),
        ("font/woff", None),
        ("", None),
    ],
)
def test_only_the_settings_types_are_taken(stand_in, client, content_type, taken):
    stand_in.files[PHOTO] = File(b"content", content_type)
    if taken:
        assert client().fetch(AT_TWILIO + PHOTO).content_type == taken
    else:
        assert refused(client, AT_TWILIO + PHOTO) == "type"


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ("", None),
        ("inline", None),
        ('attachment; filename="holiday.jpg"', "holiday.jpg"),
        ('inline; filename="../../etc/passwd"', "passwd"),
        ('inline; filename="C:\\\\temp\\\\a.png"', "a.png"),
        ("attachment; filename*=UTF-8''Gr%C3%BC%C3%9Fe%0A.txt", "Grüße.txt"),
        ('inline; filename=""', None),
        (f'inline; filename="{"a" * 300}"', "a" * 150),
    ],
)
def test_the_name_of_a_file(stand_in, client, disposition, name):
    stand_in.files[PHOTO] = File(disposition=disposition)
    assert client().fetch(AT_TWILIO + PHOTO).filename == name


# ---------------------------------------------------------------- failures


def test_a_file_that_is_not_there_may_come_later(stand_in, client):
    with pytest.raises(MediaNotThere):
        client().fetch(AT_TWILIO + RECORDING)


@pytest.mark.parametrize(
    "fault", [Fault(on="media", status=500), Fault(on="media", wait=1), Fault(on="media", reset=True)], ids=str
)
def test_what_fails_may_be_tried_again(stand_in, client, fault):
    stand_in.files[PHOTO] = File()
    stand_in.faults.append(fault)
    with pytest.raises(MediaFailed):
        client(twilio=HASTY if fault.wait else {}).fetch(AT_TWILIO + PHOTO)
    assert client().fetch(AT_TWILIO + PHOTO)


def test_without_a_connection_a_file_may_be_tried_again(client):
    unreachable = client(twilio={"api_base_url": "http://127.0.0.1:1"})
    for ask in (unreachable.fetch, unreachable.delete):
        with pytest.raises(MediaFailed):
            ask(AT_TWILIO + PHOTO)


def test_the_next_token_fetches(stand_in, client):
    stand_in.files[PHOTO] = File(b"content")
    assert client(twilio_auth_token=["old", TOKEN]).fetch(AT_TWILIO + PHOTO).content == b"content"


def test_no_valid_token_is_no_file(stand_in, client):
    stand_in.files[PHOTO] = File(b"content")
    with pytest.raises(MediaFailed, match="401"):
        client(twilio_auth_token=["old"]).fetch(AT_TWILIO + PHOTO)
    with pytest.raises(MediaFailed, match="TWILIO_AUTH_TOKEN"):
        client(twilio_auth_token=[]).fetch(AT_TWILIO + PHOTO)


# ---------------------------------------------------------------- deleting


@pytest.mark.parametrize("path", [PHOTO, RECORDING])
def test_a_file_is_deleted_once(stand_in, client, path):
    stand_in.files[path] = File()
    client().delete(AT_TWILIO + path)
    client().delete(AT_TWILIO + path)
    assert stand_in.deleted == [path]
    assert stand_in.requests[0].authorization == LOGIN


def test_a_recording_is_deleted_under_its_own_name(stand_in, client):
    stand_in.files[RECORDING] = File()
    client().delete(f"{AT_TWILIO}{RECORDING}.mp3")
    assert stand_in.deleted == [RECORDING]


@pytest.mark.parametrize("fault", [Fault(on="media", status=500), Fault(on="media", reset=True)], ids=str)
def test_a_deletion_that_fails_says_so(stand_in, client, fault):
    stand_in.files[PHOTO] = File()
    stand_in.faults.append(fault)
    with pytest.raises(MediaFailed):
        client().delete(AT_TWILIO + PHOTO)


def test_a_foreign_host_is_not_asked_to_delete(elsewhere, client):
    with pytest.raises(MediaRefused):
        client().delete(elsewhere.url + PHOTO)
    assert elsewhere.requests == []
