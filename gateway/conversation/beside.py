"""A second process that computes beside this one, on another processor: asked over pipes, gone with whoever asked.

Run with `python -m`: what Python starts itself would load the whole command line again, and outlive a killed parent.
"""

import contextlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

_END_SECONDS = 5


class Gone(Exception):
    """The second process ended before it gave an answer."""


class Beside:
    """A process that is asked one thing after the other, each a function of a module with what it is given."""

    def __init__(self) -> None:
        self._asking = ThreadPoolExecutor(1, "beside")
        # Of a group of its own, so that Ctrl-C is for whoever runs the command: this one ends with them.
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway.conversation.beside"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,
        )

    def ask(self, work: Callable[..., Any], *given: Any) -> Future[Any]:
        """Let it compute something; the answer is Gone where it ends before."""
        return self._asking.submit(self._ask, work, given)

    def _ask(self, work: Callable[..., Any], given: tuple[Any, ...]) -> Any:
        requests, answers = self.process.stdin, self.process.stdout
        if requests is None or answers is None:
            raise Gone
        try:
            pickle.dump((work, given), requests, pickle.HIGHEST_PROTOCOL)
            requests.flush()
            answer, problem = pickle.load(answers)  # noqa: S301 - our own child
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            raise Gone from error
        if problem:
            raise problem
        return answer

    def close(self) -> None:
        """End it."""
        self._asking.shutdown(wait=False, cancel_futures=True)
        self.process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_END_SECONDS)
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                if pipe:
                    pipe.close()


def main() -> None:
    """Answer until whoever asks closes the pipe, or dies."""
    # What is printed is no answer.
    with os.fdopen(os.dup(1), "wb") as answers, contextlib.suppress(EOFError, BrokenPipeError):
        os.dup2(2, 1)
        while True:
            work, given = pickle.load(sys.stdin.buffer)  # noqa: S301 - whoever started this
            pickle.dump(_answer(work, given), answers, pickle.HIGHEST_PROTOCOL)
            answers.flush()


def _answer(work: Callable[..., Any], given: tuple[Any, ...]) -> tuple[Any, Exception | None]:
    try:
        return work(*given), None
    except Exception as error:
        return None, error


if __name__ == "__main__":
    main()
