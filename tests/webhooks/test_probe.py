"""The doctor's own webhook: told to whoever has SECRET_KEY, and to nobody else."""

import dataclasses
from datetime import timedelta

import pytest

from gateway.channels.signature import SIGNATURE_HEADER, sign
from gateway.conversation import probing
from gateway.conversation.probing import HEADER, TARGET, NotOurs, Told
from tests.conftest import HOST, TEN, TOKEN
from tests.webhooks.conftest import contents

INNER = "http://inner:8080"


def post(app, probe, **headers):
    kept = {name: value for name, value in (dict(probe.headers) | headers).items() if value is not None}
    return app.test_client().post(TARGET, data=dict(probe.form), headers=kept, base_url=INNER)


def ask(app, base=HOST, **headers):
    """Send a probe to an address; gives what the gateway saw."""
    settings = app.extensions["gateway"].settings
    probe = probing.make(settings, base, TEN)
    answer = post(app, probe, **headers)
    assert answer.status_code == 200
    return probing.read(settings, probe, answer.get_data(as_text=True))


def test_a_probe_is_told_which_address_its_signature_fits_and_leaves_nothing(app, db):
    assert ask(app) == Told("", HOST + TARGET, (HOST + TARGET, f"{HOST}:443{TARGET}"))
    assert ask(app, f"{HOST}:443").matched == f"{HOST}:443{TARGET}"
    assert contents(db) == {}


def test_a_probe_is_told_why_it_would_be_refused(app):
    told = ask(app, "https://other.example", **{"X-Forwarded-Host": "other.example"})
    assert (told.reason, told.cause, told.signed_url) == (
        "bad_signature",
        "public_url",
        f"https://other.example{TARGET}",
    )
    assert told.public_url == HOST
    unsigned = ask(app, **{SIGNATURE_HEADER: None})
    assert (unsigned.reason, unsigned.signed, unsigned.cause) == ("no_signature", False, "")


@pytest.mark.parametrize(
    "given",
    [
        {"twilio_auth_token": "new, old"},
        {"twilio_auth_token": [], "twilio": {"accounts": {"AC1": ["sub"]}}},
        {"twilio_auth_token": [], "twilio": {"shared_keys": {"webhooks_sharedkey_1": "s"}}},
    ],
    ids=["tokens", "account", "key"],
)
def test_it_is_signed_with_whatever_twilio_signs_with(make_app, given):
    assert ask(make_app(**given)).reason == ""


def test_who_has_not_our_secret_key_is_told_what_a_forger_is(app, make_settings, db):
    settings = app.extensions["gateway"].settings
    theirs = probing.make(make_settings(secret_key="another"), HOST, TEN)
    old = probing.make(settings, HOST, TEN - timedelta(minutes=6))
    ours = probing.make(settings, HOST, TEN)
    forged = app.test_client().post("/webhooks/sms", data={"From": "+15558675310"})
    for answer in (
        post(app, theirs),
        post(app, old),
        post(app, ours, **{HEADER: None}),
        post(app, ours, **{HEADER: None, SIGNATURE_HEADER: None}),
        post(app, ours, **{HEADER: "x", SIGNATURE_HEADER: "x"}),
    ):
        assert (answer.status_code, answer.data) == (forged.status_code, forged.data) == (403, b"")
    assert contents(db) == {}


def test_a_gateway_without_a_secret_key_tells_nobody(make_app, make_settings):
    app = make_app(secret_key="")
    assert post(app, probing.make(make_settings(secret_key=""), HOST, TEN)).status_code == 403


def test_nobody_else_can_answer_a_probe(make_settings):
    settings = make_settings()
    probe = probing.make(settings, HOST, TEN)
    right = probing.answer(settings, probe.nonce, Told(""))
    assert probing.read(settings, probe, right) == Told("")
    stranger = probing.answer(make_settings(secret_key="another"), probe.nonce, Told(""))
    for wrong in ("", "<html>", stranger, probing.answer(settings, "an earlier one", Told(""))):
        with pytest.raises(NotOurs):
            probing.read(settings, probe, wrong)


def test_nothing_of_a_probe_is_a_webhook_of_another_kind(app, db):
    """Its signature is for its own address: whoever it was sent to cannot use it elsewhere."""
    probe = probing.make(app.extensions["gateway"].settings, HOST, TEN)
    assert probe.headers[SIGNATURE_HEADER] == sign(TOKEN, HOST + TARGET, dict(probe.form))
    for path in ("/webhooks/sms", "/webhooks/status", "/webhooks/voice"):
        answer = app.test_client().post(path, data=dict(probe.form), headers=dict(probe.headers))
        assert answer.status_code == 403
    assert contents(db) == {}


def test_the_answer_of_a_newer_gateway_is_understood(make_settings):
    settings = make_settings()
    probe = probing.make(settings, HOST, TEN)
    newer = probing._answers(settings).dumps([probe.nonce, dataclasses.asdict(Told("no_signature")) | {"more": 1}])
    assert probing.read(settings, probe, newer) == Told("no_signature")


def test_without_a_token_there_is_nothing_to_sign_with(make_settings):
    assert probing.make(make_settings(twilio_auth_token=[]), HOST, TEN) is None
