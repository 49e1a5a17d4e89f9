"""Who may speak for whom at /api/chat, from which pages, and how often."""

import pytest

from gateway.conversation import chat_sites, keys
from gateway.core.errors import ConfigError
from tests.api.chatting import Visitor
from tests.api.conftest import problem
from tests.conftest import HOST

PAGE = "https://www.example.com"


@pytest.fixture
def app(make_app):
    return make_app(chat={"origins": [PAGE]})


@pytest.fixture
def runtime(app):
    return app.extensions["gateway"]


@pytest.fixture
def token(program):
    """Let a site's server make a token for a user of it."""
    server = program("write")

    def make(user_id="alice", *, by=server, status=201, **given):
        made = by.post("/chat-tokens", json={"user_id": user_id} | given)
        assert made.status_code == status, made.text
        return made.json

    return make


@pytest.fixture
def browser_of(app, token):
    """A browser with a token of a user's."""
    return lambda user_id="alice", **given: Visitor(app.test_client(), token(user_id, **given)["token"])


@pytest.fixture
def page(app):
    """A page of the site, in the browser of somebody nobody knows."""
    return lambda origin=PAGE, token="": Visitor(app.test_client(), token, headers={"Origin": origin} if origin else {})


def test_with_a_token_only_its_users_sessions_exist(browser_of, clock):
    alice, bob = browser_of(), browser_of("bob")
    session_id = alice.say("a secret")["session_id"]
    for asked in (
        bob.get(f"/sessions/{session_id}"),
        bob.get(f"/sessions/{session_id}/messages"),
        bob.put(f"/sessions/{session_id}", session_name="mine"),
        bob.delete(f"/sessions/{session_id}"),
        bob.post(f"/sessions/{session_id}/messages", content="Hi"),
        bob.post("/message", content="Hi", session_id=session_id),
    ):
        assert "secret" not in asked.text
        problem(asked, 404, "not_found")
    assert bob.get("/sessions").json["items"] == []
    assert bob.history() == []
    assert alice.get(f"/sessions/{session_id}").json["message_count"] == 2
    problem(bob.get("/history", user_id="alice"), 403, "other_user")
    problem(bob.post("/sessions", channel="shop"), 403, "other_user")
    message = alice.say("more", session=session_id)["id"]
    problem(bob.get("/history", before=message), 404, "not_found")


def test_a_token_may_name_its_own_user(browser_of):
    assert browser_of().get("/sessions", user_id="alice", channel="web").status_code == 200


def test_an_address_that_somebody_types_leads_nowhere(browser_of, page, runtime, db):
    ada = browser_of("ada", email="ada@example.com")
    ada.say("my card number")
    stranger = browser_of("stranger")
    assert stranger.say("Hello", email="ada@example.com")["session_state"] == "created"
    assert stranger.history(email="ada@example.com") == ["Hello", "Hello"]
    visitor = page(token=_visit(page, runtime).json["token"])
    assert visitor.say("Hi", email="ada@example.com")["session_state"] == "created"
    assert visitor.history() == ["Hi", "Hi"]
    assert db.contacts.count_documents({"emails": "ada@example.com"}) == 1
    assert db.contacts.count_documents({}) == 3
    assert db.messages.find_one({"content": "Hi"})["metadata"]["claimedEmail"] == "ada@example.com"


def test_a_proved_address_opens_the_history_of_every_device(browser_of):
    browser_of("phone", email="ada@example.com").say("From the phone")
    assert browser_of("laptop", email="Ada@Example.com").history() == ["From the phone"] * 2


def test_a_token_ends_with_its_time(browser_of, clock):
    alice = browser_of(ttl=60)
    alice.say()
    clock.tick(59.999)
    assert alice.get("/sessions").status_code == 200
    clock.tick(0.001)
    problem(alice.get("/sessions"), 401, "token_expired")


