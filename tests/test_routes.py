"""Routes build the URLs that Werkzeug's own rules build, compile nothing before, and some are found unsearched."""

import pytest
from flask import request
from werkzeug.routing import Map, Rule

from gateway.routes import Direct, Route

CASES = [
    ("/", {}),
    ("/people/<name>", {"name": "a b/c?"}),
    ("/sessions/<int:number>/<path:rest>", {"number": 3, "rest": "x/y"}),
    ("/asks", {"q": "a b", "rule": "what a query may be called"}),
    ("/asks/<rule>", {"rule": "r", "page": 2}),
]


@pytest.mark.parametrize(("path", "values"), CASES)
def test_builds_what_werkzeug_builds(path, values):
    built = [
        Map([kind(path, endpoint="it")]).bind("example.com").build("it", values, append_unknown=unknown)
        for unknown in (True, False)
        for kind in (Route, Rule)
    ]
    assert built[::2] == built[1::2]


def test_compiles_when_the_first_is_built(monkeypatch):
    compiled = []
    ours = Rule._compile_builder

    def compile_builder(rule, unknown):
        compiled.append(rule.rule)
        return ours(rule, unknown)

    monkeypatch.setattr(Rule, "_compile_builder", compile_builder)
    urls = Map([Route("/a", endpoint="a"), Route("/b", endpoint="b")]).bind("example.com")
    assert compiled == []
    assert [urls.build("a"), urls.build("a"), compiled] == ["/a", "/a", ["/a"]]


def test_the_app_uses_them(app):
    assert {type(rule) for rule in app.url_map.iter_rules()} == {Route}


@pytest.fixture
def direct():
    """An app that knows what is posted under /hooks."""
    made = Direct(__name__)

    def tell(**values):
        return {"endpoint": request.endpoint, "rule": request.url_rule.rule, "values": values}

    for path, methods in (
        ("/hooks/a", ["POST"]),
        ("/hooks/b", ["GET", "POST"]),
        ("/hooks/<name>", ["POST"]),
        ("/c", ["POST"]),
    ):
        made.add_url_rule(path, path, tell, methods=methods)
    made.know_posts_under("/hooks")
    return made


ANSWERS = {
    ("POST", "/hooks/a"): ("/hooks/a", {}),
    ("POST", "/hooks/b"): ("/hooks/b", {}),
    ("GET", "/hooks/b"): ("/hooks/b", {}),
    ("POST", "/hooks/z"): ("/hooks/<name>", {"name": "z"}),
    ("POST", "/hooks/<name>"): ("/hooks/<name>", {"name": "<name>"}),
    ("POST", "/c"): ("/c", {}),
}


@pytest.mark.parametrize(("method", "path"), ANSWERS)
def test_the_known_are_served_like_the_searched_for(direct, method, path):
    endpoint, values = ANSWERS[method, path]
    told = direct.test_client().open(path, method=method).json
    assert told == {"endpoint": endpoint, "rule": endpoint, "values": values}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/hooks/a", 405), ("POST", "/hooks/a/", 404), ("OPTIONS", "/hooks/a", 200), ("HEAD", "/hooks/b", 200)],
)
def test_what_is_not_posted_to_them_is_searched_for(direct, method, path, status):
    assert direct.test_client().open(path, method=method).status_code == status


def test_nothing_is_searched_for_what_is_known(direct, monkeypatch):
    monkeypatch.setattr(Map, "bind_to_environ", None)
    assert direct.test_client().post("/hooks/a").status_code == 200


def test_the_app_knows_its_webhooks(app, monkeypatch):
    monkeypatch.setattr(Map, "bind_to_environ", None)
    assert [app.test_client().post(f"/webhooks/{path}").status_code for path in ("sms", "voice/turn")] == [403, 403]
