"""How far a command is: on a terminal only, and beside its output."""

import contextlib
import sys
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextlib.contextmanager
def bar(what: str, total: int, unit: str) -> Iterator[Callable[[int], object]]:
    """Show a bar; gives what to tell how far it is."""
    columns = (TextColumn(f"{what} {unit}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not sys.stderr.isatty(), transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, completed=done)


@contextlib.contextmanager
def steps() -> Iterator[Callable[[str, int, int], object]]:
    """Show a bar for one step after the other; gives what to tell: which, how much of it there is, how much is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not sys.stderr.isatty(), transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda what, of, done: progress.update(task, description=what, completed=done, total=max(done, of))


@contextlib.contextmanager
def busy(what: str) -> Iterator[None]:
    """Show that something is done of which nobody knows how long it takes."""
    with Console(stderr=True).status(what) if sys.stderr.isatty() else contextlib.nullcontext():
        yield
