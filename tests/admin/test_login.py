"""Who gets in, who does not, and what ends a login."""

import threading
from datetime import timedelta

import pytest

from gateway.store import users
from tests.admin.conftest import PASSWORD, Console
from tests.conftest import TEN, fixture


def test_without_a_login_every_page_leads_to_the_login(visitor):
    for path in ("/admin/", "/admin/sessions/65f000000000000000000000", "/admin/nothing"):
        answer = visitor.get(path)
        assert answer.status_code == 302
        assert answer.location.startswith("/admin/login")


def test_the_right_password_leads_to_the_sessions(visitor):
    answer = visitor.log_in()
    assert (answer.status_code, answer.location) == (302, "/admin/")
    assert "<h1>Sessions</h1>" in visitor.page()


def test_a_login_leads_to_the_page_that_was_asked_for(visitor):
    asked = visitor.get("/admin/?type=sms")
    assert visitor.log_in(at=asked.location).location == "/admin/?type=sms"


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "/admin/\\..\\evil",
        "javascript:alert(1)",
        "/api/x",
        "/adminevil",
    ],
)
def test_a_login_leads_nowhere_outside_the_console(visitor, elsewhere):
    assert visitor.log_in(at=f"/admin/login?next={elsewhere}").location == "/admin/"


@pytest.mark.parametrize(
    ("name", "password"),
    [("admin", "wrong"), ("nobody", PASSWORD), ("admin", ""), ("", ""), ("admin", "x" * 5000)],
)
def test_whatever_is_wrong_gets_the_same_answer_and_no_login(visitor, name, password):
    answer = visitor.log_in(name=name, password=password)
    assert answer.status_code == 401
    assert answer.text.count("That name and password do not match.") == 1
    assert visitor.get().status_code == 302


def test_the_name_is_kept_and_the_password_is_not(visitor):
    page = visitor.log_in(name='"><b>Ada', password="secret-typed").text
    assert 'value="&#34;&gt;&lt;b&gt;Ada"' in page
    assert "secret-typed" not in page


def test_the_sixth_attempt_in_a_minute_is_told_when_to_try_again(visitor):
    for number in range(5):
        assert visitor.log_in(name=f"name{number}", password="wrong").status_code == 401
    answer = visitor.log_in()
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert "Try again in" in answer.text
    assert visitor.get().status_code == 302


def test_a_name_is_limited_whatever_address_tries_it(make_app):
    app = make_app(trusted_proxies="127.0.0.1")
    users.add("admin", PASSWORD, TEN)

    def attempt(address, name):
        client = app.test_client()
        client.environ_base["HTTP_X_FORWARDED_FOR"] = address
        return Console(client).log_in(name=name).status_code

    assert [attempt(f"203.0.113.{n}", "admin") for n in range(6)] == [302] * 5 + [429]
    assert attempt("203.0.113.9", "somebody else") == 401


def test_two_processes_share_the_count_of_attempts(visitor, make_app):
    other = Console(make_app().test_client())
    answers = [who.log_in(password="wrong").status_code for who in (visitor, other, visitor, other, visitor, other)]
    assert answers == [401] * 5 + [429]


def test_attempts_at_the_same_moment_are_all_counted(visitor, app):
    statuses = []
    people = [Console(app.test_client()) for _ in range(8)]
    threads = [
        threading.Thread(target=lambda who=who: statuses.append(who.log_in(password="wrong").status_code))
        for who in people
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [401] * 5 + [429] * 3


def test_counts_of_attempts_expire_by_themselves_and_hold_no_names(visitor, db):
    visitor.log_in(name="my-password-by-mistake", password="wrong")
    assert db.login_limits.index_information()["expireAt_1"]["expireAfterSeconds"] == 0
    kept = str(list(db.login_limits.find()))
    assert "address 127.0.0.1" in kept
    assert "my-password-by-mistake" not in kept


def test_a_form_without_its_token_changes_nothing(visitor):
    answer = visitor.client.post("/admin/login", data={"name": "admin", "password": PASSWORD})
    assert answer.status_code == 400
    assert "too old" in answer.text
    assert visitor.get().status_code == 302


def test_a_logout_that_no_page_of_ours_posted_is_refused(console):
    assert console.client.post("/admin/logout").status_code == 400
    assert console.get().status_code == 200


def test_logging_out_ends_the_login(console):
    answer = console.post("/admin/logout", form_on="/admin/")
    assert (answer.status_code, answer.location) == (302, "/admin/login")
    assert console.get().status_code == 302


def test_a_logout_cannot_be_a_link(console):
    assert console.get("/admin/logout").status_code == 404
    assert console.get().status_code == 200


def test_a_new_password_ends_all_logins(console):
    assert console.get().status_code == 200
    users.set_password("admin", "another password")
    assert console.get().status_code == 302
    assert console.log_in(password="another password").status_code == 302
    assert console.get().status_code == 200


def test_whoever_is_logged_in_is_not_asked_again(console):
    assert console.get("/admin/login").location == "/admin/"


def test_the_cookie_is_for_the_server_only_and_for_half_a_day(visitor):
    cookie = visitor.log_in().headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" in cookie
    assert visitor.client.application.permanent_session_lifetime == timedelta(hours=12)
    assert "Expires=" in cookie


def test_without_https_in_development_the_cookie_is_not_secure(make_app):
    app = make_app(env="development", public_url="http://localhost:8080")
    users.add("admin", PASSWORD, TEN)
    assert "Secure" not in Console(app.test_client()).log_in().headers["Set-Cookie"]


def test_in_production_the_cookie_is_secure_whatever_the_public_url(make_app):
    app = make_app(env="production", public_url="")
    assert app.config["SESSION_COOKIE_SECURE"] is True


def test_production_does_not_say_who_may_log_in(visitor):
    assert "admin" not in visitor.get("/admin/login").text.replace("/admin/", "")


def test_webhooks_set_no_cookie_and_need_no_token(console, twilio):
    assert "Set-Cookie" not in twilio.sms().headers
    twilio.client = console.client
    answer = twilio.sms()
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers


def test_webhooks_and_probes_carry_none_of_the_consoles_headers(app, twilio):
    for answer in (twilio.sms(), app.test_client().get("/healthz")):
        assert "Content-Security-Policy" not in answer.headers


def test_a_webhook_is_never_limited(twilio):
    assert {twilio.post("/webhooks/sms", fixture("sms/text")).status_code for _ in range(40)} == {200}


def test_a_login_starts_a_session_that_holds_nothing_from_before(visitor):
    with visitor.client.session_transaction() as session:
        session["planted"] = "by somebody else"
    visitor.log_in()
    with visitor.client.session_transaction() as session:
        assert "planted" not in session


def test_only_requests_of_the_console_pay_for_the_limiter(app):
    tables = (app.before_request_funcs, app.after_request_funcs, app.teardown_request_funcs)
    assert not [hook for table in tables for hook in table.get(None, ()) if "Limiter" in repr(hook)]
    assert all(any("Limiter" in repr(hook) for hook in table["admin"]) for table in tables)