def test_a_token_ends_with_its_key(app, token, program, clock):
    server = program("write")
    alice = Visitor(app.test_client(), token(by=server)["token"])
    assert alice.get("/sessions").status_code == 200
    keys.revoke(server.key.split("_")[1], clock.now(), by="a test")
    problem(alice.get("/sessions"), 401, "token_invalid")


def test_a_token_that_was_changed_is_none(app, token, program):
    mine, other = token()["token"], token(by=program("write"))["token"]
    kind, prefix, signed = mine.split("_", 2)
    for forged in (
        mine[:-9] + ("a" if mine[-9] != "a" else "b") + mine[-8:],
        f"{kind}_{other.split('_')[1]}_{signed}",
        f"vt_web_{signed}",
        f"{kind}_{prefix}_",
        "ut_",
        "x" * 5000,
    ):
        problem(Visitor(app.test_client(), forged).get("/sessions"), 401, "token_invalid")


def test_a_token_of_another_installation_is_none(make_app, token):
    made = token()["token"]
    problem(Visitor(make_app(secret_key="another").test_client(), made).get("/sessions"), 401, "token_invalid")


def test_a_key_makes_tokens_for_its_own_sites_alone(runtime, token, program):
    chat_sites.add(runtime, "web", "a test")
    chat_sites.add(runtime, "shop", "a test")
    shop = program("write", channels=["chat:shop"])
    assert token(by=shop, channel="shop")["channel"] == "shop"
    token(by=shop, channel="web", status=404)
    token(by=shop, channel="nowhere", status=404)
    token(by=program("read"), status=403)


def test_the_users_of_two_sites_are_not_the_same(app, runtime, token, program, db):
    chat_sites.add(runtime, "shop", "a test")
    web = Visitor(app.test_client(), token("1")["token"])
    shop = Visitor(app.test_client(), token("1", channel="shop")["token"])
    session_id = web.say("on the web")["session_id"]
    assert shop.history() == []
    problem(shop.get(f"/sessions/{session_id}"), 404, "not_found")
    shop.say("in the shop")
    assert db.contacts.count_documents({}) == 2
    limited = program("write", channels=["chat:shop"])
    server = Visitor(app.test_client(), limited.key)
    problem(server.get(f"/sessions/{session_id}", user_id="1"), 404, "not_found")
    problem(server.get(f"/sessions/{session_id}", user_id="1", channel="shop"), 404, "not_found")
    problem(server.get(f"/sessions/{session_id}"), 403, "user_missing")
    problem(
        server.post(f"/sessions/{session_id}/messages", content="Hi", user_id="1", channel="shop"), 404, "not_found"
    )
    assert server.get("/history", user_id="1", channel="shop").json["items"][0]["content"] == "in the shop"


def test_one_person_on_two_sites_reads_on_each_what_was_said_there(app, runtime, token):
    chat_sites.add(runtime, "shop", "a test")
    Visitor(app.test_client(), token("1", email="ada@example.com")["token"]).say("on the web")
    shop = Visitor(app.test_client(), token("9", email="ada@example.com", channel="shop")["token"])
    assert shop.history() == []


def test_an_api_key_names_its_user_or_a_session(app, program):
    server = Visitor(app.test_client(), program("write").key)
    problem(server.get("/sessions"), 403, "user_missing")
    session_id = server.say(user_id="alice")["session_id"]
    assert server.say("Again", session=session_id)["session_id"] == session_id
    assert server.get(f"/sessions/{session_id}").json["user_id"] == "alice"
    reader = Visitor(app.test_client(), program("read").key)
    assert reader.get("/sessions", user_id="alice").status_code == 200
    problem(reader.post("/sessions", user_id="alice"), 403, "scope_missing")


def test_an_address_alone_is_somebody_too(app, program):
    server = Visitor(app.test_client(), program("write").key, {"email": "Ada@example.com"})
    assert server.say()["user_message"]["user_id"] == "ada@example.com"
    assert len(server.history()) == 2


