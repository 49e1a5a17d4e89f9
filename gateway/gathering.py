"""Where the requests of one thread stand still, each in a greenlet, until the same is done for all of them at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType

from greenlet import getcurrent, greenlet

from gateway.core.combining import Combiner, Item, Result

# How many make one group at most: the operations of a group have one deadline together, that of a message alone.
MOST = 250


@dataclass(frozen=True, slots=True)
class _Failed:
    """Why a group was not served, as it was before anybody raised it again."""

    error: Exception
    trace: TracebackType | None


class Gathering(Combiner[Item, Result]):
    """Has the same done at once for all requests of the main thread that want it; other threads combine as ever."""

    def __init__(self) -> None:
        super().__init__()
        self._gathered: list[tuple[greenlet, Item, Callable[[Sequence[Item]], Sequence[Result]]]] = []

    def __len__(self) -> int:
        return len(self._gathered)

    def do(self, item: Item, serve: Callable[[Sequence[Item]], Sequence[Result]]) -> Result:
        """Stand still until an item is served along with all others that are gathered."""
        here = getcurrent()
        if here.parent is None:
            return super().do(item, serve)
        self._gathered.append((here, item, serve))
        result: Result | _Failed = here.parent.switch()
        if isinstance(result, _Failed):
            raise result.error.with_traceback(result.trace)
        return result

    def serve(self) -> Sequence[tuple[greenlet, Result | _Failed]]:
        """Serve what was gathered; gives who goes on with what."""
        gathered, self._gathered = self._gathered[:MOST], self._gathered[MOST:]
        if not gathered:
            return ()
        _, _, serve = gathered[0]
        try:
            results = serve([item for _, item, _ in gathered])
            return [(here, result) for (here, _, _), result in zip(gathered, results, strict=True)]
        except Exception as error:
            failed = _Failed(error, error.__traceback__)
            return [(here, failed) for here, _, _ in gathered]
