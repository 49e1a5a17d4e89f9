"""What `--help` says of each command there is, also of those that are yet to come: the tree is walked, not listed."""

import re
import shlex
from collections.abc import Iterator

import click
import pytest

from gateway.cli.commands import Elsewhere, cli

_OPERATORS = {"&&", "|", ">", "<", ";"}


def imported(command: click.Command) -> click.Command:
    return command.imported() if isinstance(command, Elsewhere) else command


def walk(command: click.Command, path: tuple[str, ...] = ("gateway",)) -> Iterator[tuple[str, click.Command]]:
    command = imported(command)
    yield " ".join(path), command
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from walk(below, (*path, name))


TREE = dict(walk(cli))
EVERY = pytest.mark.parametrize("path", TREE)


def examples(command: click.Command) -> list[str]:
    """Give the lines from "Example:" or "Examples:" to the end of the paragraph, each with its first words."""
    _, _, rest = re.sub(r"\\\n\s+", "", command.help or "").partition("Example")
    lines = re.sub(r"^s?:", "", rest).partition("\n\n")[0].splitlines()
    return [line.strip() for line in lines if line.strip()]


def called(example: str) -> Iterator[tuple[click.Command, list[str]]]:
    """Give the commands of ours that a shell would run, each with its arguments."""
    words = shlex.split(example, comments=True)
    while "gateway" in words:
        words = words[words.index("gateway") + 1 :]
        end = next((number for number, word in enumerate(words) if word in _OPERATORS), len(words))
        command, arguments = imported(cli), words[:end]
        while isinstance(command, click.Group) and arguments:
            name = arguments[0] if arguments[0] in command.commands else "file"
            assert name in command.commands, f"{example}: there is no command {arguments[0]}"
            arguments = arguments[1:] if name == arguments[0] else arguments
            command = imported(command.commands[name])
        yield command, arguments


@EVERY
def test_every_command_says_what_it_does(path):
    summary = (TREE[path].help or "").split("\n\n")[0].strip()
    assert re.match(r"[A-Z].*[.)]$", summary, re.DOTALL), f"{path}: a sentence, please"
    for option in TREE[path].params:
        assert not isinstance(option, click.Option) or option.help, f"{path} {option.name}"


@EVERY
def test_every_command_has_an_example_of_itself(path):
    shown = examples(TREE[path])
    own = [line for line in shown for command, _ in called(line) if path == "gateway" or command is TREE[path]]
    below = [line for line in shown if f"{path} " in line] if isinstance(TREE[path], click.Group) else []
    assert own or below, f"{path} --help shows no example: write one, in a paragraph that begins with \\b"


@EVERY
def test_what_may_be_left_out_stands_in_brackets(path):
    for one in TREE[path].params:
        if isinstance(one, click.Argument) and one.metavar and not one.required:
            assert one.metavar.startswith("["), f"{path}: {one.metavar}"


@EVERY
def test_examples_use_what_exists(path):
    for line in examples(TREE[path]):
        for command, arguments in called(line):
            known = {flag for one in command.params for flag in (*one.opts, *one.secondary_opts)}
            for word in arguments:
                flag = word.partition("=")[0]
                assert not re.match(r"--?[a-z]", flag) or flag in known | {"--help"}, f"{path}: {line}"


def test_help_is_written_for_every_path_without_a_database(capsys):
    for path in TREE:
        with pytest.raises(SystemExit) as ended:
            cli.main([*path.split()[1:], "--help"], prog_name="gateway")
        assert ended.value.code == 0
        assert capsys.readouterr().out.startswith(f"Usage: {path}"), path
