"""Ctrl-C, everywhere: one line, exit code 130, no trace; and the same command goes on."""

import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import click
import pytest

from gateway import settings
from gateway.cli import children, stopping
from gateway.cli.commands import cli
from gateway.conversation import export as exporting
from gateway.store import import_claims
from tests.brokers import wait_for
from tests.cli.test_help import TREE, called, examples
from tests.cli.test_serve import ROOT, clean_environment
from tests.conftest import ACCOUNT, TOKEN

# What needs neither settings nor time.
AT_ONCE = {"gateway completion", "gateway openapi"}
LEAVES = [path for path, command in TREE.items() if not isinstance(command, click.Group) and path not in AT_ONCE]


def stopped(*arguments: object) -> None:
    raise KeyboardInterrupt


def written(path: str) -> list[str]:
    """Give the arguments of a command's first example."""
    for line in examples(TREE[path]):
        for command, _ in called(line):
            if command is TREE[path]:
                words = line.partition("gateway ")[2].partition("&&")[0].partition(">")[0]
                return shlex.split(words)
    return pytest.skip(f"{path} has no example yet")


@pytest.mark.parametrize("path", LEAVES)
def test_every_command_ends_in_one_line(path, monkeypatch, tmp_path, capsys):
    """Stopped at its first step, which for all of them is to read the settings."""
    for name in ("load", "read"):
        monkeypatch.setattr(settings, name, stopped, raising=False)
    monkeypatch.chdir(tmp_path)
    for name in ("draft.toml", "old.jsonl.gz"):
        Path(name).touch()
    Path("tests").symlink_to(ROOT / "tests")
    with pytest.raises(SystemExit) as ended:
        cli.main(written(path), prog_name="gateway")
    said = capsys.readouterr()
    assert ended.value.code == 130, said.err
    (line,) = said.err.splitlines()
    assert line.startswith("Stopped.")


def test_a_question_is_no_end_of_its_own(monkeypatch, capsys):
    monkeypatch.setattr("gateway.cli.serving.build", lambda: click.confirm("Really?", err=True))
    monkeypatch.setattr("click.termui.visible_prompt_func", stopped)
    with pytest.raises(SystemExit) as ended:
        cli.main(["users", "list"], prog_name="gateway")
    assert ended.value.code == 130
    assert capsys.readouterr().err.splitlines()[-1] == "Stopped."


def test_an_export_that_is_stopped_leaves_no_file(app, monkeypatch, tmp_path, capsys):
    def pieces(*_: object):
        yield b"{}\n"
        raise KeyboardInterrupt

    monkeypatch.setattr("gateway.cli.serving.build", lambda: app.extensions["gateway"])
    monkeypatch.setattr(exporting, "export", pieces)
    with pytest.raises(SystemExit) as ended:
        cli.main(["export", "--output", str(tmp_path / "all.jsonl")], prog_name="gateway")
    assert ended.value.code == stopping.EXIT_CODE
    assert capsys.readouterr().err == "Stopped. The export is not complete: run it again.\n"
    assert list(tmp_path.glob("all*")) == []


@pytest.fixture
def start(make_settings, tmp_path):
    """Start a command as a shell does, over a database of this test."""
    environ = clean_environment(
        GATEWAY_ENV="test", GATEWAY_DATA_DIR=str(tmp_path), MONGODB_URI=make_settings().mongodb_uri,
        TWILIO_ACCOUNT_SID=ACCOUNT, TWILIO_AUTH_TOKEN=TOKEN, SECRET_KEY="test-secret-key",
    )  # fmt: skip

    def started(*arguments: str, **given: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", "from gateway.cli import main; main()", *arguments],
            cwd=ROOT, env=environ | given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    return started


def test_an_import_that_is_stopped_goes_on(app, db, monkeypatch, tmp_path, capsys):
    """Stopped after the first batch is stored, before that is noted."""
    source, rows = tmp_path / "log.jsonl", 1200
    source.write_text(
        "".join(
            f'{{"session_id": "s{number // 4}", "user_id": "u{number // 4}", "message": "hello {number}", '
            f'"sender": "user", "timestamp": "2025-01-01T10:{number % 4:02}:00Z"}}\n'
            for number in range(rows)
        )
    )
    command = ["import", "file", str(source), "--layout", "flat", "--line", "+15017122661"]
    monkeypatch.setattr("gateway.cli.serving.build", lambda: app.extensions["gateway"])
    with monkeypatch.context() as patched, pytest.raises(SystemExit) as ended:
        patched.setattr(import_claims, "advance", stopped)
        cli.main(command, prog_name="gateway")
    assert ended.value.code == 130
    assert capsys.readouterr().err.startswith("Stopped. What is here stays. The same command goes on; `gateway import ")
    assert 0 < db.messages.count_documents({}) <= rows
    with pytest.raises(SystemExit) as ended:
        cli.main(command, prog_name="gateway")
    assert ended.value.code == 0
    assert (db.messages.count_documents({}), db.imports.count_documents({})) == (rows, 1)


def test_ctrl_c_is_kept_from_children_which_we_stop_in_order(capfd):
    """A terminal sends it to all of them, while they may still be importing what they need."""
    children.start(["/bin/sh", "-c", "kill -INT $$; echo goes on"], {}).wait()
    assert capfd.readouterr().out == "goes on\n"


def test_a_worker_that_is_stopped_while_it_starts_ends_without_a_trace(app, start):
    waiting = start("worker")
    wait_for(lambda: b"gateway.worker" in Path(f"/proc/{waiting.pid}/cmdline").read_bytes())
    waiting.send_signal(signal.SIGINT)
    _, said = waiting.communicate(timeout=120)
    assert (waiting.returncode, "Traceback" in said) == (0, False), said


def test_a_provider_that_does_not_answer_is_not_waited_for(app, start):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        waiting = start("backfill", "--since", "2h", GATEWAY_TWILIO__API_BASE_URL=f"http://127.0.0.1:{port}")
        deaf.settimeout(60)
        asked, _ = deaf.accept()
        with asked:
            asked.recv(65536)  # from here on it only waits
            waiting.send_signal(signal.SIGINT)
            _, said = waiting.communicate(timeout=60)
    assert (waiting.returncode, said.splitlines()[-1][:20]) == (130, "Stopped. What was pu"), said


def test_ctrl_c_after_the_last_line_leaves_no_trace():
    late = "import atexit, os, signal, sys; from gateway.cli import main; sys.argv = ['gateway', '--version'];"
    late += "atexit.register(os.kill, os.getpid(), signal.SIGINT); main()"
    done = subprocess.run([sys.executable, "-c", late], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")
