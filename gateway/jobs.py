"""Work that goes on: a function every so many seconds until told to stop, and whatever lasts while a process serves."""

import threading
from collections.abc import Callable

# Whether this process goes on. gunicorn replaces it (config/gunicorn.conf.py): one that is to stop must not wait for
# its streams and whoever waits for an answer, and gives its threads no more work.
is_serving: Callable[[], bool] = lambda: True  # noqa: E731


def repeat(job: Callable[[], object], *, every: float, stop: threading.Event) -> None:
    """Run a job now and every `every` seconds until `stop` is set; the job handles its own errors."""
    while not stop.is_set():
        job()
        stop.wait(every)


class Background:
    """Jobs that repeat in daemon threads of their own, until they are stopped together."""

    def __init__(self) -> None:
        self._stop = threading.Event()

    def repeat(self, job: Callable[[], object], *, every: float, name: str) -> None:
        """Run a job now and every `every` seconds."""
        given = {"every": every, "stop": self._stop}
        threading.Thread(target=repeat, args=(job,), kwargs=given, name=name, daemon=True).start()

    def stop(self) -> None:
        """Let no job begin again; what is under way ends by itself."""
        self._stop.set()
