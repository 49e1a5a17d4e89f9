"""The widget's files, as any website gets them, and the page that is there in development only."""

import re

import pytest

from gateway.api.chat_pages import squeezed
from gateway.conversation import chat_sites


@pytest.fixture
def client(app):
    return app.test_client()


def test_the_script_is_small_and_its_own_comments_stay_at_home(client):
    served = client.get("/chat/widget.js")
    assert served.content_type == "text/javascript; charset=utf-8"
    assert len(served.data) <= 5000
    assert "//" not in served.text


def test_what_is_quoted_is_not_squeezed():
    assert squeezed('  // why\n  say( "a ; b" , `c = ${d}` );\n}') == 'say("a ; b",`c = ${d}`)}'


@pytest.mark.parametrize("name", ["widget.js", "widget.html"])
def test_any_site_may_load_it_and_asks_again_only_for_what_changed(client, name):
    served = client.get(f"/chat/{name}")
    assert served.headers["Cache-Control"] == "public, max-age=300, must-revalidate"
    assert served.headers["Access-Control-Allow-Origin"] == "*"
    assert served.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert served.headers["X-Content-Type-Options"] == "nosniff"
    assert client.get(f"/chat/{name}", headers={"If-None-Match": served.headers["ETag"]}).status_code == 304
    assert client.get(f"/chat/{name}", headers={"If-None-Match": '"another"'}).status_code == 200


@pytest.mark.parametrize("name", ["demo", "demo.js", "demo.css", "nothing.js", "docs.html", "..%2Fchat_pages.py"])
def test_nothing_else_is_there_outside_development(client, db, name):
    assert client.get(f"/chat/{name}").status_code == 404
    assert db.channels.count_documents({}) == 0


def test_the_demo_names_the_public_address_and_a_key_that_stays(make_app):
    client = make_app(env="development").test_client()
    page = client.get("/chat/demo")
    keys = set(re.findall(r"pk_web_[0-9a-f]+", page.text + client.get("/chat/demo").text))
    assert len(keys) == 1
    assert "&lt;script src=&#34;https://gateway.example.com/chat/widget.js&#34;" in page.text
    assert page.headers["Cache-Control"] == "no-store"
    assert "'unsafe-inline'" not in page.headers["Content-Security-Policy"]
    assert client.get("/chat/demo.js").status_code == client.get("/chat/demo.css").status_code == 200


@pytest.mark.parametrize(("env", "status"), [("development", 201), ("test", 403)])
def test_a_developer_may_chat_at_another_address_than_the_public_one(make_app, env, status):
    app = make_app(env=env)
    key = chat_sites.publish(app.extensions["gateway"], "web", "a test")
    asked = app.test_client().post("/api/chat/tokens", json={"key": key}, headers={"Origin": "http://localhost"})
    assert asked.status_code == status
