"""A probe through what stands before a gateway: a real one over HTTP, behind proxies that are right and wrong."""

import logging
from contextlib import ExitStack

import pytest
import requests
from flask import Flask, Response, redirect, request

from gateway.conversation import probing
from gateway.conversation.doctor import public_url
from gateway.conversation.doctor.findings import State
from gateway.core import wiring
from tests.conftest import TEN
from tests.conversation.doctor.conftest import only, states
from tests.stand_ins.serving import Served

OK, WARNING, WRONG = State.OK, State.WARNING, State.WRONG


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


@pytest.fixture(autouse=True)
def anywhere(monkeypatch):
    """Let an address of this machine be as good as one of the internet."""
    real = wiring.unreachable
    monkeypatch.setattr(wiring, "unreachable", lambda url: "" if "127.0.0.1" in url else real(url))


class Proxy:
    """What stands before the gateway at `inner`: passes webhooks on, changed by `change`."""

    def __init__(self, inner, change=None, answer=None):
        self.seen = []
        app = Flask("proxy")

        @app.route("/<path:path>", methods=["POST"])
        def pass_on(path):
            self.seen.append(request.full_path)
            if answer:
                return answer()
            sent = {"path": request.full_path.rstrip("?"), "headers": dict(request.headers), "data": request.get_data()}
            if change:
                change(sent)
            told = requests.post(inner + sent["path"], headers=sent["headers"], data=sent["data"], timeout=5)
            return Response(told.content, told.status_code, content_type=told.headers["Content-Type"])

        self.app = app


@pytest.fixture
def through(make_app, stack, patient, clock):
    """Examine a gateway behind a proxy; `given` are the gateway's own settings, `ours` the doctor's."""

    def examine(change=None, *, answer=None, ours=None, prefix="", **given):
        gateway = stack.enter_context(Served(make_app(**{"public_url": ""} | given)))
        proxy = Proxy(gateway.url, change, answer)
        outer = stack.enter_context(Served(proxy.app))
        found = list(public_url.webhooks_arrive(patient(public_url=outer.url + prefix, **ours or {})))
        assert len(proxy.seen) == 1, "one webhook is sent, and no redirect followed"
        (judged,) = [one for one in found if "is http" not in one.what]
        return judged, outer.url + prefix

    return examine


def test_a_webhook_that_arrives_as_it_was_sent_is_verified_over_that_address(through):
    found, _ = through()
    assert (found.state, "arrives and is verified, over that very address" in found.what) == (OK, True)


def test_a_gateway_with_another_public_url_refuses_and_names_both(through):
    def cut(sent):
        sent["path"] = sent["path"].removeprefix("/gw")

    found, outer = through(cut, prefix="/gw", public_url="https://gateway.example.com/gw")
    assert found.state is WRONG
    assert (found.details[0], found.details[1]) == (
        f"signed was {outer}{probing.PATH}?turn=…&probe=…",
        f"compared with https://gateway.example.com/gw{probing.PATH}?turn=…&probe=…",
    )
    assert found.remedies[0].startswith("Set PUBLIC_URL to the beginning of the address that was signed")


def test_a_proxy_that_changes_something_is_told_by_what(through):
    def host(sent):
        sent["headers"] |= {"X-Forwarded-Host": sent["headers"].pop("Host"), "Host": "inner.example"}

    def query(sent):
        sent["path"] = sent["path"].partition("?")[0]

    def body(sent):
        sent["data"] += b"&More=1"

    def unsign(sent):
        del sent["headers"]["X-Twilio-Signature"]

    assert "is not trusted" in through(host)[0].what
    assert "changed the path or the query" in through(query)[0].what
    assert "None of the addresses tried fits" in through(body)[0].what
    assert "let it pass" in through(unsign)[0].remedies[1]
    assert through(host, trusted_proxies="127.0.0.1")[0].state is OK


def test_a_gateway_with_another_token_refuses_and_says_why(through):
    found, _ = through(twilio_auth_token=["theirs"])
    assert found.state is WRONG
    assert "Mostly the token is another one" in found.what


@pytest.mark.parametrize(
    ("answer", "words", "remedy"),
    [
        (lambda: redirect("https://a.example.com/login"), "redirects to https://a.example.com/login", "Set PUBLIC_URL"),
        (lambda: Response("<h1>Not found</h1>", 404), "not by this gateway (404", "pass /webhooks/*"),
        (lambda: Response("", 502), "a proxy whose gateway is not there (502", "Start the gateway"),
        (lambda: Response("", 403), "refuses our own webhook (403", "with the settings of the gateway there"),
        (lambda: Response("Welcome"), "Something else than this gateway answers", "Correct PUBLIC_URL"),
    ],
    ids=["redirect", "404", "502", "403", "somebody else"],
)  # fmt: skip
def test_whoever_else_answers_is_named(through, answer, words, remedy):
    found, _ = through(answer=answer)
    assert found.state is WRONG
    assert words in found.what
    assert remedy in found.remedies[0]


def test_a_gateway_with_another_secret_key_tells_nothing(through):
    found, _ = through(secret_key="another")
    assert "another SECRET_KEY" in found.what


def test_who_answers_for_the_gateway_is_found_out(through, make_settings):
    def forge():
        probe = probing.make(make_settings(), "", TEN)
        return Response(probing.answer(make_settings(secret_key="theirs"), probe.nonce, probing.Told("")))

    assert "Something else than this gateway answers" in through(answer=forge)[0].what


def test_an_address_nobody_answers_at_is_said_in_words(patient):
    refused = only(list(public_url.webhooks_arrive(patient(public_url="http://127.0.0.1:9"))), WRONG)
    assert refused.what == "http://127.0.0.1:9 cannot be called. It refuses connections."
    unknown = only(list(public_url.webhooks_arrive(patient(public_url="https://nowhere.invalid.example.com"))), WRONG)
    assert "Its host is not known (DNS)" in unknown.what


def test_without_a_public_url_the_local_gateway_is_asked(make_app, stack, patient):
    inner = stack.enter_context(Served(make_app(public_url="")))
    found = list(public_url.webhooks_arrive(patient(local_url=inner.url)))
    assert states(found) == [WARNING, OK]
    assert found[0].what == "PUBLIC_URL is not set: Twilio cannot call it."


def test_a_host_that_speaks_no_tls_is_not_accepted(patient, stack):
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    plain = stack.enter_context(Served(Flask("plain")))
    found = only(list(public_url.webhooks_arrive(patient(public_url=plain.url.replace("http", "https")))), WRONG)
    assert "Its certificate is not accepted: no TLS is spoken there" in found.what


def test_a_doctor_that_signs_for_another_account_is_told_whose_settings_it_needs(through):
    found, _ = through(ours={"twilio_account_sid": "AC" + "9" * 32})
    assert (found.state, "(unknown_account)" in found.what) == (WRONG, True)
    assert found.remedies == ("Run the doctor with the TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN of the gateway.",)
