"""The command line in processes of their own, forked from one that has imported it: importing is most of a command.

What a command does is real: its process, environment, streams and exit code. Run as a module this is the process that
forks; `run` asks it to.
"""

import json
import os
import subprocess
import sys
import tempfile
from datetime import timedelta
from functools import cache
from pathlib import Path
from threading import Lock

ROOT = Path(__file__).resolve().parents[2]
_ONE_AT_A_TIME = Lock()


@cache
def _forker() -> subprocess.Popen[bytes]:
    """Start the process that forks; it ends with this one, when nobody can ask it any more."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.cli.forking"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def run(*arguments: str, given: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    """Run `gateway` with these arguments, in this environment alone, with something on its standard input."""
    with tempfile.TemporaryDirectory() as folder, _ONE_AT_A_TIME:
        streams = [Path(folder, name) for name in ("in", "out", "err")]
        streams[0].write_text(given)
        job = {"arguments": arguments, "environ": environ, "streams": [str(path) for path in streams]}
        asked, told = _forker().stdin, _forker().stdout
        assert asked
        assert told
        asked.write(json.dumps(job).encode() + b"\n")
        asked.flush()
        code = int(told.readline())
        return subprocess.CompletedProcess(
            ["gateway", *arguments], code, streams[1].read_text(), streams[2].read_text()
        )


def _become(arguments: list[str], environ: dict[str, str], streams: list[str]) -> None:
    """Make this process, just forked, the one a shell would have started."""
    for number, path in enumerate(streams):
        opened = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(number, mode) for number, mode in enumerate("rww"))
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = ["gateway", *arguments]


def _fork_on_request() -> None:
    """Fork for each line that is asked for; the child returns and is a command."""
    for line in sys.stdin.buffer:
        child = os.fork()
        if child == 0:
            return _become(**json.loads(line))
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()
    sys.exit()


if __name__ == "__main__":
    from gateway.conversation import emptying

    # What is deleted waits for webhooks that are on their way; nobody writes beside these commands.
    emptying.GRACE = timedelta(milliseconds=100)

    from gateway.cli import main
    from gateway.cli.commands import cli

    for command in cli.commands.values():
        command.imported()
    _fork_on_request()
    main()
