"""Files that people sent, on the console: shown where that is safe, saved where it is not, and to nobody else."""

import re

import pytest
from markupsafe import escape

from gateway.core.fetching import Fetched
from gateway.store import media, users
from tests.admin.conftest import PASSWORD, Console
from tests.conftest import ACCOUNT, TEN, TOKEN, Twilio, fixture
from tests.stand_ins.twilio import Fault, File, TwilioStandIn

MESSAGE = fixture("sms/mms_2media")["MessageSid"]
PHOTO = fixture("sms/mms_2media")["MediaUrl0"].removeprefix("https://api.twilio.com")
URL = f"/admin/media/{MESSAGE}/0"
# More than two of GridFS's pieces.
LARGE = bytes(range(256)) * 2400


def keep(content_type, content=b"content", name=None, *, number=0):
    """Receive a message with two files, one of which has come."""
    assert media.keep(media.of(MESSAGE).files[number], Fetched(content_type, content, name))


@pytest.fixture
def mms(console, twilio):
    twilio.post("/webhooks/sms", fixture("sms/mms_2media"))


@pytest.fixture
def page(console, mms, session_id):
    """Show the session."""
    return lambda: console.page(f"/admin/sessions/{session_id()}")


def words(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


# ---------------------------------------------------------------- one file


@pytest.mark.parametrize(
    ("content_type", "disposition"),
    [("audio/mpeg", "inline"), ("text/html", "attachment"), ("image/svg+xml", "attachment")],
)
def test_a_file_comes_with_headers_stricter_than_a_pages(console, mms, content_type, disposition):
    keep(content_type, b"<script>alert(1)</script>", "a.html")
    answer = console.get(URL)
    assert (answer.status_code, answer.data) == (200, b"<script>alert(1)</script>")
    assert answer.mimetype == content_type
    assert answer.headers["Content-Disposition"] == f"{disposition}; filename*=UTF-8''a.html"
    assert answer.headers["Content-Length"] == "25"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert answer.headers["Cache-Control"] == "private, max-age=3600"


def test_nobody_sees_a_file_without_logging_in(visitor, twilio):
    twilio.post("/webhooks/sms", fixture("sms/mms_2media"))
    keep("image/png", b"private")
    answer = visitor.get(URL)
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/admin/login")
    assert b"private" not in answer.data


def test_what_is_not_kept_is_not_found(console, mms):
    unknown = [f"{MESSAGE}/{number}" for number in ("1", "2", "-1", "x", "99999999999999999999")]
    for path in (*unknown, f"re:{MESSAGE}/0", "CA1:0/0", "%2e%2e/0", "$ne/0"):
        answer = console.get(f"/admin/media/{path}")
        assert answer.status_code == 404, path
        assert "Log out" in answer.text
        assert answer.headers["Cache-Control"] == "no-store"


def test_a_refused_file_is_not_found(console, mms):
    media.refuse(media.of(MESSAGE).files[0], "type", "no")
    assert console.get(URL).status_code == 404


def test_a_recordings_id_with_a_colon_is_an_address_too(console, mms, db):
    message = db.messages.find_one({"_id": MESSAGE})
    db.messages.insert_one(message | {"_id": "CA1:7"})
    media.keep(media.of("CA1:7").files[0], Fetched("audio/mpeg", b"ID3"))
    assert console.get("/admin/media/CA1:7/0").data == b"ID3"


# ---------------------------------------------------------------- parts of a file


def test_players_may_jump(console, mms):
    keep("video/mp4", LARGE)
    answer = console.client.get(URL, headers={"Range": "bytes=261119-300999"})
    assert answer.status_code == 206
    assert answer.headers["Content-Range"] == f"bytes 261119-300999/{len(LARGE)}"
    assert answer.data == LARGE[261_119:301_000]
    assert answer.headers["Content-Security-Policy"].startswith("sandbox")
    assert answer.headers["Cache-Control"].startswith("private")


def test_players_are_told_that_they_may_jump(console, mms):
    keep("video/mp4", LARGE)
    answer = console.get(URL)
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.data == LARGE


def test_a_part_beyond_the_end_is_refused(console, mms):
    keep("video/mp4", b"short")
    assert console.client.get(URL, headers={"Range": "bytes=99-"}).status_code == 416


def test_a_file_the_browser_has_is_not_sent_again(console, mms):
    keep("image/png")
    tag = console.get(URL).headers["ETag"]
    answer = console.client.get(URL, headers={"If-None-Match": tag})
    assert (answer.status_code, answer.data) == (304, b"")
    assert answer.headers["Cache-Control"] == "private, max-age=3600"


def test_head_gives_the_length_alone(console, mms):
    keep("image/png")
    answer = console.client.head(URL)
    assert (answer.status_code, answer.data, answer.headers["Content-Length"]) == (200, b"", "7")


# ---------------------------------------------------------------- on the session's page


def test_an_image_is_shown_and_leads_to_the_whole_of_it(page):
    keep("image/png", name="cat.png")
    assert f'<a href="{URL}"><img src="{URL}" loading="lazy" alt="cat.png"></a>' in page()


def test_sound_is_played_on_the_page_and_only_when_asked(page):
    keep("audio/ogg")
    assert f'<audio controls preload="none" src="{URL}"></audio>' in page()


def test_a_film_is_played_on_the_page_and_only_when_asked(page):
    keep("video/mp4")
    assert f'<video controls preload="none" src="{URL}"></video>' in page()


def test_other_files_are_links_with_name_and_size(page):
    keep("image/svg+xml", LARGE, "<b>bill</b>")
    shown = page()
    assert f'href="{URL}" download>' in shown
    assert "&lt;b&gt;bill&lt;/b&gt;" in shown
    assert "614 kB" in words(shown)
    assert "<img src" not in shown.partition("</header>")[2]


def test_a_refused_file_says_why_and_is_no_link(page):
    media.refuse(media.of(MESSAGE).files[0], "too_large", "The file is larger than media.max_bytes, 9.")
    assert "Image was too large to keep. The file is larger than media.max_bytes, 9." in words(page())
    assert URL not in page()


def test_a_file_on_its_way_says_so_and_is_no_link(page):
    assert "Image is being fetched" in words(page())
    assert "PDF is being fetched" in words(page())
    assert "/admin/media/" not in page()


def test_nothing_on_the_page_is_loaded_from_twilio(page):
    keep("image/png")
    assert not re.search(r'(src|href)="https?:', page())


def test_files_we_sent_are_links_that_are_never_loaded(page, db):
    urls = {
        "https://files.example.com/card.png?a=1&b=2": True,
        "http://files.example.com/card.png": True,
        "javascript:alert(1)": False,
        "data:text/html,<script>alert(1)</script>": False,
        "https://[broken": False,
    }
    db.messages.update_one({"direction": "outbound"}, {"$set": {"media": [{"url": url} for url in urls]}})
    shown = page()
    for url, is_link in urls.items():
        written = escape(url)
        assert (f'href="{written}" rel="noreferrer noopener" target="_blank">{written}</a>' in shown) is is_link
        assert (f'href="{written}"' in shown) is is_link
        assert f">{written}</" in shown


# ---------------------------------------------------------------- files that stay at Twilio


@pytest.fixture
def at_twilio(make_app):
    """A console whose files stay at Twilio, and the Twilio they stay at."""
    with TwilioStandIn(tokens={ACCOUNT: [TOKEN]}) as provider:
        given = {"api_base_url": provider.url, "timeout_seconds": 1}
        app = make_app(twilio=given, media={"keep": "twilio", "max_bytes": 100})
        users.add("admin", PASSWORD, TEN)
        console = Console(app.test_client())
        console.log_in()
        Twilio(app.test_client()).post("/webhooks/sms", fixture("sms/mms_2media"))
        yield console, provider


def test_a_file_at_twilio_is_fetched_when_it_is_looked_at(at_twilio, session_id):
    console, provider = at_twilio
    provider.files[PHOTO] = File(b"photo", "image/png", disposition='inline; filename="cat.png"')
    assert f'<img src="{URL}"' in console.page(f"/admin/sessions/{session_id()}")
    assert provider.requests == []
    answer = console.client.get(URL, headers={"Range": "bytes=1-3"})
    assert (answer.status_code, answer.data) == (206, b"hot")
    assert answer.headers["Content-Disposition"] == "inline; filename*=UTF-8''cat.png"
    assert len(provider.requests) == 1


def test_a_file_at_twilio_that_does_not_come_says_why(at_twilio):
    console, provider = at_twilio
    refused = {
        "larger than media.max_bytes": File(b"x" * 101),
        "not in media.types": File(b"<html>", "text/html"),
        "not its own": File(location="https://files.example.net/photo"),
        "Twilio does not have the file": None,
    }
    for said, file in refused.items():
        provider.files = {PHOTO: file} if file else {}
        answer = console.get(URL)
        assert (answer.status_code, said in answer.text) == (404, True), said
        assert "api.twilio.com" not in answer.text
    provider.faults.append(Fault(500, on="media"))
    answer = console.get(URL)
    assert (answer.status_code, "Twilio answered 500" in answer.text) == (502, True)
