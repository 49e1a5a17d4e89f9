"""Threads that want the same done at the same time let one of them do it for all."""

import threading
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Seat(Generic[Item, Result]):
    """Where a thread waits: until it is served, or until it is its turn to serve."""

    __slots__ = ("called", "item", "next", "result", "served")

    def __init__(self, item: Item) -> None:
        self.item, self.served = item, False
        self.result: Result | BaseException | None = None
        self.next: _Seat[Item, Result] | None = None
        self.called = threading.Lock()
        self.called.acquire()


class Combiner(Generic[Item, Result]):
    """Collects what comes while a thread is busy, and gives it to the next one as a whole. Nobody waits for company."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: list[_Seat[Item, Result]] = []
        self._busy = False

    def do(self, item: Item, serve: Callable[[Sequence[Item]], Sequence[Result]]) -> Result:
        """Have an item served, by this thread or another.

        `serve` gets all items there are and gives a result for each, in their order; what it raises is raised for each.
        """
        seat = _Seat[Item, Result](item)
        with self._guard:
            self._waiting.append(seat)
            leads, self._busy = not self._busy, True
        if not leads:
            seat.called.acquire()
        if not seat.served:
            self._lead(serve)
        if seat.next:
            seat.next.called.release()
        if isinstance(seat.result, BaseException):
            raise seat.result
        return seat.result  # type: ignore[return-value]

    def _lead(self, serve: Callable[[Sequence[Item]], Sequence[Result]]) -> None:
        with self._guard:
            group, self._waiting = self._waiting, []
        results: Sequence[Result | BaseException]
        try:
            results = serve([seat.item for seat in group])
        except BaseException as error:
            results = [error] * len(group)
        for seat, result in zip(group, results, strict=True):
            seat.result, seat.served = result, True
        # Each calls the next one: all at once they would only queue for the interpreter.
        for seat, after in pairwise(group):
            seat.next = after
        with self._guard:
            following = self._waiting[:1]
            self._busy = bool(following)
        # The next group goes on its way before this one is told.
        for seat in following:
            seat.called.release()
