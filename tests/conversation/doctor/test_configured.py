"""What the doctor says of settings and of this host's spool."""

import os
from datetime import timedelta

import pytest

from gateway import settings
from gateway.clients import broker
from gateway.conversation.doctor import configured, spooling, working
from gateway.conversation.doctor.findings import State
from gateway.store.spool import Spool
from tests.conftest import ACCOUNT, TOKEN
from tests.conversation.doctor.conftest import only, states
from tests.store.test_spool import message

OK, WARNING, WRONG = State.OK, State.WARNING, State.WRONG
PRODUCTION = {"env": "production", "secret_key": "k" * 40, "twilio": {}, "reply": {"responder": "none"}}


def read(tmp_path, **given):
    usual = {"data_dir": tmp_path, "twilio_account_sid": ACCOUNT, "twilio_auth_token": [TOKEN]}
    return settings.read(**usual | PRODUCTION | given)


@pytest.fixture
def look(tmp_path):
    """Check settings as they are read, whether or not a gateway would start with them."""

    def look(**given):
        found = read(tmp_path, **given)
        problems = [*settings.faults(found), *configured._unusable(found)]
        return problems, [one.what for one in configured.pitfalls(found)]

    return look


def test_settings_that_are_right_are_said_to_be(patient):
    (found,) = configured.settings_are_valid(patient(reply={"responder": "canned"}))
    assert (found.state, found.what) == (OK, "Valid for test; answered by canned.")


def test_all_that_would_stop_the_start_is_told_at_once(look):
    problems, _ = look(secret_key="", outbox={"lookup_seconds": 1}, reply={"responder": "parrot"})
    assert [line.partition(" ")[0] for line in problems] == [
        "SECRET_KEY",
        "GATEWAY_OUTBOX__LOOKUP_SECONDS",
        "GATEWAY_REPLY__RESPONDER",
    ]


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"reply": {"responder": "llm"}, "llm": {"model": "m"}}, ["GATEWAY_LLM__BASE_URL"]),
        ({"reply": {"responder": "llm"}, "llm": {"base_url": "http://127.0.0.1:9"}}, ["GATEWAY_LLM__MODEL"]),
        ({"flow": {"otherwise": "http_bot"}}, ["GATEWAY_HTTP_BOT__URL"]),
        ({"reply": {"responder": "llm"}, "llm": {"base_url": "http://127.0.0.1:9", "model": "m"}}, []),
        ({"reply": {"responder": "canned"}}, []),
    ],
)
def test_what_the_chosen_responder_lacks_is_wrong(look, given, missing):
    problems, _ = look(**given)
    assert [line.partition(" is empty. Set it to ")[0] for line in problems] == missing


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, ""),
        ({"trusted_proxies": "10.0.0.0/8, 0.0.0.0/0"}, "TRUSTED_PROXIES trusts everybody"),
        ({"twilio": {"signatures": "observe observe"}}, "Signatures are only observed"),
        ({"twilio": {"api_base_url": "http://127.0.0.1:9"}}, "goes to a stand-in, not to Twilio"),
        ({"secret_key": "short"}, "SECRET_KEY has fewer than 24 characters"),
        ({"reply": {"responder": "echo"}}, "Everybody is answered with their own words"),
        ({"log": {"redact": False}}, "keep what people write"),
        ({"chat": {"legacy_auth": True}}, "LEGACY_AUTH"),
    ],
)
def test_what_is_allowed_and_risky_in_production_is_a_warning(look, given, words):
    problems, risky = look(**given)
    assert problems == []
    assert len(risky) == bool(words)
    assert words in " ".join(risky)


def test_development_may_be_careless(look):
    problems, risky = look(env="development", secret_key="short", reply={"responder": "echo"}, log={"redact": False})
    assert (problems, risky) == ([], [])


@pytest.fixture
def spool(tmp_path):
    kept = Spool(tmp_path / "spool", max_bytes=10_000_000)
    yield kept
    kept.close()


def test_a_spool_that_is_not_there_yet_is_not_made(patient, tmp_path):
    assert states(list(spooling.spool_keeps(patient()))) == [OK]
    assert not (tmp_path / "spool").exists()


def test_what_is_in_the_spool_is_told(patient, spool, clock):
    spool.put(message(1), webhook="a")
    spool.put(message(2), webhook="b", error="too large")
    clock.moment = spool.depth().oldest + timedelta(minutes=3)
    aside, waiting = spooling.spool_keeps(patient())
    assert (aside.state, aside.what) == (WRONG, "1 event in the spool could not be filed.")
    assert (waiting.state, "1 event waits in" in waiting.what) == (WARNING, True)
    assert "the oldest for 3 min 0 s." in waiting.what
    spool.remove([*spool.oldest(5), *spool.oldest(5, set_aside=True)])
    assert only(list(spooling.spool_keeps(patient())), OK).what == f"{spool.path} is writable and empty."


def test_a_spool_that_is_closed_to_its_owner_is_opened_by_the_mend(patient, spool, monkeypatch):
    spool.prove_writable()
    spool.close()
    spool.folder.chmod(0o500)
    # Who runs the tests may be root, who may do everything.
    monkeypatch.setattr(os, "access", lambda path, _mode: bool(path.stat().st_mode & 0o200))
    try:
        found = only(list(spooling.spool_keeps(patient())), WRONG)
        assert found.mend.lines == (f"chmod u+rwx {spool.folder}",)
        assert found.mend.apply() == f"Done: {spool.folder} is writable."
        assert states(list(spooling.spool_keeps(patient()))) == [OK]
        monkeypatch.setattr(os, "geteuid", lambda: spool.folder.stat().st_uid + 1)
        spool.folder.chmod(0o500)
        theirs = only(list(spooling.spool_keeps(patient())), WRONG)
        assert (theirs.mend, "Run the doctor as the user the gateway runs as" in theirs.remedies[0]) == (None, True)
    finally:
        spool.folder.chmod(0o700)


def test_a_disk_that_is_nearly_full_is_a_warning(patient, spool, monkeypatch):
    spool.prove_writable()
    monkeypatch.setattr(spooling, "FREE_BYTES", 10**18)
    assert states(list(spooling.spool_keeps(patient()))) == [OK, WARNING]


def test_a_broker_that_is_away_is_a_warning_without_its_password(patient):
    assert only(list(working.broker_carries(patient())), OK).what.startswith("No broker is set")
    for url in ("redis://:geheim@127.0.0.1:9/0", "amqp://me:geheim@127.0.0.1:9//"):
        found = only(list(working.broker_carries(patient(broker={"url": url}))), WARNING)
        assert found.what.startswith(f"{url.partition(':')[0]}://127.0.0.1:9 is not reached: ")
        assert "geheim" not in found.what


def test_what_a_broker_says_of_a_password_is_not_repeated(patient, monkeypatch):
    def refuse(_settings):
        raise OSError("no access for me:geheim")

    monkeypatch.setattr(broker, "_app", refuse)
    found = only(list(working.broker_carries(patient(broker={"url": "amqp://me:geheim@127.0.0.1:9//"}))), WARNING)
    assert "OSError: no access for me:***." in found.what
