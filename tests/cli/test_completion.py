"""The Tab key, in a real bash where there is one; zsh and fish speak to the gateway in the same way."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli import forking
from tests.cli.test_serve import clean_environment

SCRIPTS = {"zsh": "#compdef gateway", "fish": "complete --no-files --command gateway"}


def run(*arguments, **environ):
    return forking.run(*arguments, **clean_environment(**environ))


def test_the_tab_key_of_bash():
    bash = shutil.which("bash")
    if not bash:
        pytest.skip("no bash")
    script = (
        f"{run('completion', 'bash').stdout}\n"
        "complete -p gateway; COMP_WORDS=(gateway sess); COMP_CWORD=1; _gateway_completion gateway\n"
        'echo "${COMPREPLY[@]}"'
    )
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    done = subprocess.run([bash, "-c", script], env=clean_environment(PATH=path), capture_output=True, text=True)
    assert done.stdout.splitlines() == ["complete -o nosort -F _gateway_completion gateway", "sessions"], done.stderr


@pytest.mark.parametrize("shell", SCRIPTS)
def test_other_shells_get_a_script_that_asks_the_gateway(shell):
    done = run("completion", shell)
    assert done.returncode == 0
    assert SCRIPTS[shell] in done.stdout
    assert f"_GATEWAY_COMPLETE={shell}_complete" in done.stdout


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("gateway spool ", {"status", "list", "drain", "retry"}),
        ("gateway export --fo", {"--format", "--force"}),
        ("gateway export --format j", {"jsonl"}),
        ("gateway completion ", {"bash", "zsh", "fish"}),
    ],
)
def test_what_a_shell_asks_is_answered_without_a_database(words, offered):
    done = run(_GATEWAY_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(words.count(" ")))
    assert {line.partition(",")[2] for line in done.stdout.splitlines()} == offered
    assert done.stderr == ""


def test_another_shell_is_refused_in_a_line():
    done = run("completion", "powershell")
    assert done.returncode == 2
    assert "'powershell' is not one of 'bash', 'zsh', 'fish'" in done.stderr