def test_without_a_credential_the_answer_says_what_to_do(app):
    told = problem(Visitor(app.test_client()).get("/history", user_id="alice"), 401, "unauthorized")
    assert "LEGACY_AUTH" in told["detail"]
    assert "chat-tokens" in told["detail"]


def test_legacy_front_ends_are_believed_where_the_setting_says_so(make_app, program, capsys):
    server = Visitor(make_app().test_client(), program("write").key, {"user_id": "ada", "email": "ada@example.com"})
    server.say("from the server")
    old = Visitor(make_app(chat={"legacy_auth": True}).test_client(), named={"user_id": "alice"})
    assert "chat_legacy_auth" in capsys.readouterr().out
    assert old.say("Hello")["session_state"] == "created"
    assert old.history(email="ada@example.com") == ["Hello", "Hello"]
    problem(old.post("/sessions", channel="shop"), 404, "not_found")
    problem(Visitor(old.client).get("/sessions"), 403, "user_missing")
    assert Visitor(old.client, named={"email": "ada@example.com"}).history() == []
    problem(Visitor(old.client, "gw_00000000_x").get("/sessions"), 401, "key_invalid")


def test_i11_no_address_of_a_user_is_in_a_log_line(make_app, program, capsys):
    key, client = program("write").key, make_app().test_client()
    named = {"user_id": "ada@example.com"}
    token = client.post("/api/v1/chat-tokens", json=named, headers={"Authorization": f"Bearer {key}"}).json["token"]
    ada, browser = Visitor(client, key, named), Visitor(client, token)
    ada.say(session="ada@example.com")
    session_id = ada.say(session="15558675310")["session_id"]
    browser.put(f"/sessions/{session_id}", session_name="Mine", is_active=False)
    browser.delete(f"/sessions/{session_id}")
    written = capsys.readouterr().out
    assert written.count('"event":"chat_session"') == 2
    for secret in ("ada@", "15558675310", token):
        assert secret not in written


def _visit(page, runtime, **headers):
    key = chat_sites.publish(runtime, "web", "a test")
    return page(**headers).post("/tokens", key=key)


def test_a_page_with_a_publishable_key_gets_a_visitors_token(page, runtime):
    made = _visit(page, runtime)
    assert made.status_code == 201
    visitor = page(token=made.json["token"])
    told = visitor.say()
    assert told["user_message"]["user_id"] == made.json["user_id"]
    assert made.json["user_id"].startswith("visitor-")
    other = page(token=_visit(page, runtime).json["token"])
    assert other.history() == []
    problem(other.get(f"/sessions/{told['session_id']}"), 404, "not_found")


def test_a_visitor_renews_the_token_and_stays_who_they_are(page, runtime, clock):
    first = _visit(page, runtime).json
    page(token=first["token"]).say("Hello")
    clock.tick(29 * 86_400)
    again = _visit(page, runtime, token=first["token"]).json
    assert again["user_id"] == first["user_id"]
    clock.tick(86_400)
    assert page(token=again["token"]).history() == ["Hello", "Hello"]
    problem(_visit(page, runtime, token=first["token"]), 401, "token_expired")


def test_a_publishable_key_works_on_the_sites_pages_alone(page, runtime):
    problem(_visit(page, runtime, origin="https://evil.example.com"), 403, "origin_refused")
    problem(_visit(page, runtime, origin=""), 403, "origin_refused")
    assert _visit(page, runtime, origin=HOST).status_code == 201


def test_a_publishable_key_reads_nothing_and_can_be_ended(page, runtime):
    key = chat_sites.publish(runtime, "web", "a test")
    assert chat_sites.publish(runtime, "web", "a test") == key
    problem(page(token=key).get("/history", user_id="alice"), 401, "token_invalid")
    visitor = page(token=_visit(page, runtime).json["token"])
    assert visitor.get("/sessions").status_code == 200
    assert chat_sites.unpublish(runtime, "web", "a test")
    assert not chat_sites.unpublish(runtime, "web", "a test")
    problem(visitor.get("/sessions"), 401, "token_invalid")
    problem(page().post("/tokens", key=key), 401, "key_invalid")
    assert chat_sites.publish(runtime, "web", "a test") != key
    for wrong in ("pk_web_", "pk_nowhere_1", "x", "pk_web_\u00e9"):
        problem(page().post("/tokens", key=wrong), 401, "key_invalid")


