"""The provider for trying things out, and who gets it."""

import re
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from gateway.clients import build
from gateway.clients.loopback import Loopback
from gateway.core.fetching import MediaRefused
from gateway.core.sending import Outgoing
from tests.stand_ins.twilio import ACCOUNT

HELLO = Outgoing("re:1", "+15551230310", "+15557650001", "Hello")
NOBODY = {"twilio_account_sid": "", "twilio_auth_token": []}


def test_every_message_is_taken_and_delivered():
    first, second = Loopback().send(HELLO), Loopback().send(HELLO)
    assert re.fullmatch("SM[0-9a-f]{32}", first.sid)
    assert first.sid != second.sid
    assert (first.status, first.later) == ("queued", ("sent", "delivered"))


def test_nothing_is_found_and_no_file_is_held():
    assert Loopback().find(HELLO, datetime.now(UTC)) == []
    with pytest.raises(MediaRefused) as caught:
        Loopback().fetch("https://api.twilio.com/2010-04-01/Accounts/AC1/Recordings/RE1")
    assert caught.value.reason == "no_account"
    Loopback().delete("https://api.twilio.com/2010-04-01/Accounts/AC1/Recordings/RE1")


def test_development_without_an_account_sends_nowhere(settle):
    assert isinstance(build(settle(env="development", **NOBODY)), Loopback)


@pytest.mark.parametrize(
    "account",
    [
        {"twilio_account_sid": ACCOUNT},
        {"twilio": {"api_base_url": "http://127.0.0.1:4010"}},
        {"twilio": {"accounts": {ACCOUNT: ["token"]}}},
    ],
    ids=str,
)
def test_development_with_an_account_sends(settle, account):
    assert not isinstance(build(settle(env="development", **(NOBODY | account))), Loopback)


def test_tests_never_pretend_to_send(settle):
    assert not isinstance(build(settle(env="test", **NOBODY)), Loopback)


def test_production_never_pretends_to_send(settle):
    settings = settle(
        env="production", twilio_account_sid="", twilio_auth_token=["token"], secret_key=SecretStr("secret")
    )
    assert not isinstance(build(settings), Loopback)
