"""`gateway simulate scenario`: what was missed is told, and in the exit code."""

import re

LATE = """
title = "Late"
[needs]
"sessions.idle_seconds" = 60
[people.ada]
[[steps]]
name = "hello"
from = "ada"
sms = "Hello"
expect = { session = "one" }
[[steps]]
from = "ada"
after = 120
sms = "Again"
copies = 2
expect = { decision = "rolled_over", session = "two", answer = "Hello again" }
[expect]
sessions = 2
"""


def test_what_is_not_as_expected_is_told_by_step_and_key(served, gateway, told, tmp_path):
    served()
    path = tmp_path / "late.toml"
    path.write_text(LATE)
    shown = gateway("simulate", "scenario", path, code=1)
    assert "step 2: decision: expected rolled_over, got reused: 2 min 0 s after the last message" in shown
    assert "step 2: session: expected two, a new one, got one" in shown
    assert 'step 2: answer: expected "Hello again", got "Again"' in shown
    assert "in the end: sessions: expected 2, got 1" in shown
    assert "It is written for a gateway with sessions.idle_seconds = 60." in shown
    assert re.search(r"0:02:00 ada sms +Again +- reused after 2 min 0 s, delivered 2 times", shown)
    (play,) = told("simulate", "scenario", path, code=1)
    assert (play["as_expected"], len(play["missed"])) == (False, 4)


def test_an_answer_that_was_not_expected_moves_no_terminal(served, gateway, tmp_path):
    served()
    path = tmp_path / "late.toml"
    path.write_text(LATE.replace('sms = "Again"', 'sms = "Again\\u009b2J"'))
    shown = gateway("simulate", "scenario", path, code=1)
    assert 'step 2: answer: expected "Hello again", got "Again?2J"' in shown


def test_a_file_that_is_wrong_is_refused_and_nothing_is_played(gateway, tmp_path):
    wrong = {"bad.toml": "[[steps]]\n", "worse.toml": "title =", "worst.toml": f"title = {'[' * 5000}"}
    for name, text in wrong.items():
        (tmp_path / name).write_text(text)
    refused = gateway("simulate", "scenario", *(tmp_path / name for name in wrong), code=2)
    assert "bad.toml: nobody is in it." in refused
    assert "worse.toml is no valid TOML: Invalid value" in refused
    assert "worst.toml is nested too deeply" in refused
    missing = gateway("simulate", "scenario", "none.toml", code=2)
    assert missing.startswith("Error: none.toml cannot be read (No such file or directory)")


def test_a_gateway_that_is_not_there_is_a_missed_expectation(gateway, monkeypatch, tmp_path):
    for name, value in {"PORT": "18996", "GATEWAY_DATA_DIR": str(tmp_path), "GATEWAY_ENV": "development"}.items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "late.toml"
    path.write_text(LATE)
    assert "Set MONGODB_URI to that of the gateway" in gateway("simulate", "scenario", path, code=2)
    path.write_text(LATE.replace("[expect]\nsessions = 2", ""))
    assert "No gateway answers at http://127.0.0.1:18996" in gateway("simulate", "scenario", path, code=1)
