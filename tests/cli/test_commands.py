"""What the command line says when something is wrong, and what it hides."""

import json
import subprocess
import sys

import pytest

from gateway.cli.commands import cli
from gateway.core.errors import ConfigError
from gateway.store import embedded
from tests.cli import forking
from tests.cli.test_serve import ROOT, clean_environment


def run(*arguments, given="", **environ):
    return forking.run(*arguments, given=given, **clean_environment(**environ))


@pytest.fixture
def folder(tmp_path):
    return {"GATEWAY_DATA_DIR": str(tmp_path)}


def test_a_bad_setting_stops_the_start_with_one_line(folder):
    done = run("serve", GATEWAY_SESSIONS__IDLE_SECONDS="-5", **folder)
    assert done.returncode != 0
    (line,) = done.stderr.strip().splitlines()
    assert "GATEWAY_SESSIONS__IDLE_SECONDS = '-5': must be 0 or more" in line


def test_an_unknown_responder_stops_the_start_before_anything_runs(folder):
    done = run("serve", GATEWAY_REPLY__RESPONDER="parrot", PORT="18999", **folder)
    assert done.returncode != 0
    assert "no such responder. Choose one of none, echo, canned" in done.stderr


def test_a_spool_that_keeps_nothing_stops_the_start_before_anything_runs(folder):
    done = run("serve", GATEWAY_SPOOL__DIR="/proc/nope", PORT="18996", **folder)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: The spool cannot be written: /proc/nope")
    assert "set GATEWAY_SPOOL__DIR" in line


def test_a_missing_library_is_said_in_one_line(folder):
    code = "import sys; sys.modules['structlog'] = None; from gateway.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "users", "list"],
        cwd=ROOT,
        env=clean_environment(**folder),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == "gateway: the library 'structlog' is missing. Run `make install`.\n"


def test_a_mongodb_that_is_not_there_is_said_in_one_line(folder):
    done = run("serve", MONGODB_URI="mongodb://127.0.0.1:9/gateway", PORT="18998", **folder)
    assert done.returncode != 0
    assert "MONGODB_URI: no MongoDB takes writes there" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_mongod_that_does_not_run_is_named_with_the_remedies(tmp_path, monkeypatch):
    broken = tmp_path / "mongod"
    broken.write_text("#!/bin/sh\necho 'libcurl.so.4: cannot open shared object file' >&2\nexit 127\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(embedded, "_from_wheel", lambda: None)
    with pytest.raises(ConfigError, match=r"libcurl.so.4: cannot open .* Set MONGODB_URI") as told:
        embedded.find_mongod()
    assert str(broken) in str(told.value)


def test_a_second_mongod_on_the_same_data_says_why_it_stops(mongo):
    with pytest.raises(ConfigError, match=r"mongod stopped while starting: .*DBPathInUse") as told:
        embedded.EmbeddedMongo(mongo.folder).start()
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("command", [("users", "list"), ("sessions", "list"), ("events",), ("keys", "list")])
def test_commands_that_need_a_database_say_how_to_get_one(folder, command):
    done = run(*command, **folder)
    assert done.returncode == 1
    assert done.stderr == "Error: No gateway runs in this folder: `make run` starts one. Or set MONGODB_URI.\n"


def test_simulating_without_a_gateway_says_how_to_start_one(folder):
    done = run("simulate", "sms", PORT="18997", **folder)
    assert done.returncode == 1
    assert "No gateway answers at http://127.0.0.1:18997" in done.stderr


def test_what_is_no_address_of_a_gateway_is_told_how_one_is_written(folder):
    done = run("simulate", "sms", "--url", "nowhere", **folder)
    assert done.returncode == 1
    assert "nowhere is no address of a gateway. Write it as http://localhost:8080" in done.stderr


def test_check_config_shows_what_is_in_force_and_hides_secrets(folder):
    done = run("check-config", TWILIO_AUTH_TOKEN="do-not-show", SECRET_KEY="nor-this", **folder)
    assert done.returncode == 0
    assert "All settings are valid." in done.stdout
    assert "do-not-show" not in done.stdout
    assert "nor-this" not in done.stdout


def test_check_config_shows_the_folders_that_nobody_set(folder):
    shown = json.loads(run("check-config", "--json", **folder).stdout)
    assert shown["spool.dir"] == f"{folder['GATEWAY_DATA_DIR']}/spool"
    assert shown["flow.folder"] == str(ROOT / "config/flows")


def test_check_config_checks_the_flows_and_names_every_fault(folder, tmp_path):
    (tmp_path / "order.toml").write_text('title = "Order"\n[steps.size]\nkind = "numbr"\nprompt = "How many?"\n')
    done = run("check-config", GATEWAY_FLOW__FOLDER=str(tmp_path), **folder)
    assert done.returncode == 1
    assert 'order.toml: step "size": key "kind" is \'numbr\'. Choose one of' in done.stderr
    assert "bulk_order, callback" in run("check-config", **folder).stdout


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"GATEWAY_REPLY__RESPONDER": "ecco"}, "GATEWAY_REPLY__RESPONDER = 'ecco': no such responder. Choose one of"),
        ({"GATEWAY_FLOW__OTHERWISE": "flow"}, "GATEWAY_FLOW__OTHERWISE = 'flow': not possible."),
        ({"GATEWAY_BROKER__URL": "redis://h:port/0"}, "GATEWAY_BROKER__URL is "),
        ({"GATEWAY_REPLY__RESPONDER": "http_bot"}, "GATEWAY_HTTP_BOT__URL is empty. Set it to"),
        ({"GATEWAY_REPLY__RESPONDER": "llm", "GATEWAY_LLM__MODEL": "m"}, "GATEWAY_LLM__BASE_URL is empty. Set it to"),
    ],
)
def test_check_config_refuses_what_no_gateway_could_answer_with(folder, given, said):
    done = run("check-config", **folder, **given)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"Error: {said}")


def test_a_short_password_is_refused(folder):
    done = run("users", "add", "ada", "--password-stdin", given="short\n", **folder)
    assert "fewer than 8 characters" in done.stderr


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_the_list_of_commands_says_what_their_own_help_says(name):
    known, command = cli.commands[name], cli.commands[name].imported()
    assert command.name == name
    for width in (30, 45, 60):
        assert known.get_short_help_str(width) == command.get_short_help_str(width)


def test_the_list_of_commands_comes_at_once(folder):
    """It imports none of the libraries that take a second."""
    code = (
        "import sys; from gateway.cli import main; sys.argv = ['gateway', '--help']\n"
        "try: main()\n"
        "except SystemExit: print({'pydantic', 'pymongo', 'flask', 'rich'} & set(sys.modules))"
    )
    environ = clean_environment(**folder)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True)
    assert "simulate" in done.stdout
    assert done.stdout.endswith("set()\n"), done.stdout


def test_a_mongodb_that_is_away_is_said_in_a_line(folder):
    done = run("chat", "publish", "web", MONGODB_URI="mongodb://127.0.0.1:9/gateway", **folder)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("Error: MongoDB is away or too slow: ServerSelectionTimeoutError: 127.0.0.1:9: ")
    assert line.endswith("Connection refused. Start it, or see MONGODB_URI.")
