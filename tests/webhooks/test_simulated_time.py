"""Playing a scenario without waiting: development only, and signed with our own secret."""

import json
import secrets

import pytest

from gateway.conversation.runtime import SIMULATED_AT, simulated_times
from tests.conftest import Twilio, fixture

AT = "2026-01-05T09:00:00+00:00"


def post(app, token):
    params = fixture("sms/text") | {"MessageSid": "SM" + secrets.token_hex(16)}
    return Twilio(app.test_client()).post(f"/webhooks/sms?{SIMULATED_AT}={token}", params)


def token(settings, at=AT):
    return simulated_times(settings).dumps(at)


def test_a_message_is_taken_as_received_when_the_simulation_says(make_app, make_settings):
    app = make_app(env="development", reply={"responder": "echo"})
    answer = post(app, token(make_settings()))
    told = json.loads(answer.headers["X-Gateway-Decision"])
    assert (answer.status_code, told["received_at"]) == (200, AT)
    assert told["decision"]["kind"] == "created"


def test_outside_development_it_is_refused_and_nothing_is_told(make_app, make_settings, db):
    app = make_app(env="test")
    assert post(app, token(make_settings())).status_code == 403
    assert db.messages.count_documents({}) == 0
    assert "X-Gateway-Decision" not in Twilio(app.test_client()).sms().headers


@pytest.mark.parametrize("forged", ["2026-01-05T09:00:00", "Im5vdyI.AAAA", ""])
def test_a_time_that_is_not_signed_by_us_is_refused(make_app, forged):
    assert post(make_app(env="development"), forged).status_code == 403


def test_a_signed_time_that_is_none_is_refused(make_app, make_settings):
    assert post(make_app(env="development"), token(make_settings(), "yesterday")).status_code == 403
