"""`gateway simulate voice` where calls are put through: whether anybody answers, and what a missed caller is texted."""

import mongoengine
import pytest
from click.testing import CliRunner

from gateway.cli.commands import cli

TEXT = "Sorry we missed you. What can we do for you?"
DIALS = {"mode": "dial", "dial_to": "+15005550006", "text_back": TEXT}


@pytest.fixture
def call(served):
    """Give `call(*arguments, **voice)`: the settings are the voice section's."""

    def call(*arguments, **voice):
        served(voice=voice, flow={"missed_calls": []})
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
    assert "GATEWAY_VOICE__MODE=dial and GATEWAY_VOICE__DIAL_TO=" in done.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("voice", "--press", "x"), "'x' cannot be keyed in"), (("sms", "--to", "+1"), "'+1' is no number")],
)
def test_what_no_telephone_could_dial_is_refused(arguments, words):
    done = CliRunner().invoke(cli, ["simulate", *arguments])
    assert (done.exit_code, words in done.output) == (2, True)
