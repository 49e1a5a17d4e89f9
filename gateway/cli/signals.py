"""Ctrl-C, SIGTERM and SIGHUP for what has to be taken back in order."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """Somebody asked us to stop; no handler of errors may swallow it."""


@contextlib.contextmanager
def handlers_kept() -> Iterator[None]:
    """Give signals back to who had them before."""
    before = {one: signal.getsignal(one) for one in SIGNALS}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Turn a signal into Stopped, once; whatever comes after that, and after this, changes nothing."""
    armed = [True]

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if armed:
            armed.clear()
            raise Stopped

    for one in SIGNALS:
        signal.signal(one, on_signal)
    try:
        yield
    finally:
        armed.clear()
        for one in SIGNALS:
            signal.signal(one, signal.SIG_IGN)