def test_an_address_gets_few_tokens_a_minute(page, runtime):
    assert [_visit(page, runtime).status_code for _ in range(11)] == [201] * 10 + [429]


def test_whoever_collects_visitors_tokens_gets_no_more_out_of_one_address(make_app):
    """Each visitor would have a limit of their own, and each answer costs."""
    app = make_app(chat={"origins": [PAGE], "requests_per_minute": 1})

    def at(address, token=""):
        client = app.test_client()
        client.environ_base["REMOTE_ADDR"] = address
        return Visitor(client, token, headers={"Origin": PAGE})

    tokens = [_visit(at, app.extensions["gateway"], address=f"2001:db8:{n}::1").json["token"] for n in range(11)]
    asked = [at(f"2001:db8:7::{n}", token).get("/sessions").status_code for n, token in enumerate(tokens)]
    assert asked == [200] * 10 + [429]
    assert "at one address" in at("2001:db8:7::99", tokens[10]).get("/sessions").json["detail"]
    assert at("2001:db8:8::1", tokens[10]).get("/sessions").status_code == 200


def test_a_visitors_token_makes_no_other_user(page, runtime, program, token):
    alice = token()["token"]
    problem(_visit(page, runtime, token=alice), 401, "token_invalid")
    chat_sites.publish(runtime, "shop", "a test")
    in_shop = chat_sites.publish(runtime, "shop", "a test")
    shop = page().post("/tokens", key=in_shop).json["token"]
    problem(_visit(page, runtime, token=shop), 401, "token_invalid")


def test_a_user_may_ask_so_often_a_minute(make_app, program):
    app = make_app(chat={"requests_per_minute": 3})
    server = program("write")
    server.client = app.test_client()
    made = server.post("/chat-tokens", json={"user_id": "alice"}).json
    alice = Visitor(app.test_client(), made["token"])
    assert [alice.get("/sessions").status_code for _ in range(4)] == [200, 200, 200, 429]
    assert "Retry-After" in alice.get("/sessions").headers
    other = Visitor(app.test_client(), server.post("/chat-tokens", json={"user_id": "bob"}).json["token"])
    assert other.get("/sessions").status_code == 200


def test_pages_of_the_sites_may_read_the_answers(page, browser_of):
    asked = page().ask("OPTIONS", "/sessions")
    assert asked.status_code == 204
    assert asked.headers["Access-Control-Allow-Origin"] == PAGE
    assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]
    alice = browser_of()
    alice.headers["Origin"] = PAGE
    answer = alice.get("/sessions")
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "Origin" in answer.headers["Vary"]
    refused = page().get("/sessions")
    assert (refused.status_code, refused.headers["Access-Control-Allow-Origin"]) == (401, PAGE)


@pytest.mark.parametrize("origin", ["https://evil.example.com", "null", "https://www.example.com.evil.org", ""])
def test_pages_of_others_may_not(page, origin):
    for answer in (page(origin).ask("OPTIONS", "/sessions"), page(origin).get("/sessions")):
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]


def test_without_the_setting_no_page_may(make_app):
    asked = Visitor(make_app().test_client(), headers={"Origin": PAGE}).ask("OPTIONS", "/sessions")
    assert "Access-Control-Allow-Origin" not in asked.headers


@pytest.mark.parametrize("origin", ["*", "https://www.example.com/", "www.example.com", "https://*.example.com"])
def test_an_origin_that_is_none_stops_the_start(make_settings, origin):
    with pytest.raises(ConfigError, match=r"GATEWAY_CHAT__ORIGINS \(item 1\)"):
        make_settings(chat={"origins": [origin]})
