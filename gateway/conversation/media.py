"""Files that people send: fetched from the provider by the worker, and kept."""

from gateway.conversation.runtime import Runtime
from gateway.store import outbox
from gateway.store.connection import deadline
from gateway.store.outbox import Row


def fetch(runtime: Runtime, row: Row) -> None:
    """Fetch the files of a message."""
    with deadline():
        outbox.finish(row, outbox.DONE, runtime.clock.now())


def give_up(runtime: Runtime, row: Row, error: str) -> None:
    """Leave files where they are that could not be fetched."""
    with deadline():
        outbox.finish(row, outbox.FAILED, runtime.clock.now(), error=error)
