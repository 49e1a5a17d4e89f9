"""How many long answers are sent at once: each holds a thread for as long as its reader takes."""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from flask import Response
from werkzeug.exceptions import ServiceUnavailable


class Seats:
    """So many answers at a time of this process; whoever comes when all are taken is asked to come again."""

    def __init__(self, most: int, refusal: str) -> None:
        self._free, self._refusal = threading.BoundedSemaphore(most), refusal

    def send(self, make: Callable[[], Response]) -> Response:
        """Make an answer and hold a seat until it is sent, or nobody reads on. ServiceUnavailable where none is."""
        if not self._free.acquire(blocking=False):
            raise ServiceUnavailable(self._refusal, retry_after=30)
        seat = contextlib.ExitStack()
        seat.callback(self._free.release)
        with contextlib.ExitStack() as undone:
            undone.push(seat)
            response = make()
            undone.pop_all()
        # A server that passes an iterable on ends it, and that only; a response without a body ends itself.
        response.response = _Held(response.response, seat)
        response.call_on_close(seat.close)
        return response


class _Held:
    """An answer's pieces, and a seat that is given back with them."""

    def __init__(self, pieces: Iterable[Any], seat: contextlib.ExitStack) -> None:
        self._pieces, self._seat = pieces, seat

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._pieces
        finally:
            self.close()

    def close(self) -> None:
        with self._seat:
            close = getattr(self._pieces, "close", None)
            if close:
                close()
