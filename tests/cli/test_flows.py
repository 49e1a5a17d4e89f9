"""`gateway flows` as an author at a terminal runs it: no database is needed for any of it."""

import json

import pytest
from click.testing import CliRunner

from gateway.cli.commands import cli
from tests.conversation.flowing import ORDER


@pytest.fixture
def gateway(tmp_path, monkeypatch):
    """Run a command over a folder with the flow `order`."""
    (tmp_path / "order.toml").write_text(ORDER)
    monkeypatch.setenv("GATEWAY_ENV", "test")
    monkeypatch.setenv("GATEWAY_FLOW__FOLDER", str(tmp_path))
    return lambda *arguments, said="": CliRunner().invoke(cli, ["flows", *arguments], input=said)


def test_flows_are_listed_and_shown(gateway, tmp_path):
    assert "wants_order" in gateway("list").stdout
    long = tmp_path / "a_name_that_is_rather_long.toml"
    long.write_text(ORDER.replace("order", "other"))
    assert long.stem in gateway("list").stdout
    long.unlink()
    (order,) = json.loads(gateway("list", "--json").stdout)
    assert [step["name"] for step in order["steps"]] == ["what", "who", "where"]
    shown = gateway("show", "order").stdout
    assert "begun by words: order" in shown
    assert "completed" in shown
    assert json.loads(gateway("show", "order", "--json").stdout) == order
    unknown = gateway("show", "none")
    assert (unknown.exit_code, "There are: order." in unknown.stderr) == (2, True)


def test_files_are_checked_and_faults_name_file_step_and_key(gateway, tmp_path):
    assert "order, version 1: 3 steps, no fault." in gateway("check").stdout
    draft = tmp_path / "draft.toml"
    draft.write_text(ORDER.replace('kind = "choice"', 'kind = "choise"'))
    wrong = gateway("check", str(draft))
    assert wrong.exit_code == 1
    assert all(word in wrong.stderr for word in ("draft.toml", "where", "kind"))
    draft.write_text(ORDER)
    assert 'key "words" has' in gateway("check", str(draft)).stderr
    draft.write_text("title = ")
    assert "no valid TOML" in gateway("check", str(draft)).stderr


def test_a_flow_is_played_in_the_terminal(gateway):
    played = gateway("try", "order", said="ten hats\nHari\nHarbour\n")
    assert played.exit_code == 0, played.output
    for words in ("What would you like?", "known: what = ten hats", "Noted: ten hats for Hari at Harbour."):
        assert words in played.stdout
    told = [
        json.loads(line) for line in gateway("try", "order", "--json", said="ten hats\ncancel\n").stdout.splitlines()
    ]
    assert [one["outcome"] for one in told] == ["asked", "asked", "canceled"]
    assert told[1]["values"] == {"what": "ten hats"}
    spoken = gateway("try", "order", "--spoken", said="hats\nHari\n2\n").stdout
    assert "Please say what you would like." in spoken
    assert "Market" in spoken.splitlines()[-2]


def test_an_end_of_input_ends_it(gateway, tmp_path):
    assert gateway("try", "order").exit_code == 0
    assert gateway("try", "--file", str(tmp_path / "order.toml")).exit_code == 0
    assert "by its NAME or by --file" in gateway("try").stderr
