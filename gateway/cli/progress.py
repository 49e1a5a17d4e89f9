"""How far a command is: on a terminal only, and beside its output."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from gateway.core.imported import Position
from gateway.store.imports import Import


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


@dataclass
class ImportBar:
    """A bar of an import: first what is read of the source, then what of it is imported."""

    progress: Progress
    task: TaskID
    what: str

    def read(self, records: int) -> None:
        """Hear how many records were read."""
        self.progress.update(self.task, description="Reading", note=f"{records:,} records")

    def told(self, run: Import) -> None:
        """Hear how far an import is."""
        note = f"{run.rows_per_second or 0:,.0f} rows/s"
        self.progress.update(
            self.task, description=self.what, total=run.size or 1, completed=run.position.offset, note=note
        )

    def counted(self, done: int, of: int) -> None:
        """Hear how many of something are done."""
        self.progress.update(self.task, description=self.what, total=of or 1, completed=done, note=f"{done:,}")

    def at(self, position: Position) -> None:
        """Hear how far a rehearsal is."""
        note = f"{position.rows:,} rows"
        self.progress.update(self.task, description=self.what, completed=position.offset, note=note)


@contextlib.contextmanager
def of_import(what: str, size: int) -> Iterator[ImportBar]:
    """Show a bar that hears how far an import is, or what is done with one."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as progress:
        yield ImportBar(progress, progress.add_task(what, total=size or 1, note=""), what)
