"""A second process: it answers, says what went wrong, and is never left behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.conversation.beside import Beside, Gone

KILLED = """
import os, signal
from gateway.conversation.beside import Beside
beside = Beside()
beside.ask(len, "loaded").result()
print(beside.process.pid, flush=True)
beside.ask(sum, range(10**8))  # at work on it
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_answers_in_turn_and_what_is_wrong_is_raised_here():
    beside = Beside()
    try:
        answers = [beside.ask(divmod, 7, by) for by in (2, 0, 7)]
        assert (answers[0].result(), answers[2].result()) == ((3, 1), (1, 0))
        with pytest.raises(ZeroDivisionError):
            answers[1].result()
        assert beside.ask(os.getpid).result() == beside.process.pid
        beside.process.kill()
        with pytest.raises(Gone):
            beside.ask(divmod, 7, 2).result()
    finally:
        beside.close()
    assert beside.process.returncode is not None


def test_it_ends_with_whoever_is_killed_and_says_nothing():
    root = Path(__file__).parents[2]
    # Its errors go where ours do: that is at its end only when it is gone.
    done = subprocess.run([sys.executable, "-c", KILLED], cwd=root, capture_output=True, text=True, timeout=60)
    assert (int(done.stdout) > 0, done.stderr, done.returncode) == (True, "", -9)
