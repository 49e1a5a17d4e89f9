"""Files and other long answers are sent so many at a time, and every end of one makes room for the next."""

import io

import pytest
from flask import Flask, Response, abort
from werkzeug.test import create_environ, run_wsgi_app

from gateway import downloads
from gateway.core.fetching import Opened
from gateway.seats import Seats

CONTENT = b"0123456789"


@pytest.fixture
def ask(monkeypatch):
    """An app with room for one download at a time."""
    monkeypatch.setattr(downloads, "_seats", Seats(1, "Too many."))
    app = Flask(__name__)
    views = {
        "/file": lambda: downloads.send(lambda: Opened("image/png", 10, io.BytesIO(CONTENT), "", "t"), None),
        "/none": lambda: downloads.send(lambda: None, lambda: abort(404)),
        "/broken": lambda: downloads.send(lambda: 1 / 0, None),
        "/stream": lambda: downloads._seats.send(lambda: Response(piece for piece in ("a", "b"))),
    }
    for path, view in views.items():
        app.add_url_rule(path, path, view)
    return lambda path, method="GET", **headers: app.test_client().open(path, method=method, headers=headers)


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"path": "/file"}, 200),
        ({"path": "/file", "method": "HEAD"}, 200),
        ({"path": "/file", "Range": "bytes=2-4"}, 206),
        ({"path": "/file", "Range": "bytes=90-"}, 416),
        ({"path": "/file", "If-None-Match": '"t"'}, 304),
        ({"path": "/stream"}, 200),
        ({"path": "/stream", "method": "HEAD"}, 200),
        ({"path": "/none"}, 404),
        ({"path": "/broken"}, 500),
    ],
)
def test_every_end_of_an_answer_makes_room(ask, given, status):
    for _ in range(3):
        answer = ask(**given)
        assert answer.status_code == status
        answer.close()
    assert ask("/file").data == CONTENT


def test_who_comes_when_all_seats_are_taken_is_asked_to_come_again(ask):
    app = ask.__closure__[0].cell_contents
    pieces, _, _ = run_wsgi_app(app.wsgi_app, create_environ("/file"), buffered=False)
    answer = ask("/file")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    pieces.close()
    assert ask("/file").status_code == 200
