"""Whoever reads a large source: this process, and a second one beside it once there is enough to do."""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from types import TracebackType

from gateway.conversation.beside import Beside, Gone
from gateway.conversation.interpreting import Interpreted, Interpreter, Plain, interpret, ready
from gateway.conversation.layouts.reading import CHANNELS
from gateway.logs import log

# Starting a process takes as long as reading some ten thousand records.
_ENOUGH = 20_000
# So many pieces are asked for at a time: one that is computed, and one that is there when it is done.
_ASKED = 2
# So many are held at most, with those that wait for one before them.
_HELD = 4

_Piece = tuple[list[Plain], "Future[Interpreted] | None", Interpreted | None]


class Crew:
    """Reads records piece by piece; what the second process does not get to, or dies over, is done here."""

    def __init__(self, is_alone: bool) -> None:
        self._is_alone = is_alone or len(os.sched_getaffinity(0)) < 2
        self._second: Beside | None = None
        self._loaded: Future[bool] | None = None
        self._records = 0

    def __enter__(self) -> "Crew":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._second:
            self._second.close()
            self._second = self._loaded = None

    def interpret(self, by: Interpreter, pieces: Iterator[list[Plain]]) -> Iterator[Interpreted]:
        """Read pieces of a table in turn."""
        held: deque[_Piece] = deque()
        for piece in pieces:
            self._records += len(piece)
            held.append(self._begun(by, piece, sum(1 for _, asked, _ in held if asked and not asked.done())))
            while held and (len(held) > _HELD or _is_done(held[0])):
                yield self._done(by, held.popleft())
        while held:
            yield self._done(by, held.popleft())

    def _begun(self, by: Interpreter, piece: list[Plain], waiting: int) -> _Piece:
        # What a table of channels tells is remembered, for those that come after it.
        if by.role != CHANNELS and waiting < _ASKED and (second := self._beside()):
            return piece, second.ask(interpret, by, piece), None
        return piece, None, interpret(by, piece)

    def _beside(self) -> Beside | None:
        """Give the second process, if there is one by now."""
        if self._second is None and not self._is_alone and self._records >= _ENOUGH:
            self._second = Beside()
            self._loaded = self._second.ask(ready)
        # It takes a second to load, in which this process reads on.
        return self._second if self._loaded and self._loaded.done() else None

    def _done(self, by: Interpreter, piece: _Piece) -> Interpreted:
        plain, asked, done = piece
        if done is None and asked:
            try:
                return asked.result()
            except (Gone, CancelledError):
                if self._second:
                    log.warning("import_reads_alone", message="The process that read beside this one is gone.")
                self._is_alone = True
                self._close()
        return done or interpret(by, plain)


def _is_done(piece: _Piece) -> bool:
    _, asked, done = piece
    return done is not None or (asked is not None and asked.done())
