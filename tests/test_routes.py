"""Routes build the URLs that Werkzeug's own rules build, and compile nothing before."""

import pytest
from werkzeug.routing import Map, Rule

from gateway.routes import Route

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
