"""What a process saw lately: a hint where to look first, and never more than that."""

import threading
from collections import OrderedDict

SIZE = 20_000


class Recent:
    """The newest ids, the oldest forgotten first. Threads may share it."""

    def __init__(self, size: int = SIZE) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._size, self._guard = size, threading.Lock()

    def add(self, one: str) -> None:
        """Remember an id."""
        with self._guard:
            self._ids[one] = None
            if len(self._ids) > self._size:
                self._ids.popitem(last=False)

    def __contains__(self, one: str) -> bool:
        """Tell whether an id was seen lately."""
        return one in self._ids
