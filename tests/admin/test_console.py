"""What holds for every page of the console: headers, files, errors and the prefix it is mounted under."""

import re

import pytest

from gateway.core.errors import StoreUnavailable
from gateway.store import connection, listing, users
from tests.admin.conftest import PASSWORD, Console
from tests.conftest import TEN


def test_every_response_is_protected(console):
    answers = [
        console.get(path)
        for path in ("/admin/", "/admin/login", "/admin/nothing", "/admin/?cursor=x", "/admin/static/nothing")
    ]
    answers += [console.client.post("/admin/"), console.client.put("/admin/sessions/x")]
    assert [answer.status_code for answer in answers] == [200, 302, 404, 400, 404, 400, 400]
    for answer in answers:
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["Cache-Control"] == "no-store"


def test_no_page_has_a_script_or_a_style_in_itself(console, twilio, session_id):
    twilio.sms()
    for path in ("/admin/", f"/admin/sessions/{session_id()}", "/admin/nothing"):
        page = console.get(path).text
        assert not re.search(r"<script(?! src=\"/admin/static/)|<style|\sstyle=|\son\w+=", page)


def test_files_are_kept_for_as_long_as_their_address_names_their_content(visitor):
    page = visitor.page("/admin/login")
    addresses = re.findall(r'(?:href|src)="(/admin/static/[^"]+)"', page)
    assert len(addresses) >= 3
    for address in addresses:
        answer = visitor.get(address)
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert "Set-Cookie" not in answer.headers
    assert visitor.get("/admin/static/console.css?v=old").headers["Cache-Control"] == "no-cache"


def test_pico_is_shipped_with_its_licence(visitor):
    assert "Pico CSS ✨ v2.1.1" in visitor.get("/admin/static/pico.min.css").text[:120]
    assert "Licensed under MIT" in visitor.get("/admin/static/pico.min.css").text[:220]


@pytest.mark.parametrize("path", ["/admin/", "/admin/sessions/65f000000000000000000000", "/admin/login"])
def test_while_mongodb_is_away_a_page_says_so(console, monkeypatch, path):
    def away(*_args):
        raise StoreUnavailable("ServerSelectionTimeoutError: secret-host:27017")

    monkeypatch.setattr(users, "find", away)
    answer = console.get(path)
    assert answer.status_code == 503
    assert answer.content_type.startswith("text/html")
    assert "The database is away" in answer.text
    assert "secret-host" not in answer.text
    assert answer.headers["Retry-After"]
    assert "Content-Security-Policy" in answer.headers


@pytest.fixture
def spooled(app, twilio):
    """One text that came while MongoDB was away."""
    connection.breaker._reason = "away"
    twilio.sms("private words")
    connection.breaker.reset()
    return app.extensions["gateway"].spool


def shown(page):
    return " ".join(page.split())


def test_what_waits_in_the_spool_is_told_to_operators_on_every_page(console, app, spooled):
    for path in ("/admin/", "/admin/?type=voice"):
        page = console.page(path)
        assert "<strong>1 event waits to be filed</strong> since" in shown(page)
        assert "private words" not in page
    assert "to be filed" not in app.test_client().get("/admin/login").text
    spooled.remove(spooled.oldest(1))
    assert "to be filed" not in shown(console.page())


def test_what_could_not_be_filed_is_told_with_what_to_do(console, spooled):
    (record,) = spooled.oldest(1)
    spooled.note_failure(record, "KeyError", set_aside=True)
    page = shown(console.page())
    assert "<strong>1 event could not be filed</strong>" in page
    assert "gateway spool list" in page
    assert "to be filed" not in page


def test_with_no_mongodb_at_all_the_login_page_opens_and_a_login_says_so(make_app, real_deadline):
    app = make_app()
    nobody = "mongodb://127.0.0.1:9/gateway"
    connection.connect(app.extensions["gateway"].settings.model_copy(update={"mongodb_uri": nobody}))
    answer = Console(app.test_client()).log_in()
    assert answer.status_code == 503
    assert "The database is away" in answer.text


def test_a_defect_is_told_without_its_traceback(console, monkeypatch):
    def broken(*_args, **_more):
        raise RuntimeError("private detail")

    monkeypatch.setattr(listing, "page", broken)
    answer = console.get()
    assert answer.status_code == 500
    assert "Something broke" in answer.text
    assert "private detail" not in answer.text


def test_where_the_server_mounts_it_every_link_says_so(app, twilio, session_id):
    users.add("admin", PASSWORD, TEN)
    twilio.sms()
    served = app.wsgi_app

    def mounted(environ, start):
        path = environ["PATH_INFO"].removeprefix("/gate")
        return served(environ | {"SCRIPT_NAME": "/gate", "PATH_INFO": path}, start)

    app.wsgi_app = mounted
    behind = Console(app.test_client())
    asked = behind.get(f"/gate/admin/sessions/{session_id()}")
    assert asked.location.startswith("/gate/admin/login?next=/gate/admin/sessions/")
    answer = behind.log_in(at=asked.location)
    assert answer.location == f"/gate/admin/sessions/{session_id()}"
    for path in ("/gate/admin/", answer.location):
        links = re.findall(r'(?:href|src|action)="(/[^"]*)"', behind.page(path))
        assert links
        assert all(link.startswith("/gate/admin/") for link in links)


def test_the_console_starts_without_its_slash(console):
    assert "<h1>Sessions</h1>" in console.page("/admin")


@pytest.mark.parametrize(
    ("part", "whole"),
    [
        ("/admin/list?q=blue", "/admin/?q=blue"),
        ("/admin/list?q=blue&open=65f0", "/admin/sessions/65f0?q=blue"),
        ("/admin/sessions/65f0/messages?q=blue&messages_since=1", "/admin/sessions/65f0?q=blue"),
    ],
)
def test_while_mongodb_is_away_a_part_of_a_page_leads_to_the_page(console, monkeypatch, part, whole):
    monkeypatch.setattr(connection.breaker, "_reason", "away")
    answer = console.get(part)
    assert answer.status_code == 503
    assert f'href="{whole}">Reload</a>' in answer.text


@pytest.mark.parametrize("path", ["", "people", "operations", "operations/channels", "operations/keys", "analytics"])
def test_a_type_of_channel_has_one_name_everywhere(console, twilio, path):
    twilio.sms()
    twilio.whatsapp()
    shown = re.sub(r"<[^>]*>", " ", console.page(f"/admin/{path}"))
    assert {"SMS", "WhatsApp"} <= set(re.findall(r"\w+", shown))
    assert not re.search(r"\bWhatsapp\b|\b(?:sms|whatsapp)\b(?!:\+)", shown)


@pytest.mark.parametrize(
    ("page", "name"),
    [("/admin/whatif?since=foo", "What-if"), ("/admin/operations/outbox?cursor=x", "Operations")],
)
def test_an_address_that_is_not_right_leads_back_to_its_own_page(console, page, name):
    answer = console.get(page)
    assert answer.status_code == 400
    assert f'href="{page.partition("?")[0]}">Back to {name}</a>' in answer.text
