"""A file as a response: its headers by its type, and the parts of it that players ask for."""

import io

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from gateway.core.fetching import Opened
from gateway.files import response

CONTENT = b"<script>alert(1)</script>"


def get(content_type: str, name: str = "", **headers: str) -> TestResponse:
    app = Flask(__name__)
    stream = io.BytesIO(CONTENT)
    app.add_url_rule("/", view_func=lambda: response(Opened(content_type, len(CONTENT), stream, name, "tag")))
    answer = app.test_client().get("/", headers=headers)
    answer.get_data()
    answer.close()
    assert stream.closed
    return answer


@pytest.mark.parametrize(
    ("content_type", "name", "disposition"),
    [
        ("image/png", "cat.png", "inline; filename*=UTF-8''cat.png"),
        ("image/jpeg", "", "inline; filename*=UTF-8''image.jpg"),
        ("image/gif", "", "inline; filename*=UTF-8''image.gif"),
        ("image/webp", "", "inline; filename*=UTF-8''image.webp"),
        ("audio/ogg", "voice note", "inline; filename*=UTF-8''voice%20note"),
        ("audio/mpeg", "", "inline; filename*=UTF-8''audio.mp3"),
        ("video/mp4", "später.mp4", "inline; filename*=UTF-8''sp%C3%A4ter.mp4"),
        ("text/plain", "a.html", "inline; filename*=UTF-8''a.html"),
        ("text/html", "a.png", "attachment; filename*=UTF-8''a.png"),
        ("application/xhtml+xml", "a.xhtml", "attachment; filename*=UTF-8''a.xhtml"),
        ("application/xml", "a.png", "attachment; filename*=UTF-8''a.png"),
        ("image/svg+xml", "a.svg", "attachment; filename*=UTF-8''a.svg"),
        ("image/heic", "a.heic", "attachment; filename*=UTF-8''a.heic"),
        ("application/pdf", "a\";b='\r\n.pdf", "attachment; filename*=UTF-8''a%22%3Bb%3D%27%0D%0A.pdf"),
        ("text/vcard", "", "attachment; filename*=UTF-8''file.vcf"),
        ("application/javascript", "a.js", "attachment; filename*=UTF-8''a.js"),
    ],
)
def test_what_a_browser_may_show_is_inline_and_all_else_is_saved(content_type, name, disposition):
    answer = get(content_type, name)
    assert answer.data == CONTENT
    assert answer.mimetype == content_type
    assert answer.headers["Content-Disposition"] == disposition
    assert answer.headers["Content-Length"] == str(len(CONTENT))
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert "script" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"].startswith("private, max-age=")


def test_text_is_read_as_utf_8():
    assert get("text/plain").content_type == "text/plain; charset=utf-8"


@pytest.mark.parametrize("content_type", ["", "image/png, text/html", "image/png;x", "png", "text/html\r\nX: y"])
def test_a_type_that_is_none_is_only_bytes(content_type):
    answer = get(content_type)
    assert answer.content_type == "application/octet-stream"
    assert answer.headers["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("0-", 0, 24), ("0-1", 0, 1), ("5-9", 5, 9), ("-3", 22, 24), ("20-999", 20, 24)],
)
def test_a_part_is_given_alone(asked, first, last):
    answer = get("audio/mpeg", Range=f"bytes={asked}")
    assert (answer.status_code, answer.data) == (206, CONTENT[first : last + 1])
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(CONTENT)}"
    assert answer.headers["Content-Length"] == str(last - first + 1)


def test_a_part_of_another_content_is_not_given():
    answer = get("audio/mpeg", **{"Range": "bytes=0-1", "If-Range": '"other"'})
    assert (answer.status_code, answer.data) == (200, CONTENT)
