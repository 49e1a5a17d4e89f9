"""One worker's turn at a job that follows MongoDB's changes: held by a lease, with the place where the next goes on."""

import contextlib
import secrets
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from gateway.conversation.runtime import Runtime
from gateway.store import streams, turns
from gateway.store.connection import deadline

LEASE = timedelta(seconds=30)
# How often the place is noted while nothing happens: a token too old is worth nothing.
NOTED_EVERY = timedelta(seconds=5)
# How often what is stored is looked at where MongoDB tells nobody of changes.
LOOK_SECONDS = 5.0
# What is stored with a moment may come to be there this much later, and hosts' clocks differ.
LATE = timedelta(seconds=30)


class Turn:
    """A worker's turn at a job."""

    def __init__(self, runtime: Runtime, job: str, owner: str) -> None:
        self._runtime, self._job, self._owner = runtime, job, owner
        self._noted = datetime.min.replace(tzinfo=runtime.clock.now().tzinfo)

    def place(self) -> tuple[Mapping[str, Any] | None, datetime | None]:
        """Tell where the last turn stopped, and up to when it has done everything."""
        with deadline():
            return streams.place(self._job)

    def was_noted_lately(self) -> bool:
        """Tell whether there is no need to note the place where nothing happened since."""
        return self._runtime.clock.now() - self._noted < NOTED_EVERY

    def note(self, place: Mapping[str, Any] | None, until: datetime, *, now: bool) -> bool:
        """Note how far this came, at once or where that was not done lately; False where it is another's turn."""
        if not now and self.was_noted_lately():
            return True
        self._noted = self._runtime.clock.now()
        with deadline():
            return streams.keep_place(self._job, self._owner, place, until, self._noted + LEASE)


@contextlib.contextmanager
def turn(runtime: Runtime, job: str, *, wanted: bool) -> Iterator[Turn | None]:
    """Take a turn, if no other worker has it; where nobody wants the job done, the next turn begins anew."""
    owner, now = secrets.token_hex(8), runtime.clock.now()
    with deadline():
        if not wanted:
            streams.forget_place(job)
        is_mine = wanted and turns.take(job, owner, now, lease=now + LEASE, due_only=False)
    if not is_mine:
        yield None
        return
    try:
        yield Turn(runtime, job, owner)
    finally:
        with deadline():
            turns.give_back(job, owner)
