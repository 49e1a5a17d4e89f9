"""Who may ask, how often, and what the others are told."""

from datetime import timedelta

import pytest

from gateway.api import documentation
from gateway.store import api_keys
from tests.api.conftest import Program, problem
from tests.conftest import TEN


def test_a_key_opens_the_api(reader):
    told = reader.get("/me")
    assert told.status_code == 200
    assert told.json["scopes"] == ["read"]
    assert told.json["channels"] is None
    assert told.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("header", [{}, {"Authorization": "Basic Z3c6eA=="}, {"Authorization": "Bearer "}])
def test_without_a_key_nothing_is_told(app, header):
    answer = app.test_client().get("/api/v1/me", headers=header)
    assert "gateway keys add" in problem(answer, 401, "key_missing")["detail"]
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="gateway"'


@pytest.mark.parametrize("key", ["gw_00000000_wrong", "nonsense", "gw_", "x" * 5000, "gw_zz_\x7f"])
def test_a_wrong_key_is_refused(app, key):
    problem(Program(app.test_client(), key).get("/me"), 401, "key_invalid")


def test_a_revoked_or_expired_key_is_refused(app, clock):
    _, secret = api_keys.add("lent", ["read"], TEN, by="a test", expires_at=TEN + timedelta(hours=1))
    _, ended = api_keys.add("ended", ["read"], TEN, by="a test")
    assert Program(app.test_client(), secret).get("/me").json["expires_at"] == "2026-03-01T11:00:00.000Z"
    clock.move_to(minutes=60)
    problem(Program(app.test_client(), secret).get("/me"), 401, "key_invalid")
    api_keys.revoke(ended.split("_")[1], TEN, by="a test")
    problem(Program(app.test_client(), ended).get("/me"), 401, "key_invalid")


def test_the_secret_of_another_key_is_wrong(app, program):
    one, other = program().key, program().key
    mixed = "_".join([*one.split("_")[:2], other.split("_", 2)[2]])
    problem(Program(app.test_client(), mixed).get("/me"), 401, "key_invalid")


def test_a_key_may_ask_so_often_in_a_minute_and_is_told_when_to_come_back(make_app, clock):
    app = make_app(api={"requests_per_minute": 3})
    keys = [api_keys.add("test", ["read"], TEN, by="a test")[1] for _ in range(2)]
    mine, others = (Program(app.test_client(), key) for key in keys)
    clock.move_to(seconds=20)
    assert [mine.get("/me").headers["RateLimit-Remaining"] for _ in range(3)] == ["2", "1", "0"]
    refused = mine.get("/me")
    assert "3 requests" in problem(refused, 429, "rate_limited")["detail"]
    assert refused.headers["Retry-After"] == refused.headers["RateLimit-Reset"] == "40"
    assert others.get("/me").status_code == 200
    clock.move_to(seconds=60)
    assert mine.get("/me").status_code == 200


def test_what_is_not_there_is_a_problem_and_no_page(app, reader):
    assert "'/api/v1/nothing'" in problem(reader.get("/nothing"), 404, "not_found")["detail"]
    answer = reader.ask("DELETE", "/me")
    problem(answer, 405, "method_not_allowed")
    assert "GET" in answer.headers["Allow"]
    assert "'/api/elsewhere'" in problem(app.test_client().get("/api/elsewhere"), 404, "not_found")["detail"]


def test_a_fault_of_ours_is_a_problem_without_a_trace(app, reader, monkeypatch):
    def broken(*_):
        raise RuntimeError("with a secret")

    monkeypatch.setattr(api_keys, "authenticate", broken)
    app.testing = False
    told = problem(reader.get("/me"), 500, "our_fault")
    assert "secret" not in str(told)


@pytest.mark.parametrize("scope", ["read", "write", "admin"])
def test_each_operation_wants_the_scope_its_description_names(app, program, scope):
    """403 comes before anything of the request is read, so no ids and no bodies are needed."""
    refused = {"read": {"write", "admin"}, "write": {"admin"}, "admin": set()}[scope]
    mine = program(scope)
    for path, item in documentation.document(app)["paths"].items():
        for method, operation in item.items() if path.startswith("/api/v1/") else ():
            answer = mine.ask(method.upper(), path.replace("{", "").replace("}", ""))
            where = (method, path, operation["x-scope"], answer.status_code)
            said = answer.status_code == 403 and answer.json["code"] == "scope_missing"
            assert said == (operation["x-scope"] in refused), where
