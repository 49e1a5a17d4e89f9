"""Work that repeats: a function every so many seconds, until told to stop."""

import threading
from collections.abc import Callable


def repeat(job: Callable[[], object], *, every: float, stop: threading.Event) -> None:
    """Run a job now and every `every` seconds until `stop` is set; the job handles its own errors."""
    while not stop.is_set():
        job()
        stop.wait(every)


def in_background(job: Callable[[], object], *, every: float, name: str) -> threading.Event:
    """Repeat a job in a daemon thread; set the event it gives to stop it."""
    stop = threading.Event()
    threading.Thread(target=repeat, args=(job,), kwargs={"every": every, "stop": stop}, name=name, daemon=True).start()
    return stop
