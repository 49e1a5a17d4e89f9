"""`gateway simulate voice` where calls are put through: whether anybody answers, and what a missed caller is texted."""

from urllib.parse import urlsplit

import mongoengine
import pytest
from click.testing import CliRunner

from gateway.cli.commands import cli

TEXT = "Sorry we missed you. What can we do for you?"
DIALS = {"mode": "dial", "dial_to": "+15005550006", "text_back": TEXT}


@pytest.fixture
def call(serve, monkeypatch, tmp_path):
    """Give `call(*arguments, **voice)`: the settings are the voice section's."""

    def call(*arguments, **voice):
        app, url = serve(voice=voice, flow={"missed_calls": []})
        settings = app.extensions["gateway"].settings
        monkeypatch.setenv("MONGODB_URI", settings.mongodb_uri)
        monkeypatch.setenv("GATEWAY_DATA_DIR", str(tmp_path))
        monkeypatch.setenv("GATEWAY_ENV", "development")
        monkeypatch.setenv("SECRET_KEY", settings.secret_key.get_secret_value())
        monkeypatch.setenv("TWILIO_AUTH_TOKEN", settings.twilio_auth_token[0].get_secret_value())
        monkeypatch.setenv("TWILIO_ACCOUNT_SID", settings.twilio_account_sid)
        monkeypatch.setenv("PORT", str(urlsplit(url).port))
        return CliRunner().invoke(cli, ["simulate", "voice", *arguments])

    return call


def test_a_call_that_nobody_answers_shows_what_its_caller_is_texted(call):
    done = call("--dial", "busy", "--leave", "Call me", **DIALS)
    assert done.exit_code == 0
    rang, voicemail, thanked = (done.output.index(verb) for verb in ("<Dial", "<Record", "We will get back to you"))
    assert rang < voicemail < thanked < done.output.index(f"Texted to the caller: {TEXT}")


def test_a_call_that_somebody_answers_texts_nobody(call):
    done = call("--dial", "completed", **DIALS)
    assert (done.exit_code, "Texted" in done.output) == (0, False)
    assert mongoengine.get_db().messages.count_documents({"_id": {"$regex": "^text-back:"}}) == 0


def test_a_call_that_is_not_put_through_says_what_does_that(call):
    done = call("--dial", "no-answer")
    assert done.exit_code == 1
    assert "calls to +15017122661 are not put through" in done.output
